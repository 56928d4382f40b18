"""The figures that scorers know by name; of each, greater is better or, without "neg_", it is a plain share."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from skroute.metrics._calibration_error import calibration_error
from skroute.metrics._risk_coverage import area_under_risk_coverage, coverage_at_risk
from skroute.metrics._score_decomposition import score_decomposition
from skroute.metrics._smooth_calibration_error import smooth_calibration_error
from skroute.routing import RouteTable

__all__ = ["PROBA_FIGURES", "ROUTE_FIGURES"]

Weight = NDArray[np.float64] | None


def _share(rows: NDArray[np.bool_], weight: Weight) -> float:
    return float(np.average(rows, weights=weight))


def _auto(routes: RouteTable) -> NDArray[np.bool_]:
    return np.asarray(routes.route == "auto")


def _coverage(right: NDArray[np.bool_], routes: RouteTable, weight: Weight) -> float:
    return _share(_auto(routes), weight)


def _correct_coverage(right: NDArray[np.bool_], routes: RouteTable, weight: Weight) -> float:
    return _share(_auto(routes) & right, weight)


def _wrong_rate(right: NDArray[np.bool_], routes: RouteTable, weight: Weight) -> float:
    return -_share(_auto(routes) & ~right, weight)


def _auto_accuracy(right: NDArray[np.bool_], routes: RouteTable, weight: Weight) -> float:
    coverage = _coverage(right, routes, weight)
    return _correct_coverage(right, routes, weight) / coverage if coverage > 0.0 else float("nan")


def _rate_of(route: str) -> Callable[[NDArray[np.bool_], RouteTable, Weight], float]:
    return lambda right, routes, weight: _share(routes.route == route, weight)


# Called with the rows whose label is the true one, and their routes.
ROUTE_FIGURES: dict[str, Callable[[NDArray[np.bool_], RouteTable, Weight], float]] = {
    "coverage": _coverage,
    "auto_accuracy": _auto_accuracy,
    "correct_coverage": _correct_coverage,
    "neg_wrong_rate": _wrong_rate,
    "watch_rate": _rate_of("watch"),
    "escalate_rate": _rate_of("escalate"),
    "clarify_rate": _rate_of("clarify"),
}

# Called with labels and probabilities, and with classes= and sample_weight=.
PROBA_FIGURES: dict[str, Callable[..., float]] = {
    "neg_calibration_error": lambda *data, **more: -calibration_error(*data, **more),
    "neg_classwise_calibration_error": lambda *data, **more: -calibration_error(*data, kind="classwise", **more),
    "neg_smooth_calibration_error": lambda *data, **more: -smooth_calibration_error(*data, **more),
    "neg_brier_miscalibration": lambda *data, **more: (
        -score_decomposition(*data, kind="classwise", **more).miscalibration
    ),
    "brier_discrimination": lambda *data, **more: score_decomposition(*data, kind="classwise", **more).discrimination,
    "neg_area_under_risk_coverage": lambda *data, **more: -area_under_risk_coverage(*data, **more),
    "coverage_at_risk": lambda *data, **more: coverage_at_risk(*data, **more),
}
