"""The methods that are compared: each chooses a threshold for each class from the certificate rows."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import skfb.experimental.enable_multi_threshold_fallback_classifier_cv  # noqa: F401
from mapie.risk_control import MultiClassificationLTTController, abstention_rate
from mapie.risk_control.fwer_control import FWERBonferroniHolm
from mapie.risk_control.risks import build_precision_ovr
from numpy.typing import NDArray
from skfb.estimators import (
    MultiThresholdFallbackClassifierCV,
    RateFallbackClassifierCV,
    ThresholdFallbackClassifierCV,
)
from skfb.estimators._multi_threshold import yield_thresholds
from sklearn.base import BaseEstimator, ClassifierMixin

from skroute import CertifiedPolicy

__all__ = ["METHODS", "Rows", "Thresholds", "routed_rows"]

CONFIDENCE = 0.9
FOLDS, CANDIDATES = 5, 40
GRID = np.linspace(0.0, 0.99, 100)
Thresholds = NDArray[np.float64]


class Rows(NamedTuple):
    """Probabilities and codes of labels."""

    proba: NDArray[np.float64]
    y: NDArray[np.intp]

    def first(self, n: int) -> "Rows":
        """Return the first rows."""
        return Rows(self.proba[:n], self.y[:n])


def routed_rows(rows: Rows, thresholds: Thresholds) -> NDArray[np.bool_]:
    return rows.proba.max(axis=1) >= thresholds[rows.proba.argmax(axis=1)]


def skroute(*, joint: bool, reference: bool = False) -> Callable[..., Thresholds]:
    def choose(rows: Rows, order: Rows, precision: float, seed: int) -> Thresholds:
        policy = CertifiedPolicy(
            max_error=round(1.0 - precision, 9), confidence=CONFIDENCE, joint=joint, margin=None, max_entropy=None
        )
        policy.fit(*rows, classes=np.arange(rows.proba.shape[1]), reference=order.proba if reference else None)
        return np.array(list(policy.thresholds_.values()))

    return choose


class HolmWithoutNaN(FWERBonferroniHolm):
    """Holm's procedure, with p-values of thresholds that some class has no row above as 1 rather than NaN."""

    def run(self, p_values: NDArray[np.float64], delta: float) -> NDArray[np.intp]:
        """Return the places of the p-values that are rejected."""
        return super().run(np.nan_to_num(p_values, nan=1.0), delta)


def controller(n_classes: int, labels: list[int], precision: float, **options: Any) -> Any:
    return MultiClassificationLTTController(
        lambda proba: proba,
        build_precision_ovr(labels),
        [precision] * len(labels),
        classes=np.arange(n_classes),
        **({"confidence_level": CONFIDENCE} | options),
    )


def found_threshold(fitted: Any) -> float:
    return np.inf if fitted.best_predict_param is None else float(fitted.best_predict_param)


LEAST = {"best_predict_param_choice": abstention_rate, "fwer_method": HolmWithoutNaN()}


def mapie(**options: Any) -> Callable[..., Thresholds]:
    def choose(rows: Rows, order: Rows, precision: float, seed: int) -> Thresholds:
        n = rows.proba.shape[1]
        return np.full(n, found_threshold(controller(n, list(range(n)), precision, **options).calibrate(*rows)))

    return choose


def mapie_frequent(rows: Rows, order: Rows, precision: float, seed: int) -> Thresholds:
    n = rows.proba.shape[1]
    # Without any error it takes half as many.
    needed = 2.0 * np.log(1.0 - CONFIDENCE) / np.log(precision)
    share = np.bincount(order.proba.argmax(axis=1), minlength=n) / len(order.y)
    labels = np.flatnonzero(share * len(rows.y) >= needed).tolist()
    thresholds = np.full(n, np.inf)
    thresholds[labels] = found_threshold(controller(n, labels, precision, **LEAST).calibrate(*rows))
    return thresholds


def mapie_sequence(rows: Rows, order: Rows, precision: float, seed: int) -> Thresholds:
    n = rows.proba.shape[1]
    top, confidence = order.proba.argmax(axis=1), order.proba.max(axis=1)
    if len(np.unique(top)) < n:
        return np.full(n, np.inf)
    # A threshold without a row of some class has a p-value of NaN, which would be learned as the first and only one.
    most = min(confidence[top == k].max() for k in range(n))
    fitted = controller(
        n,
        list(range(n)),
        precision,
        list_predict_params=GRID[most >= GRID],
        fwer_method="split_fixed_sequence",
        best_predict_param_choice=abstention_rate,
    )
    return np.full(n, found_threshold(fitted.learn_fixed_sequence_order(*order, binary=True).calibrate(*rows)))


