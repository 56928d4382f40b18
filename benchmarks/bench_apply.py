"""How much faster are scores calibrated, and calibrated and routed, than by scikit-learn and by plain NumPy?

Calibration: predict_proba of RoutingClassifier against that of CalibratedClassifierCV, both on a frozen model that
returns stored probabilities at no cost, with the same calibration rows. Isotonic curves get a chosen number of knots,
placed where the scores are. By hand: np.interp for each class, or the formula on the whole matrix, then rows divided by
their sums; nothing is checked. Maps that are the same must agree to 1e-12; sigmoid and temperature of the two libraries
are fitted apart, and must agree to 1e-6. scikit-learn has no beta calibration. Nor has it our default, "auto", which is
a pool of methods and another map: its time beside that of scikit-learn's default, "sigmoid", says what the pool costs.

Routing: predict_route against scikit-learn's predict_proba, or the same by hand, followed by the plain gates of
`bench_gates.py`. Memory is what is held beyond the rows and the result.

Run with OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1; only the ratios mean anything on a shared machine.
"""  # noqa: D400

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from _common import compare, environment, parser, report
from _replays import calibrated_pair, calibrators_of, normalise
from bench_gates import log_entropy, make_policy, plain_routes
from bench_reliability import make_data
from numpy.typing import NDArray
from sklearn.base import clone

Matrix = NDArray[np.float64]

SIZES = [(1_000_000, 3), (150_000, 20), (40_000, 77)]
KNOTS = (30, 300, 3000)
# Rows for the calibrators that need no chosen number of knots.
FIT_ROWS, QUICK_FIT_ROWS = 20_000, 4000
GOAL, STRETCH = 4, 5
GOAL_FUSED, STRETCH_FUSED, MOST_MB = 5, 8, 16
QUICK = 10
# Three thousand knots for each of 77 classes take a quarter of a million rows to fit.
MOST_QUICK_KNOTS = 25_000


def overconfident(proba: Matrix) -> Matrix:
    """Return what a model would say that is surer than it may be."""
    return normalise(proba**1.5)


def staircase(proba: Matrix, n_knots: int) -> tuple[Matrix, NDArray[np.intp], NDArray[np.float64]]:
    """Return rows, labels and weights on which the isotonic curve of every class has exactly so many knots.

    The knots of a class lie at quantiles of its scores, one in each row of a grid, and the share of the class rises
    from one to the next. As the shares of a row sum to one, half of the classes rise while the others fall; these have
    their knots in reverse. Every row of the grid is repeated once for each label, weighted by its share.
    """
    n_classes = proba.shape[1]
    knots = np.quantile(proba, np.linspace(0.0, 1.0, n_knots), axis=0)
    falling = np.arange(n_classes) % 2 == 1
    knots[:, falling] = knots[::-1, falling]
    rise = (np.arange(n_knots)[:, np.newaxis] + 1.0) / (n_knots + 1.0)
    weight = np.where(falling, (1.0 - rise) / falling.sum(), rise / (~falling).sum())
    return np.repeat(knots, n_classes, axis=0), np.tile(np.arange(n_classes), n_knots), weight.ravel()


def isotonic_by_hand(fitted: list[Any]) -> Callable[[Matrix], Matrix]:
    def predict(proba: Matrix) -> Matrix:
        columns = [np.interp(proba[:, k], one.scores_, one.proba_) for k, one in enumerate(fitted)]
        return normalise(np.column_stack(columns))

    return predict


def sigmoid_by_hand(fitted: list[Any]) -> Callable[[Matrix], Matrix]:
    a, b = np.array([(one.a_, one.b_) for one in fitted]).T
    return lambda proba: normalise(1.0 / (1.0 + np.exp(a * proba + b)))


def beta_by_hand(fitted: list[Any]) -> Callable[[Matrix], Matrix]:
    a, b, c = np.array([(one.a_, one.b_, one.c_) for one in fitted]).T

    def predict(proba: Matrix) -> Matrix:
        inside = np.clip(proba, 1e-12, 1.0 - 1e-12)
        return normalise(1.0 / (1.0 + np.exp(-(a * np.log(inside) - b * np.log1p(-inside) + c))))

    return predict


def temperature_by_hand(fitted: list[Any]) -> Callable[[Matrix], Matrix]:
    def predict(proba: Matrix) -> Matrix:
        logits = fitted[0].beta_ * np.log(proba + 1e-12)
        logits = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: Matrix = logits / logits.sum(axis=1, keepdims=True)
        return shares

    return predict


BY_HAND = {"isotonic": isotonic_by_hand, "sigmoid": sigmoid_by_hand, "temperature": temperature_by_hand}


