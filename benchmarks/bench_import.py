"""How much longer does `import skroute` take than the parts of scikit-learn that its user has loaded anyway?

Each import runs in a fresh interpreter, in turns, and times itself: the start of the interpreter does not count.
Run with OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1; only the ratio means anything on a shared machine.
"""  # noqa: D400

import subprocess
import sys
from pathlib import Path

from _common import environment, parser, report, timed

REPOSITORY = Path(__file__).resolve().parents[1]
OURS, THEIRS = "skroute", "sklearn.calibration, sklearn.model_selection"
GOAL = 1.2
# A process starts at a bad moment more often than a loop.
ROUNDS, QUICK_ROUNDS = 4, 1

SECONDS = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"
MEGABYTES = "import tracemalloc; tracemalloc.start(); import {}; print(tracemalloc.get_traced_memory()[1] / 1e6)"


def measure(code: str, modules: str) -> float:
    """Return the figure that an import prints in a fresh process."""
    command = [sys.executable, "-c", code.format(modules)]
    return float(subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout)


def main(argv: list[str] | None = None) -> int:
    options = parser(__doc__).parse_args(argv)
    n_rounds = options.rounds * (QUICK_ROUNDS if options.quick else ROUNDS)
    seconds: dict[str, list[float]] = {OURS: [], THEIRS: []}
    # `_common.rounds` would time the process; here the process times itself. The first round fills the disk's cache.
    for turn in range(n_rounds + 1):
        for modules in sorted(seconds, reverse=bool(turn % 2)):
            taken = measure(SECONDS, modules)
            if turn:
                seconds[modules].append(taken)
    case = timed(
        f"import {OURS} / import {THEIRS}",
        seconds[OURS],
        seconds[THEIRS],
        goal=GOAL,
        at_most=True,
        ours_mb=measure(MEGABYTES, OURS),
        peer_mb=measure(MEGABYTES, THEIRS),
    )
    report([case], environment(), as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