def mapie_by_hand(*, joint: bool) -> Callable[..., Thresholds]:
    def choose(rows: Rows, order: Rows, precision: float, seed: int) -> Thresholds:
        n = rows.proba.shape[1]
        level = 1.0 - (1.0 - CONFIDENCE) / (n if joint else 1)
        fitted = [controller(n, [k], precision, confidence_level=level, **LEAST).calibrate(*rows) for k in range(n)]
        return np.array([found_threshold(each) for each in fitted])

    return choose


class Recorded(ClassifierMixin, BaseEstimator):
    """A model whose probabilities are its input: nothing is fitted again."""

    def fit(self, X: Any, y: Any) -> "Recorded":
        """Keep the classes."""
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: Any) -> Any:
        """Return the input."""
        return np.asarray(X)

    def predict(self, X: Any) -> Any:
        """Return the class of the largest probability."""
        return self.classes_[np.asarray(X).argmax(axis=1)]


def coverage_on_target(precision: float) -> Callable[..., float]:
    """Return a score: the coverage if every class is precise enough, and else minus the worst error."""

    def score(y: Any, predicted: Any) -> float:
        routed = ~predicted.get_dense_fallback_mask()
        y, predicted = np.asarray(y)[routed], np.asarray(predicted)[routed]
        n = np.bincount(predicted, minlength=1)
        errors = np.bincount(predicted[predicted != y], minlength=len(n))
        worst = float(np.max(errors / np.maximum(n, 1)))
        return float(routed.mean()) if worst <= 1.0 - precision + 1e-9 else -worst

    return score


def fallback(kind: str) -> Callable[..., Thresholds]:
    def choose(rows: Rows, order: Rows, precision: float, seed: int) -> Thresholds:
        n = rows.proba.shape[1]
        # Its thresholds are matched to the labels of a fold by place: a class with a single row is an IndexError.
        present = np.flatnonzero(np.bincount(rows.y, minlength=n) > 1)
        kept = np.isin(rows.proba.argmax(axis=1), present) & np.isin(rows.y, present)
        X, y = rows.proba[kept][:, present], np.searchsorted(present, rows.y[kept])
        thresholds = np.full(n, np.inf)
        score = coverage_on_target(precision)
        if kind == "one":
            grid = np.linspace(1 / n, 0.99, CANDIDATES)
            tuner = ThresholdFallbackClassifierCV(Recorded(), thresholds=grid, cv=FOLDS, scoring=score).fit(X, y)
            thresholds[present] = tuner.threshold_
        elif kind == "rate":
            ours = skroute(joint=True)(rows, order, precision, seed)
            rate = 1.0 - routed_rows(rows, ours).mean()
            tuner = RateFallbackClassifierCV(Recorded(), fallback_rate=rate, cv=FOLDS).fit(X, y)
            thresholds[present] = tuner.threshold_ if rate < 1.0 else np.inf
        else:
            options = {"n_iter": CANDIDATES, "random_state": seed}
            tuner = MultiThresholdFallbackClassifierCV(Recorded(), cv=FOLDS, scoring=score, **options).fit(X, y)
            candidates = list(yield_thresholds(tuner.classes_, **options))
            best = int(np.argmax(tuner.cv_scores_.mean(axis=0)))
            thresholds[present] = tuner.thresholds_ if kind == "multi" else candidates[best]
        return thresholds

    return choose


METHODS = {
    "skroute": skroute(joint=False),
    "skroute joint": skroute(joint=True),
    "skroute joint, reference": skroute(joint=True, reference=True),
    "MAPIE, defaults": mapie(),
    "MAPIE, least abstention": mapie(**LEAST),
    "MAPIE, frequent classes": mapie_frequent,
    "MAPIE, split sequence": mapie_sequence,
    "MAPIE, one a class, by hand": mapie_by_hand(joint=False),
    "MAPIE, one a class, by hand, joint": mapie_by_hand(joint=True),
    "skfb multi": fallback("multi"),
    "skfb multi, best candidate": fallback("best"),
    "skfb one": fallback("one"),
    "skfb rate": fallback("rate"),
}
