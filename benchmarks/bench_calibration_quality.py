"""How good are calibrated probabilities, ours and those of all calibrators at hand, on many data sets?

A base model is fitted on one part of each data set, every calibrator on 200, 1000 and 5000 rows of a second one, and
all figures come from a third. The splits that a data set brings along are kept: rows marked as test are only scored.
Scores of base models and all results are kept in a folder, so that a run that was stopped goes on where it was, and one
method can be measured again alone (--refresh). The summary covers whatever is kept for the chosen data sets.

Run with OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1. Peers that are not installed are left out and named:
pip install betacal netcal tqdm venn-abers probmetrics numba matplotlib pandas. A cell is a data set, a base model,
a seed and a number of rows to calibrate with, at least five a class.
"""  # noqa: D400

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _common import environment, optional, parser, rounds
from _quality_data import SETS
from _quality_measures import MEASURES, measure
from _quality_methods import METHODS, absent_methods, make_method, prepare, runs_on
from _quality_report import write_page, write_plot
from _quality_scores import Scores, build_scores, load_scores, score_file
from _quality_summary import CELL, goals, summary
from joblib import Parallel, delayed

REPOSITORY = Path(__file__).resolve().parents[1]
SIZES = (200, 1000, 5000)
MIN_ROWS_A_CLASS = 5
COLUMNS = [*CELL, "n_classes", "method", *MEASURES, "fit_seconds", "failure"]
# How far rows may be from summing to one; what float32 loses over many classes is no failure.
SUM_TOLERANCE = 1e-3
TIMED, MOST_TIMED = ("auto", "probmetrics-sms"), 2


def planned_files(options: argparse.Namespace) -> list[tuple[str, str, int]]:
    """Return data set, base model and seed of every file of scores that the run takes."""
    plan = []
    for name, data in SETS.items():
        if name not in options.sets or (data.file and not (options.data / data.file).exists()):
            continue
        models = data.quick_models if options.quick and data.quick_models else data.models
        n_seeds = min(data.n_quick if options.quick else data.n_seeds, options.seeds)
        plan += [(name, model, seed) for seed in range(n_seeds) for model in models]
    return plan


def planned_cells(options: argparse.Namespace, files: list[tuple[str, str, int]]) -> list[tuple[str, str, int, int]]:
    """Return data set, base model, seed and rows to calibrate with; the files must be there."""
    cells = []
    for name, model, seed in files:
        n_rows, n_classes = load_scores(score_file(options.cache, name, model, seed)).cal.shape
        # A row or two of 5000 may be of a class that the base model never saw.
        fits = [n for n in options.sizes if 0.99 * n <= n_rows and n >= MIN_ROWS_A_CLASS * n_classes]
        cells += [(name, model, seed, n) for n in fits]
    return cells


def run_cell(cell: tuple[str, str, int, int], methods: list[str], cache: Path) -> list[dict[str, Any]]:
    """Return one row of results for each method that is quick enough for the cell."""
    prepare()
    name, model, seed, n = cell
    scores = load_scores(score_file(cache, name, model, seed))
    n_classes = scores.cal.shape[1]
    key = {**dict(zip(CELL, cell, strict=True)), "n_classes": n_classes}
    return [
        {**key, "method": method, **try_method(method, scores, n)}
        for method in methods
        if runs_on(method, n_classes, n)
    ]


def try_method(method: str, scores: Scores, n_rows: int) -> dict[str, Any]:
    """Fit a method on the first rows and measure it on the others; a failure is a result."""
    try:
        start = time.perf_counter()
        fitted = make_method(method, scores.kind).fit(scores.cal[:n_rows], scores.y_cal[:n_rows])
        seconds = time.perf_counter() - start
        proba = fitted.predict_proba(scores.test)
        if proba.shape != scores.test.shape or not np.abs(proba.sum(axis=1) - 1.0).max() < SUM_TOLERANCE:
            raise ArithmeticError("not probabilities of all classes")
        return {**measure(proba, scores.y_test), "fit_seconds": seconds, "failure": ""}
    except Exception as failure:  # A peer may raise anything, and the others go on.
        return {"failure": f"{type(failure).__name__}: {failure}"[:120].replace("\n", " ")}


def read_results(path: Path) -> pd.DataFrame:
    """Return all results that are kept."""
    if not path.exists() or not path.stat().st_size:
        return pd.DataFrame(columns=COLUMNS)
    return pd.read_csv(path, keep_default_na=False, na_values={column: [""] for column in [*MEASURES, "fit_seconds"]})


