"""A model whose features are its scores, so that what is timed is calibration alone; calibrated by two libraries."""

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from skroute import RoutingClassifier
from skroute.exceptions import DeadGateWarning

__all__ = ["Replay", "calibrated_pair", "calibrators_of", "normalise"]


class Replay(ClassifierMixin, BaseEstimator):
    """A classifier that returns what it is given."""

    def __init__(self, n_classes: int) -> None:
        self.n_classes = n_classes
        self.classes_ = np.arange(n_classes)

    def fit(self, X: Any, y: Any) -> Self:
        """Do nothing."""
        return self

    def predict_proba(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the features."""
        return X

    def predict(self, X: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the class of the largest; nobody calls it, but scikit-learn asks for it."""
        return np.argmax(X, axis=1)


def calibrated_pair(
    method: str,
    proba: NDArray[np.float64],
    y: NDArray[np.integer],
    *,
    weight: NDArray[np.float64] | None = None,
    policy: Any = None,
) -> tuple[CalibratedClassifierCV, RoutingClassifier]:
    """Return scikit-learn's classifier and ours, calibrated on the same rows of the same frozen model.

    scikit-learn has no "auto"; what it does without being told, "sigmoid", stands against it.
    """
    frozen, rows = FrozenEstimator(Replay(proba.shape[1])), np.arange(len(y))
    # One "fold" of all rows: the model is frozen, and learns nothing from them.
    settings = {"cv": [(rows, rows)]}
    theirs = CalibratedClassifierCV(frozen, method="sigmoid" if method == "auto" else method, ensemble=True, **settings)
    ours = RoutingClassifier(frozen, method=method, policy=policy, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeadGateWarning)
        # A frozen model takes no weights, and need not.
        warnings.filterwarnings("ignore", "Since FrozenEstimator does not appear to accept sample_weight")
        return theirs.fit(proba, y, sample_weight=weight), ours.fit(proba, y, sample_weight=weight)


def calibrators_of(classifier: Any) -> list[Any]:
    """Return the fitted calibrators, one a class or one for all."""
    found: list[Any] = classifier.calibrated_classifiers_[0].calibrators
    return found


def normalise(proba: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide rows by their sums, as one would write it by hand; a row of zeros becomes uniform."""
    total = proba.sum(axis=1, keepdims=True)
    shares: NDArray[np.float64] = np.divide(proba, total, out=np.full_like(proba, 1 / proba.shape[1]), where=total > 0)
    return shares
