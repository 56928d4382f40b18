"""The figures that scorers know by name; of each, greater is better or, without "neg_", it is a plain share."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute.metrics._calibration_error import calibration_error
from skroute.metrics._risk_coverage import area_under_risk_coverage, coverage_at_risk
from skroute.metrics._score_decomposition import score_decomposition
from skroute.metrics._smooth_calibration_error import smooth_calibration_error
from skroute.metrics._truth import align_labels
from skroute.routing import RouteTable

__all__ = ["PROBA_FIGURES", "ROUTE_FIGURES"]

Weight = NDArray[np.float64] | None


def _share(rows: NDArray[np.bool_], weight: Weight) -> float:
    return float(np.average(rows, weights=weight))


def _auto(routes: RouteTable) -> NDArray[np.bool_]:
    return np.asarray(routes.route == "auto")


def _coverage(truth: NDArray[Any], routes: RouteTable, weight: Weight) -> float:
    return _share(_auto(routes), weight)


def _correct_coverage(truth: NDArray[Any], routes: RouteTable, weight: Weight) -> float:
    truth, labels = align_labels(truth, routes.label)
    return _share(_auto(routes) & (labels == truth), weight)


def _wrong_rate(truth: NDArray[Any], routes: RouteTable, weight: Weight) -> float:
    truth, labels = align_labels(truth, routes.label)
    return -_share(_auto(routes) & (labels != truth), weight)


def _auto_accuracy(truth: NDArray[Any], routes: RouteTable, weight: Weight) -> float:
    coverage = _coverage(truth, routes, weight)
    return _correct_coverage(truth, routes, weight) / coverage if coverage > 0.0 else float("nan")


def _rate_of(route: str) -> Callable[[NDArray[Any], RouteTable, Weight], float]:
    return lambda truth, routes, weight: _share(routes.route == route, weight)


ROUTE_FIGURES: dict[str, Callable[[NDArray[Any], RouteTable, Weight], float]] = {
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
