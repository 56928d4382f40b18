"""How much longer does `import skroute` take than the parts of scikit-learn that its user has loaded anyway?

Each import runs in a fresh interpreter, in turns, and times itself: the start of the interpreter does not count.
Both find their bytecode, as after any installation: a first round, which is not counted, writes it.
Run with OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1; only the ratio means anything on a shared machine.
"""  # noqa: D400

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from _common import environment, parser, report, timed

REPOSITORY = Path(__file__).resolve().parents[1]
OURS, THEIRS = "skroute", "sklearn.calibration, sklearn.model_selection"
GOAL = 1.2
# A process starts at a bad moment more often than a loop.
ROUNDS, QUICK_ROUNDS = 4, 1

SECONDS = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"
MEGABYTES = "import tracemalloc; tracemalloc.start(); import {}; print(tracemalloc.get_traced_memory()[1] / 1e6)"


def measure(code: str, modules: str, bytecode: str) -> float:
    """Return the figure that an import prints in a fresh process, which keeps bytecode in the folder."""
    command = [sys.executable, "-c", code.format(modules)]
    # A source tree may have none of ours, and be told not to write any, while packages have theirs.
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    settings["PYTHONPYCACHEPREFIX"] = bytecode
    done = subprocess.run(command, cwd=REPOSITORY, env=settings, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main(argv: list[str] | None = None) -> int:
    options = parser(__doc__).parse_args(argv)
    n_rounds = options.rounds * (QUICK_ROUNDS if options.quick else ROUNDS)
    seconds: dict[str, list[float]] = {OURS: [], THEIRS: []}
    with tempfile.TemporaryDirectory() as bytecode:
        # `_common.rounds` would time the process; here the process times itself.
        for turn in range(n_rounds + 1):
            for modules in sorted(seconds, reverse=bool(turn % 2)):
                taken = measure(SECONDS, modules, bytecode)
                if turn:
                    seconds[modules].append(taken)
        case = timed(
            f"import {OURS} / import {THEIRS}",
            seconds[OURS],
            seconds[THEIRS],
            goal=GOAL,
            at_most=True,
            ours_mb=measure(MEGABYTES, OURS, bytecode),
            peer_mb=measure(MEGABYTES, THEIRS, bytecode),
        )
    report([case], environment(), as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
