"""How long do exact thresholds take, in units of one sort of as many numbers, and with how much memory?

A million rows whose top class, confidence and cost are known, 77 classes: the order of all rows, the exact sweep for
the thresholds of least cost, and a certificate for every class. The unit is one `np.sort` of a million doubles.
Peers: what one would write by hand, class by class: a sort and a running sum for the sweep; for certificates, binomial
tests at a hundred thresholds with the risk divided among them, which promise as much and route less.

Run with OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1; only the ratios mean anything on a shared machine.
"""  # noqa: D400

import sys
from typing import Any

import numpy as np
from _common import environment, parser, peak_memory, report, rounds, timed
from numpy.typing import NDArray
from scipy.stats import binom

from skroute.policies._certify import certify_class
from skroute.policies._sweep import best_thresholds, score_order

N_ROWS, N_CLASSES = 1_000_000, 77
MAX_ERROR, RISK = 0.05, 0.1
# At most so many sorts, and so many arrays of one double a row.
GOALS = {"sweep": 12, "certificates": 8}
MOST_ARRAYS = 12
QUICK = 50


def sweep_by_hand(
    confidence: NDArray[np.float64], top: NDArray[np.integer], delta: NDArray[np.float64]
) -> NDArray[np.float64]:
    thresholds = np.full(N_CLASSES, np.inf)
    for c in range(N_CLASSES):
        scores, costs = confidence[top == c], delta[top == c]
        order = np.argsort(-scores)
        running = np.cumsum(costs[order])
        best = running.argmin()
        if running[best] < 0.0:
            thresholds[c] = scores[order[best]]
    return thresholds


def certificates_by_hand(
    confidence: NDArray[np.float64], top: NDArray[np.integer], wrong: NDArray[np.bool_]
) -> NDArray[np.float64]:
    grid = np.linspace(0.0, 0.99, 100)
    thresholds = np.full(N_CLASSES, np.inf)
    for c in range(N_CLASSES):
        scores, errors = confidence[top == c], wrong[top == c]
        order = np.argsort(scores)
        first = np.searchsorted(scores[order], grid)
        n_wrong = np.append(np.cumsum(errors[order][::-1])[::-1], 0)[first]
        passed = binom.cdf(n_wrong, len(scores) - first, MAX_ERROR) <= RISK / len(grid)
        if passed.any():
            thresholds[c] = grid[passed][0]
    return thresholds


def main(argv: list[str] | None = None) -> int:
    options = parser(__doc__).parse_args(argv)
    n_rows = N_ROWS // (QUICK if options.quick else 1)
    rng = np.random.default_rng(0)
    top = rng.integers(0, N_CLASSES, n_rows)
    confidence = rng.beta(5.0, 1.0, n_rows)
    wrong = rng.random(n_rows) > confidence
    delta = np.where(wrong, 20.0, -1.0)

    def sweep() -> Any:
        return best_thresholds(score_order(confidence, top, N_CLASSES), delta)

    def certificates() -> Any:
        order = np.argsort(top.astype(np.uint8), kind="stable")
        parts = np.split(order, np.cumsum(np.bincount(top, minlength=N_CLASSES))[:-1])
        return [certify_class(confidence[part], wrong[part], max_error=MAX_ERROR, risk=RISK) for part in parts]

    calls = {
        "sort": lambda: np.sort(confidence),
        "sweep": sweep,
        "certificates": certificates,
        "sweep by hand": lambda: sweep_by_hand(confidence, top, delta),
        "certificates by hand": lambda: certificates_by_hand(confidence, top, wrong),
    }
    np.testing.assert_array_equal(sweep()[0], calls["sweep by hand"]())
    seconds = rounds(calls, options.rounds)
    memory = {name: peak_memory(call) for name, call in calls.items()}
    cases = []
    for name, goal in GOALS.items():
        for peer in ("sort", f"{name} by hand"):
            unit = peer == "sort"
            cases.append(
                timed(
                    f"{name}, {n_rows} x {N_CLASSES} / {'one np.sort' if unit else 'by hand'}",
                    seconds[name],
                    seconds[peer],
                    goal=goal if unit else None,
                    at_most=unit,
                    ours_mb=memory[name],
                    peer_mb=memory[peer],
                    goal_mb=MOST_ARRAYS * 8e-6 * n_rows if unit else None,
                )
            )
    report(cases, environment(), as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
