"""Answer whether the intervals of a reliability table cover as promised, and how often an inverted mark is false.

Coverage: the exact least coverage of the interval of one bin over a grid of true accuracies, and the share of bins in
simulated tables whose interval holds the mean true accuracy of their rows. False alarms: the share of tables with any
`inverted` mark although the true accuracy is the same in all bins, which is the worst case.

    python benchmarks/sim_reliability.py [--quick]
"""

import argparse

import numpy as np
from scipy.stats import binom

from skroute.reliability import exact_interval, reliability_table

SEED = 0
TABLES, QUICK = 2000, 100
SIZES = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
ACCURACIES = np.linspace(0.005, 0.995, 199)
CLASSES = ("a", "b", "c")


def least_coverage(n, level=0.95):
    """Return the least probability, over the grid, that the interval of n rows holds the true accuracy."""
    hits = np.arange(n + 1)
    low, high = exact_interval(hits, n, confidence_level=level)
    return min(
        float(binom.pmf(hits, n, accuracy) @ ((low <= accuracy) & (accuracy <= high))) for accuracy in ACCURACIES
    )


def bins_covered(n, tables, weighted=False):
    """Return the share of filled bins whose interval holds the mean true accuracy of their rows."""
    rng = np.random.default_rng(SEED)
    covered = filled = 0
    for _ in range(tables):
        stated = rng.beta(2.0, 1.0, size=n)
        accuracy = stated**1.3
        right = rng.random(n) < accuracy
        weight = rng.exponential(size=n) if weighted else np.ones(n)
        table = reliability_table(
            right, y_pred=np.ones(n, dtype=bool), confidence=stated, classes=[False, True], sample_weight=weight
        )
        rows = table.of("True")
        place = np.minimum((stated * 10).astype(int), 9)
        some = rows.count > 0
        truth = np.bincount(place, weight * accuracy, 10)[some] / np.bincount(place, weight, 10)[some]
        covered += np.sum((rows.interval_low[some] <= truth) & (truth <= rows.interval_high[some]))
        filled += some.sum()
    return covered / filled


def false_alarms(n, accuracy, kind, tables):
    """Return the share of tables with any mark where confidence says nothing about accuracy."""
    rng = np.random.default_rng(SEED)
    alarms = 0
    for _ in range(tables):
        if kind == "classwise":
            truth = rng.choice(CLASSES, size=n)
            table = reliability_table(truth, rng.dirichlet(np.ones(3), size=n), classes=CLASSES, kind=kind)
        else:
            predicted = rng.integers(0, 3, size=n)
            truth = np.where(rng.random(n) < accuracy, predicted, (predicted + 1) % 3)
            table = reliability_table(truth, y_pred=predicted, confidence=rng.random(n), classes=range(3))
        alarms += bool(table.rows.inverted.any())
    return alarms / tables


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} tables in place of {TABLES}")
    tables = QUICK if parser.parse_args().quick else TABLES
    print(
        "Coverage of the 95 % interval: least over all true accuracies; bins of simulated tables; the same, weighted."
    )
    print(f"{'rows':>5} {'least':>8} {'tables':>8} {'weighted':>9}")
    for n in SIZES:
        simulated = [bins_covered(n, max(tables // 10, 20), weighted) for weighted in (False, True)]
        print(f"{n:5} {least_coverage(n):8.4f} {simulated[0]:8.4f} {simulated[1]:9.4f}", flush=True)
    print(f"\nShare of {tables} tables with a false inverted mark; promised: at most 0.05.")
    print(f"{'rows':>5} {'kind':10} {'accuracy':>8} {'rate':>7}")
    for n in (500, 2000, 10000):
        for kind, accuracy in (("top-label", 0.5), ("top-label", 0.95), ("classwise", 1 / 3)):
            rate = false_alarms(n, accuracy, kind, tables)
            print(f"{n:5} {kind:10} {accuracy:8.2f} {rate:7.4f}", flush=True)


if __name__ == "__main__":
    main()
