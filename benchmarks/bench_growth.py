"""Do time and memory grow no faster than the number of rows, and for as many numbers in all not with the classes?

Gates, isotonic calibration, and the reliability table of all classes: against the number of rows at 20 classes, and
against the number of classes where rows times classes are held at four million.
By hand: plain gates, np.interp for each class, calibration_curve for each class. The slope is that of the straight line
through the logarithms of cost and size; against rows over the last two decades, where calls no longer count. Linear
time has slope 1 against rows, 0 against classes. Memory is what is held beyond the inputs, results included.

Run with OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1; only ratios and slopes mean anything on a shared machine.
"""  # noqa: D400

import json
import statistics
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from _common import environment, parser, peak_memory, rounds
from bench_apply import isotonic_by_hand, overconfident
from bench_gates import log_entropy, make_policy, plain_routes
from bench_reliability import N_BINS, make_data
from sklearn.calibration import calibration_curve

from skroute import reliability_table
from skroute.calibration import PerClassCalibrator

ROWS = [1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000]
CLASSES = [3, 10, 30, 100, 300, 1000]
N_CLASSES, CELLS = 20, 4_000_000
FIT_ROWS = 5000
# Smaller by this factor, in rows and cells.
QUICK = 10
SLOPE_DECADES = 2.0


def works(n_rows: int, n_classes: int) -> dict[str, dict[str, Callable[[], Any]]]:
    """Return ours and the one by hand for each piece of work."""
    y, proba = make_data(n_rows, n_classes)
    policy = make_policy(n_classes)
    classes = np.arange(n_classes)
    y_fit, proba_fit = make_data(FIT_ROWS, n_classes, seed=1)
    calibrator = PerClassCalibrator("isotonic").fit(overconfident(proba_fit), y_fit, classes=classes)
    by_hand = isotonic_by_hand(calibrator.calibrators_)
    return {
        "gates": {
            "ours": lambda: policy.decide(proba),
            "by hand": lambda: plain_routes(proba, policy, log_entropy),
        },
        "calibrate, isotonic": {
            "ours": lambda: calibrator.predict_proba(proba),
            "by hand": lambda: by_hand(proba),
        },
        "reliability of all classes": {
            "ours": lambda: reliability_table(y, proba, classes=classes, kind="classwise", n_bins=N_BINS),
            "by hand": lambda: [calibration_curve(y == c, proba[:, c], n_bins=N_BINS) for c in classes],
        },
    }


def time_sizes(against: str, sizes: list[tuple[int, int]], n_rounds: int) -> list[dict[str, Any]]:
    """Return one line for each piece of work and whose it is: sizes, milliseconds and megabytes."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for n_rows, n_classes in sizes:
        for work, calls in works(n_rows, n_classes).items():
            seconds = rounds(calls, n_rounds)
            for whose, call in calls.items():
                empty = {"growth": work, "whose": whose, "against": against, "n": [], "k": [], "ms": [], "mb": []}
                line = found.setdefault((work, whose), empty)
                line["n"].append(n_rows)
                line["k"].append(n_classes)
                line["ms"].append(1e3 * statistics.median(seconds[whose]))
                line["mb"].append(peak_memory(call))
    for line in found.values():
        line["slope"] = slope(line["n" if against == "rows" else "k"], line["ms"], against)
        line["slope_mb"] = slope(line["n" if against == "rows" else "k"], line["mb"], against)
    return list(found.values())


def slope(sizes: list[int], cost: list[float], against: str) -> float:
    """Return the slope of the straight line through the logarithms."""
    size = np.log10(sizes)
    last = size >= size.max() - SLOPE_DECADES - 1e-9 if against == "rows" else np.ones(len(size), bool)
    return float(np.polyfit(size[last], np.log10(cost)[last], 1)[0])


def main(argv: list[str] | None = None) -> int:
    options = parser(__doc__).parse_args(argv)
    factor = QUICK if options.quick else 1
    by_rows = [(n, N_CLASSES) for n in ROWS if n <= max(ROWS) // factor]
    by_classes = [(CELLS // factor // k, k) for k in CLASSES]
    cases = time_sizes("rows", by_rows, options.rounds) + time_sizes("classes", by_classes, options.rounds)
    if options.json:
        for line in (environment(), *cases):
            print(json.dumps(line))
        return 0
    for line in cases:
        print(
            f"{line['growth']}, {line['whose']}, against {line['against']}: slope {line['slope']:.2f} in time, "
            f"{line['slope_mb']:.2f} in memory"
        )
        for n, k, ms, mb in zip(line["n"], line["k"], line["ms"], line["mb"], strict=True):
            print(f"{n:>12} x {k:<6}{ms:>12.4g} ms{mb:>10.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