def run(options: argparse.Namespace, files: list[tuple[str, str, int]]) -> pd.DataFrame:
    """Fit what is not kept yet, and return the results of all cells that were asked for."""
    options.cache.mkdir(parents=True, exist_ok=True)
    missing = [file for file in files if not score_file(options.cache, *file).exists()]
    parallel = Parallel(options.jobs, return_as="generator_unordered")
    for line in parallel(delayed(build_scores)(options.cache, *file, options.data) for file in missing):
        print(line, file=sys.stderr, flush=True)
    cells = planned_cells(options, files)
    path = options.cache / "results.csv"
    kept = read_results(path)
    if options.refresh:
        asked = kept[CELL].apply(tuple, axis=1).isin(cells)
        kept = kept[~(asked & kept["method"].isin(options.refresh))]
        kept.to_csv(path, index=False)
    done = set(kept[[*CELL, "method"]].itertuples(index=False, name=None))
    left = {cell: [method for method in options.methods if (*cell, method) not in done] for cell in cells}
    left = {cell: methods for cell, methods in left.items() if methods}
    results = parallel(delayed(run_cell)(cell, methods, options.cache) for cell, methods in left.items())
    with path.open("a", encoding="utf-8", newline="") as file:
        for i, rows in enumerate(results, start=1):
            frame = pd.DataFrame(rows, columns=COLUMNS)
            frame.to_csv(file, index=False, header=file.tell() == 0)
            file.flush()
            if i % 25 == 0 or i == len(left):
                print(f"{i} of {len(left)} cells", file=sys.stderr, flush=True)
    return read_results(path).merge(pd.DataFrame(cells, columns=CELL))


def time_fits(options: argparse.Namespace, results: pd.DataFrame) -> list[dict[str, Any]]:
    """Time ours and the strongest peer turn by turn, on a few cells for every number of classes."""
    n_cells, n_rounds = (1, 2) if options.quick else (MOST_TIMED, options.rounds)
    cells = results[(results["n_cal"] == SIZES[-1]) & (results["seed"] == 0)]
    fitted = cells[cells["method"].isin(TIMED) & (cells["failure"] == "")].groupby(["n_classes", *CELL]).size()
    timed = []
    # One cell for every base model, of whichever data set is last.
    both = fitted[fitted == len(TIMED)].reset_index().drop_duplicates(["n_classes", "model"], keep="last")
    for key in both.groupby("n_classes").head(n_cells)[["n_classes", *CELL]].itertuples(index=False):
        scores = load_scores(score_file(options.cache, key.set, key.model, key.seed))

        def fit(method: str, scores: Scores = scores, n: int = key.n_cal) -> Any:
            return make_method(method, scores.kind).fit(scores.cal[:n], scores.y_cal[:n])

        seconds = rounds({method: lambda method=method, fit=fit: fit(method) for method in TIMED}, n_rounds)
        ours, peer = (float(np.median(seconds[method])) for method in TIMED)
        timed.append({"n_classes": key.n_classes, "cell": f"{key.set} {key.model}", "ours": ours, "peer": peer})
    return timed


def parse(argv: list[str] | None) -> argparse.Namespace:
    def words(text: str) -> list[str]:
        return text.split(",")

    options = parser(__doc__)
    options.add_argument("--data", type=Path, default=REPOSITORY.parent / "shared" / "data", help="folder of data")
    options.add_argument(
        "--cache", type=Path, default=Path(tempfile.gettempdir()) / "skroute_quality", help="folder of kept results"
    )
    options.add_argument("--methods", type=words, default=list(METHODS), help="run these; all: " + ",".join(METHODS))
    options.add_argument("--sets", type=words, default=list(SETS), help="of " + ",".join(SETS))
    options.add_argument("--sizes", type=lambda text: [int(n) for n in words(text)], default=list(SIZES))
    options.add_argument("--seeds", type=int, default=100, help="at most so many")
    options.add_argument("--refresh", type=words, default=[], help="measure these methods anew")
    options.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    options.add_argument("--out", type=Path, help="folder of page and plot; docs/benchmarks if nothing is left out")
    chosen = options.parse_args(argv)
    for given, known in ((chosen.methods + chosen.refresh, METHODS), (chosen.sets, SETS)):
        if unknown := set(given) - set(known):
            options.error(f"unknown: {', '.join(sorted(unknown))}")
    whole = all(getattr(chosen, name) == options.get_default(name) for name in ("sets", "sizes", "seeds"))
    if chosen.out is None and whole:
        chosen.out = REPOSITORY / "docs" / "benchmarks"
    return chosen


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    prepare()
    absent = absent_methods()
    options.methods = [name for name in options.methods if name not in absent]
    no_file = [name for name in options.sets if SETS[name].file and not (options.data / SETS[name].file).exists()]
    for what, names in (("methods that are not there", absent), ("data sets that are not there", no_file)):
        if names:
            print(f"{what}: {', '.join(names)}", file=sys.stderr)
    files = planned_files(options)
    if not files:
        print("there is nothing to measure", file=sys.stderr)
        return 1
    start = time.perf_counter()
    results = run(options, files)
    timed = time_fits(options, results)
    print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
    found, text = goals(results, timed), summary(results, timed)
    machine = environment("betacal", "netcal", "venn-abers", "probmetrics", "torch")
    if options.json:
        for line in (machine, *(goal._asdict() for goal in found)):
            print(json.dumps(line))
    else:
        print(text)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        write_page(options.out / "calibration_quality.md", text, machine, quick=options.quick, absent=absent + no_file)
        if optional("matplotlib"):
            write_plot(options.out / "calibration_quality.png", results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
