"""How much faster is one row calibrated and routed, with its checks, than by scikit-learn and plain gates?

Ten classes, a frozen model that returns stored probabilities at no cost, so that what is timed is what comes after the
model. predict_route of RoutingClassifier against predict_proba of CalibratedClassifierCV and the plain gates of
`bench_gates.py`, and against the same by hand, from np.interp or the formula, without any check. scikit-learn has no
"auto"; its default, "sigmoid", stands against it. Rows come one at a time and are all different.

Run with OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1; only the ratios mean anything on a shared machine.
"""  # noqa: D400

import sys
from collections.abc import Callable
from typing import Any

from _common import compare, environment, parser, report
from _replays import calibrated_pair, calibrators_of
from bench_apply import BY_HAND, Matrix, overconfident
from bench_gates import log_entropy, make_policy, plain_routes
from bench_reliability import make_data

N_CLASSES, FIT_ROWS = 10, 5000
METHODS = ("isotonic", "sigmoid", "temperature", "auto")
GOAL = 30
# Calls in a round.
REPEATS, QUICK_REPEATS = 200, 50


def time_row(method: str, repeats: int, n_rounds: int) -> list[dict[str, Any]]:
    """Compare the way of one row from its scores to its route."""
    y, proba = make_data(FIT_ROWS, N_CLASSES)
    theirs, ours = calibrated_pair(method, overconfident(proba), y, policy=make_policy(N_CLASSES))
    new = overconfident(make_data(repeats, N_CLASSES, seed=1)[1])
    rows = [new[i : i + 1] for i in range(repeats)]
    policy = ours.policy_

    def one_by_one(routes_of: Callable[[Matrix], Any]) -> Callable[[], list[str]]:
        return lambda: [routes_of(row)[0] for row in rows]

    call = one_by_one(ours.predict_route)
    assert call() == ours.predict_route(new).tolist()
    peer = "scikit-learn and plain gates"
    peers = {peer: one_by_one(lambda row: plain_routes(theirs.predict_proba(row), policy, log_entropy))}
    if method in BY_HAND:
        by_hand = BY_HAND[method](calibrators_of(ours))
        peers["by hand"] = one_by_one(lambda row: plain_routes(by_hand(row), policy, log_entropy))
        assert peers["by hand"]() == call()
    return compare(f"one row, {method}, K = {N_CLASSES}", call, peers, n_rounds, goals={peer: GOAL}, repeats=repeats)


def main(argv: list[str] | None = None) -> int:
    options = parser(__doc__).parse_args(argv)
    repeats = QUICK_REPEATS if options.quick else REPEATS
    cases = [line for method in METHODS for line in time_row(method, repeats, options.rounds)]
    report(cases, environment(), as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
