"""How fast is everything, against which peers, with how much memory, and which goals are not reached?

    python -m benchmarks [--quick] [--only NAME ...] [--output FILE] [--write]

Runs every benchmark of speed in a process of its own, with one thread for linear algebra, and prints one table. All
figures are ratios of interleaved medians. A full run writes docs/benchmarks/speed.md with its plot, and speed.json with
machine, versions and every figure; one with --quick or --only does so only where told: --write, or --output for the
JSON alone.
"""  # noqa: D400

import argparse
import ast
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

# The scripts beside this one import each other by their plain names, as they do when they are run alone.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from _common import PINS, parser, reached, report
from _speed_page import write_page, write_plot

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent / "docs" / "benchmarks"
# In the order of the page.
NAMES = ("gates", "apply", "one_row", "fit", "reliability", "thresholds", "search", "workers", "import", "growth")


def question_of(script: Path) -> str:
    """Return the question that a script answers: the first line of its docstring."""
    return (ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or "").split("\n\n")[0].replace("\n", " ")


def run(name: str, flags: list[str]) -> dict[str, Any] | None:
    """Return question, machine, cases and seconds of one script; None where it fails."""
    script = HERE / f"bench_{name}.py"
    start = time.perf_counter()
    command = [sys.executable, str(script), "--json", *flags]
    done = subprocess.run(command, env=os.environ | PINS, stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - start
    print(f"{name}: {seconds:.0f} s" + (", failed" if done.returncode else ""), file=sys.stderr, flush=True)
    if done.returncode:
        return None
    machine, *cases = (json.loads(line) for line in done.stdout.splitlines())
    return {"question": question_of(script), "seconds": round(seconds, 1), "machine": machine, "cases": cases}


def print_all(results: dict[str, Any]) -> None:
    """Print the table of all cases, and the slopes."""
    cases = [case for result in results.values() for case in result["cases"]]
    machines = [result["machine"] for result in results.values()]
    # Each script names the packages of its peers.
    versions = {name: version for machine in machines for name, version in machine["versions"].items()}
    report([case for case in cases if "ratio" in case], machines[0] | {"versions": versions}, as_json=False)
    for line in (case for case in cases if "growth" in case):
        print(
            f"{line['growth']}, {line['whose']}, against {line['against']}: slope {line['slope']:.2f} in time, "
            f"{line['slope_mb']:.2f} in memory"
        )
    judged = [reached(case) for case in cases if "ratio" in case and reached(case) is not None]
    print(f"{sum(judged)} of {len(judged)} goals reached")


def read_options(argv: list[str] | None) -> argparse.Namespace:
    """Return the options, checked against each other."""
    options = parser(__doc__)
    options.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES), metavar="NAME", help=", ".join(NAMES))
    options.add_argument("--output", type=Path, help="where the JSON goes besides")
    options.add_argument("--write", action="store_true", help="write the page though the run is quick")
    chosen = options.parse_args(argv)
    if chosen.rounds < 5:
        options.error("--rounds must be at least 5")
    if chosen.write and set(chosen.only) != set(NAMES):
        options.error("--write needs all benchmarks: the page holds every figure")
    return chosen


def main(argv: list[str] | None = None) -> int:
    options = read_options(argv)
    flags = ["--rounds", str(options.rounds), *(["--quick"] if options.quick else [])]
    found = {name: run(name, flags) for name in NAMES if name in options.only}
    results = {name: result for name, result in found.items() if result is not None}
    complete = set(results) == set(NAMES)
    text = json.dumps({"quick": options.quick, "rounds": options.rounds, "results": results}, indent=1) + "\n"
    if options.output:
        options.output.write_text(text, encoding="utf-8")
    if complete and (options.write or not options.quick):
        DOCS.mkdir(parents=True, exist_ok=True)
        (DOCS / "speed.json").write_text(text, encoding="utf-8")
        write_plot(DOCS / "speed_growth.png", results["growth"]["cases"])
        write_page(DOCS / "speed.md", results, quick=options.quick, n_rounds=options.rounds)
    if options.json:
        print(text, end="")
    elif results:
        print_all(results)
    return 0 if len(results) == len(found) else 1


if __name__ == "__main__":
    sys.exit(main())
