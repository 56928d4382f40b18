"""The calibrators that are compared, each with ``fit(scores, y)`` and ``predict_proba(scores)``.

Scores have one column a class. Peers that want probabilities get the softmax of decision values. A peer for two classes
serves every class against the rest, and the rows are then made to sum to one; a class with fewer than two rows keeps
the probability that the model gave it.
"""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np
from _common import optional
from _replays import Replay
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from threadpoolctl import threadpool_limits

from skroute.calibration._methods import make_calibrator

__all__ = ["LIMITS", "METHODS", "OURS", "absent_methods", "make_method", "prepare", "runs_on"]

OURS = ("auto", "vector", "matrix", "temperature", "beta", "isotonic")
# Most classes and most rows to fit on, for peers that are too slow for more.
LIMITS = {"netcal-bbq": (30, 5000), "venn-abers": (10, 5000)}
# Probabilities of one class for betacal and netcal, which cannot take 0 and 1.
EDGE = 1e-7


class Ours:
    """A calibrator of the package."""

    def __init__(self, name: str, kind: str) -> None:
        self.calibrator = make_calibrator(name, kind=kind)

    def fit(self, scores: NDArray[np.float64], y: NDArray[np.intp]) -> Self:
        """Fit it."""
        self.calibrator.fit(scores, y, classes=np.arange(scores.shape[1]))
        return self

    def predict_proba(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return its probabilities."""
        return self.calibrator.predict_proba(scores)


class Uncalibrated:
    """What the model says."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def fit(self, scores: NDArray[np.float64], y: NDArray[np.intp]) -> Self:
        """Do nothing."""
        return self

    def predict_proba(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities of the model, or the softmax of its decision values."""
        return as_proba(scores, self.kind)


class _ReplaysScores(ClassifierMixin, BaseEstimator):
    """A classifier whose features are its decision values, of which scikit-learn has one column for two classes."""

    def __init__(self, n_classes: int) -> None:
        self.n_classes = n_classes
        self.classes_ = np.arange(n_classes)

    def fit(self, X: Any, y: Any) -> Self:
        return self

    def decision_function(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        return X[:, 1] - X[:, 0] if self.n_classes == 2 else X


@dataclass
class SklearnCalibration:
    """`CalibratedClassifierCV` on a frozen model that replays the scores."""

    method: str
    kind: str

    def fit(self, scores: NDArray[np.float64], y: NDArray[np.intp]) -> Self:
        """Fit it."""
        n_rows, n_classes = scores.shape
        absent = np.setdiff1d(np.arange(n_classes), y)
        weight = None
        if len(absent):
            # It takes the classes from y. A row of weight 0 names a class and changes nothing else.
            scores, y = np.r_[scores, scores[np.zeros(len(absent), np.intp)]], np.r_[y, absent]
            weight = np.r_[np.ones(n_rows), np.zeros(len(absent))]
        model = (Replay if self.kind == "proba" else _ReplaysScores)(n_classes)
        rows = np.arange(len(y))
        # One "fold" of all rows: the model is frozen, and the number of rows a class must not matter.
        self.model_ = CalibratedClassifierCV(
            FrozenEstimator(model), method=self.method, cv=[(rows, rows)], ensemble=True
        ).fit(scores, y, sample_weight=weight)
        return self

    def predict_proba(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return its probabilities."""
        return self.model_.predict_proba(scores)


@dataclass
class OneVsRest:
    """A peer for two classes, once for every class."""

    fit_one: Callable[[NDArray[np.float64], NDArray[np.intp]], Callable[[NDArray[np.float64]], Any]]
    kind: str
    edge: float = 0.0

    def fit(self, scores: NDArray[np.float64], y: NDArray[np.intp]) -> Self:
        """Fit one calibrator a class."""
        proba = self._input(scores)
        self.maps_ = {}
        for k in [1] if proba.shape[1] == 2 else range(proba.shape[1]):
            target = (y == k).astype(np.intp)
            if 2 <= target.sum() <= len(target) - 2:
                self.maps_[k] = self.fit_one(proba[:, k], target)
        return self

    def predict_proba(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities, made to sum to one; a row of zeros becomes uniform."""
        inputs = self._input(scores)
        proba = inputs.copy()
        for k, predict in self.maps_.items():
            proba[:, k] = np.clip(np.asarray(predict(inputs[:, k]), dtype=np.float64).ravel(), 0.0, 1.0)
        if proba.shape[1] == 2:
            proba[:, 0] = 1.0 - proba[:, 1]
        total = proba.sum(axis=1, keepdims=True)
        return np.divide(proba, total, out=np.full_like(proba, 1.0 / proba.shape[1]), where=total > 0.0)

    def _input(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip(as_proba(scores, self.kind), self.edge, 1.0 - self.edge)


@dataclass
class Probmetrics:
    """A calibrator of probmetrics, by its name there."""

    name: str
    kind: str

    def fit(self, scores: NDArray[np.float64], y: NDArray[np.intp]) -> Self:
        """Fit it."""
        self.calibrator_ = optional("probmetrics.calibrators").get_calibrator(
            self.name, svs_print_init_info=False, sms_print_init_info=False
        )
        self.calibrator_.fit(as_proba(scores, self.kind), y)
        return self

    def predict_proba(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return its probabilities."""
        return np.asarray(self.calibrator_.predict_proba(as_proba(scores, self.kind)), dtype=np.float64)


def as_proba(scores: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
    """Return probabilities as they are, and decision values through the softmax."""
    return scores if kind == "proba" else softmax(scores, axis=1)


def _fit_betacal(proba: NDArray[np.float64], target: NDArray[np.intp]) -> Callable[[NDArray[np.float64]], Any]:
    return optional("betacal").BetaCalibration("abm").fit(proba, target).predict


def _fit_histogram(proba: NDArray[np.float64], target: NDArray[np.intp]) -> Callable[[NDArray[np.float64]], Any]:
    return optional("netcal.binning").HistogramBinning(10).fit(proba, target).transform


def _fit_bbq(proba: NDArray[np.float64], target: NDArray[np.intp]) -> Callable[[NDArray[np.float64]], Any]:
    return optional("netcal.binning").BBQ().fit(proba, target).transform


def _fit_venn_abers(proba: NDArray[np.float64], target: NDArray[np.intp]) -> Callable[[NDArray[np.float64]], Any]:
    fitted = optional("venn_abers").VennAbers()
    fitted.fit(np.column_stack([1.0 - proba, proba]), target)
    return lambda new: fitted.predict_proba(np.column_stack([1.0 - new, new]))[0][:, 1]


PEERS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "none": ("sklearn", Uncalibrated),
    "sklearn-sigmoid": ("sklearn", lambda kind: SklearnCalibration("sigmoid", kind)),
    "sklearn-isotonic": ("sklearn", lambda kind: SklearnCalibration("isotonic", kind)),
    "sklearn-temperature": ("sklearn", lambda kind: SklearnCalibration("temperature", kind)),
    "betacal": ("betacal", lambda kind: OneVsRest(_fit_betacal, kind, EDGE)),
    "netcal-histogram": ("netcal.binning", lambda kind: OneVsRest(_fit_histogram, kind, EDGE)),
    "netcal-bbq": ("netcal.binning", lambda kind: OneVsRest(_fit_bbq, kind, EDGE)),
    "venn-abers": ("venn_abers", lambda kind: OneVsRest(_fit_venn_abers, kind)),
    "probmetrics-ts-mix": ("probmetrics.calibrators", lambda kind: Probmetrics("ts-mix", kind)),
    "probmetrics-svs": ("probmetrics.calibrators", lambda kind: Probmetrics("svs", kind)),
    "probmetrics-sms": ("probmetrics.calibrators", lambda kind: Probmetrics("sms", kind)),
}
METHODS = (*OURS, *PEERS)


def make_method(name: str, kind: str) -> Any:
    """Return an unfitted calibrator for scores of a kind."""
    return Ours(name, kind) if name in OURS else PEERS[name][1](kind)


def runs_on(name: str, n_classes: int, n_rows: int) -> bool:
    """Tell whether a method is quick enough for a cell."""
    most_classes, most_rows = LIMITS.get(name, (n_classes, n_rows))
    return n_classes <= most_classes and n_rows <= most_rows


@cache
def prepare() -> None:
    """Give this process one thread, and import the peers, so that no fit pays for it."""
    os.environ["TQDM_DISABLE"] = "1"
    warnings.simplefilter("ignore")
    for module in {module for module, _ in PEERS.values()}:
        optional(module)
    threadpool_limits(1)
    torch = optional("torch")
    if torch is not None:
        torch.set_num_threads(1)


def absent_methods() -> list[str]:
    """Return the methods that are not there: packages that are not installed, names that the package refuses."""
    absent = [name for name, (module, _) in PEERS.items() if optional(module) is None]
    for name in OURS:
        try:
            make_calibrator(name, kind="proba")
        except ValueError:
            absent.append(name)
    return absent