def time_method(
    method: str, proba: Matrix, rows: tuple[Any, ...], n_rounds: int, *, n_knots: int = 0
) -> list[dict[str, Any]]:
    """Compare the calibration of all rows."""
    theirs, ours = calibrated_pair(method, *rows[:2], weight=rows[2] if len(rows) > 2 else None)
    by_hand = BY_HAND[method](calibrators_of(ours))
    np.testing.assert_allclose(ours.predict_proba(proba), by_hand(proba), atol=1e-12)
    tolerance = 1e-12 if method == "isotonic" else 1e-6
    np.testing.assert_allclose(ours.predict_proba(proba), theirs.predict_proba(proba), atol=tolerance)
    what = f"{method}, {n_knots} knots" if n_knots else method
    return compare(
        f"calibrate, {what}, {len(proba)} x {proba.shape[1]}",
        lambda: ours.predict_proba(proba),
        {"scikit-learn": lambda: theirs.predict_proba(proba), "by hand": lambda: by_hand(proba)},
        n_rounds,
        goals={"scikit-learn": GOAL},
        stretch=STRETCH,
        beyond_result=True,
    )


def time_beta(proba: Matrix, rows: tuple[Any, ...], n_rounds: int) -> list[dict[str, Any]]:
    """Compare beta calibration with its formula."""
    ours = clone(calibrated_pair("sigmoid", *rows)[1]).set_params(method="beta").fit(*rows)
    by_hand = beta_by_hand(calibrators_of(ours))
    np.testing.assert_allclose(ours.predict_proba(proba), by_hand(proba), atol=1e-9)
    return compare(
        f"calibrate, beta, {len(proba)} x {proba.shape[1]}",
        lambda: ours.predict_proba(proba),
        {"by hand": lambda: by_hand(proba)},
        n_rounds,
        beyond_result=True,
    )


def time_default(proba: Matrix, rows: tuple[Any, ...], n_rounds: int) -> list[dict[str, Any]]:
    """Compare the defaults of both libraries."""
    theirs, ours = calibrated_pair("auto", *rows)
    return compare(
        f"calibrate, auto (the default), {len(proba)} x {proba.shape[1]}",
        lambda: ours.predict_proba(proba),
        {"scikit-learn, sigmoid (its default)": lambda: theirs.predict_proba(proba)},
        n_rounds,
        beyond_result=True,
    )


def time_routes(method: str, proba: Matrix, rows: tuple[Any, ...], n_rounds: int) -> list[dict[str, Any]]:
    """Compare calibration and routing together."""
    theirs, ours = calibrated_pair(method, *rows, policy=make_policy(proba.shape[1]))
    fitted = calibrators_of(ours)
    by_hand, policy = BY_HAND[method](fitted), ours.policy_

    def peer() -> NDArray[np.str_]:
        return plain_routes(theirs.predict_proba(proba), policy, log_entropy)

    def plain() -> NDArray[np.str_]:
        return plain_routes(by_hand(proba), policy, log_entropy)

    # Calibrators that differ in the eighth digit may differ in the route of a row that is on the edge.
    assert (ours.predict_route(proba) == peer()).mean() > 0.9999
    knots = [len(one.scores_) for one in fitted] if method == "isotonic" else []
    what = f"isotonic, {min(knots)}-{max(knots)} knots" if knots else method
    return compare(
        f"calibrate and route, {what}, {len(proba)} x {proba.shape[1]}",
        lambda: ours.predict_route(proba),
        {"scikit-learn and plain gates": peer, "by hand": plain},
        n_rounds,
        goals={"scikit-learn and plain gates": GOAL_FUSED},
        stretch=STRETCH_FUSED,
        goal_mb=MOST_MB,
        beyond_result=True,
    )


def main(argv: list[str] | None = None) -> int:
    options = parser(__doc__).parse_args(argv)
    cases = []
    for n_rows, n_classes in SIZES:
        size = n_rows // (QUICK if options.quick else 1)
        proba = overconfident(make_data(size, n_classes)[1])
        for n_knots in KNOTS:
            if not options.quick or n_knots * n_classes <= MOST_QUICK_KNOTS:
                rows = staircase(proba, n_knots)
                cases += time_method("isotonic", proba, rows, options.rounds, n_knots=n_knots)
        y, true_proba = make_data(QUICK_FIT_ROWS if options.quick else FIT_ROWS, n_classes, seed=1)
        drawn = overconfident(true_proba), y
        for method in ("sigmoid", "temperature"):
            cases += time_method(method, proba, drawn, options.rounds)
        cases += time_beta(proba, drawn, options.rounds)
        cases += time_default(proba, drawn, options.rounds)
        for method in BY_HAND:
            cases += time_routes(method, proba, drawn, options.rounds)
    report(cases, environment(), as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
