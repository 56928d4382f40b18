"""How long do exact thresholds take, in units of one sort of as many numbers, and with how much memory?

A million rows whose top class, confidence and cost are known, 77 classes: the order of all rows, the exact sweep for
the thresholds of least cost, and a certificate for every class. The unit is one `np.sort` of a million doubles.
Run with OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1; only the ratios mean anything on a shared machine.
"""  # noqa: D400

import sys
from typing import Any

import numpy as np
from _common import environment, parser, peak_memory, ratio, report, rounds

from skroute.policies._certify import certify_class
from skroute.policies._sweep import best_thresholds, score_order

N_ROWS, N_CLASSES = 1_000_000, 77
# The unit that memory is told in: an array of one double a row.
QUICK = 50


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
        return [certify_class(confidence[part], wrong[part], max_error=0.05, risk=0.1) for part in parts]

    calls = {"sort": lambda: np.sort(confidence), "sweep": sweep, "certificates": certificates}
    seconds = rounds(calls, options.rounds)
    cases = []
    for name, goal in (("sweep", 12), ("certificates", 8)):
        found = ratio(seconds[name], seconds["sort"])
        peak = peak_memory(calls[name])
        cases.append({"case": f"{name}, {n_rows} x {N_CLASSES}", "goal": goal, **found, "ms": 1e3 * min(seconds[name]),
                      "arrays": peak * 1e6 / (8 * n_rows)})  # fmt: skip
    if options.json:
        report(cases, environment(), as_json=True)
        return 0
    print(f"{'case':<34}{'sorts':>8}{'least-largest':>16}{'goal':>7}{'least ms':>10}{'arrays of n':>13}")
    for case in cases:
        spread = f"{case['least']:.1f}-{case['largest']:.1f}"
        goal = f"{case['goal']:g}" + ("" if case["ratio"] <= case["goal"] else " *")
        print(f"{case['case']:<34}{case['ratio']:>8.1f}{spread:>16}{goal:>7}{case['ms']:>10.1f}{case['arrays']:>13.1f}")
    print("* goal not reached; at most 12 arrays of n doubles are the goal for memory")
    return 0


if __name__ == "__main__":
    sys.exit(main())
