"""What a proper score is made of: miscalibration, discrimination, and what the data leave uncertain."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from scipy.special import xlog1py, xlogy

from skroute._validation import check_option
from skroute.metrics._pairs import read_pairs, sum_by

__all__ = ["ScoreDecomposition", "score_decomposition"]

OWNER = "score_decomposition"


@dataclass(frozen=True)
class ScoreDecomposition:
    """A mean score and its parts: ``score = miscalibration - discrimination + uncertainty``.

    Attributes
    ----------
    score : float
        Mean score; less is better.
    miscalibration : float
        What the best monotone recalibration would save, at least 0.
    discrimination : float
        What telling rows apart gains over the base rate, at least 0; more is better.
    uncertainty : float
        Score of the base rate: how hard the data are.
    """

    score: float
    miscalibration: float
    discrimination: float
    uncertainty: float


def score_decomposition(
    y_true: Any,
    y_prob: Any = None,
    *,
    y_pred: Any = None,
    confidence: Any = None,
    classes: Any = None,
    kind: str = "top-label",
    score: str = "brier",
    sample_weight: Any = None,
) -> ScoreDecomposition:
    """Split a proper score into miscalibration, discrimination and uncertainty, without bins.

    Use it to tell a model that needs recalibration (large miscalibration) from one that needs better features (small
    discrimination).

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like or frame of shape (n_samples, n_classes) or (n_samples,), default=None
        Probabilities. One dimension is the probability of ``classes[1]``.
    y_pred, confidence : array-like of shape (n_samples,), default=None
        Predicted labels and the confidence in each, where a log holds no probabilities; "top-label" only.
    classes : array-like of shape (n_classes,), default=None
        The class of each column. None: the names of a frame's columns, else the sorted labels of `y_true`.
    kind : {"top-label", "classwise"}, default="top-label"
        The confidence in the predicted class as a forecast of being right, or the probability of each class as a
        forecast of that class, averaged over the classes.
    score : {"brier", "log"}, default="brier"
        Squared difference, or minus the logarithm of the probability of what happened.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights, not negative.

    Returns
    -------
    parts : ScoreDecomposition

    Raises
    ------
    ValueError
        If a parameter or an input is not as described.

    Notes
    -----
    The recalibrated forecast is the isotonic regression of the outcomes on the forecasts (CORP [1]_), which is optimal
    for every proper score; equal forecasts are pooled first. With "log", a forecast of 0 for what happened makes score
    and miscalibration infinite. For two classes, "brier" is half the sum over both classes.

    References
    ----------
    .. [1] T. Dimitriadis, T. Gneiting, A. I. Jordan, "Stable reliability diagrams for probabilistic classifiers", PNAS
       118(8), 2021, arXiv:2008.03033.

    Examples
    --------
    >>> from skroute.metrics import score_decomposition
    >>> parts = score_decomposition([0, 0, 1, 1], [0.1, 0.6, 0.6, 0.9], kind="classwise")
    >>> round(parts.score, 3), round(parts.miscalibration, 3), round(parts.uncertainty, 3)
    (0.135, 0.01, 0.25)
    """
    check_option(score, ("brier", "log"), "score", OWNER)
    pairs = read_pairs(
        y_true, y_prob, y_pred=y_pred, confidence=confidence, classes=classes, kind=kind,
        sample_weight=sample_weight, owner=OWNER,
    )  # fmt: skip
    weight = pairs.weights()
    means = np.mean([_decompose(stated, right, weight, score) for stated, right in pairs.parts()], axis=0)
    given, recalibrated, base = (float(mean) for mean in means)
    # Neither difference is negative, but for rounding.
    return ScoreDecomposition(given, max(0.0, given - recalibrated), max(0.0, base - recalibrated), base)


def _decompose(
    stated: NDArray[np.float64], right: NDArray[np.bool_], weight: NDArray[np.float64], score: str
) -> tuple[float, float, float]:
    """Return the mean score of the forecast, of its recalibration, and of the base rate."""
    values, group = np.unique(stated, return_inverse=True)
    # Hits and misses by themselves: a frequency of 1 may hide a miss of small weight, whose logarithm is infinite.
    sums = np.stack([sum_by(group, weight * right), sum_by(group, weight * ~right)])
    hits, misses = sums / sums.sum()
    pools = isotonic_regression(hits / (hits + misses), weights=hits + misses).blocks
    given = (
        hits @ (1.0 - values) ** 2 + misses @ values**2
        if score == "brier"
        else -float(np.sum(xlogy(hits, values) + xlog1py(misses, -values)))
    )
    pooled = _frequency_score(np.add.reduceat(hits, pools[:-1]), np.add.reduceat(misses, pools[:-1]), score)
    return float(given), pooled, _frequency_score(hits.sum(), misses.sum(), score)


def _frequency_score(hits: Any, misses: Any, score: str) -> float:
    """Return the mean score of forecasts that are the frequencies of their own rows."""
    total = hits + misses
    if score == "brier":
        return float(np.sum(hits * (misses / total)))
    return -float(np.sum(xlogy(hits, hits / total) + xlogy(misses, misses / total)))
