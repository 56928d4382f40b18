"""Tests of the hypothesis that stated probabilities are true."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from skroute._validation import check_option
from skroute.metrics._pairs import read_pairs, sum_by

__all__ = ["CalibrationTestResult", "calibration_test"]

OWNER = "calibration_test"
# Terms of the series below; the first left out is smaller than 1e-16 for every statistic under 12.
N_TERMS = 30


@dataclass(frozen=True)
class CalibrationTestResult:
    """Statistic and p-value; numbers, or arrays of shape (n_classes,) for the kind "classwise".

    Attributes
    ----------
    statistic : float or ndarray of shape (n_classes,)
        In standard errors.
    pvalue : float or ndarray of shape (n_classes,)
        Probability of a statistic as extreme if the stated probabilities are true, in [0, 1].
    """

    statistic: Any
    pvalue: Any


def calibration_test(
    y_true: Any,
    y_prob: Any = None,
    *,
    y_pred: Any = None,
    confidence: Any = None,
    classes: Any = None,
    kind: str = "top-label",
    test: str = "spiegelhalter",
    sample_weight: Any = None,
    weights: str = "auto",
) -> CalibrationTestResult:
    """Test whether stated probabilities can be true.

    A small p-value says that they are not; a large one only that these rows do not show it. With many rows even gaps
    that do not matter are significant: look at their size in `skroute.reliability_table`.

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
        Test the confidence in the predicted class, or the probability of every class by itself.
    test : {"spiegelhalter", "ks", "kuiper"}, default="spiegelhalter"
        "spiegelhalter": two-sided, strong where all probabilities are too bold or too timid. "ks" (Kolmogorov-Smirnov)
        and "kuiper": the largest cumulative difference, or the largest over any interval of probabilities; they see
        departures of every shape, "kuiper" also those that cancel out.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights, not negative.
    weights : {"auto", "frequency", "importance"}, default="auto"
        What the weights mean for the standard error. "frequency": a row of weight 3 stands for three independent rows.
        "importance": it counts three times as much and is still one row. "auto": frequencies if all weights are whole
        numbers, else importances.

    Returns
    -------
    result : CalibrationTestResult
        With `statistic` and `pvalue`. Classwise p-values are not corrected for their number: to test all classes at
        once, compare the smallest with the level over the number of classes.

    Raises
    ------
    ValueError
        If a parameter or an input is not as described.

    Notes
    -----
    With v_i = p_i (1 - p_i), Spiegelhalter's statistic is the sum of (y_i - p_i)(1 - 2 p_i) over the root of the sum of
    (1 - 2 p_i)^2 v_i, asymptotically normal. The cumulative sum of y_i - p_i in ascending order of p_i, over the root
    of the sum of v_i, tends to a Brownian motion; "ks" is its largest absolute value and "kuiper" its range, the start
    at 0 included. Equal probabilities enter together, so their order does not matter, and few distinct ones make the
    two tests conservative. With weights w_i the terms of every sum carry them, and those of the two variances carry
    w_i if they are frequencies, else w_i^2, so that the scale of importances does not matter. Where all p_i are 0 or 1
    (or, for Spiegelhalter's, 1/2) the statistic is 0 if nothing contradicts them, else infinite.

    References
    ----------
    D. J. Spiegelhalter, "Probabilistic prediction in patient management and clinical trials", Statistics in Medicine 5,
    1986. I. Arrieta-Ibarra, P. Gujral, J. Tannen, M. Tygert, C. Xu, "Metrics of calibration for probabilistic
    predictions", JMLR 23, 2022, arXiv:2205.09680.

    Examples
    --------
    >>> from skroute.metrics import calibration_test
    >>> y_true = ["a"] * 60 + ["b"] * 40
    >>> result = calibration_test(y_true, y_pred=["a"] * 100, confidence=[0.9] * 100)
    >>> round(result.statistic, 6), result.pvalue < 1e-6
    (10.0, True)
    """
    check_option(test, tuple(TESTS), "test", OWNER)
    pairs = read_pairs(
        y_true, y_prob, y_pred=y_pred, confidence=confidence, classes=classes, kind=kind,
        sample_weight=sample_weight, weights=weights, owner=OWNER,
    )  # fmt: skip
    weight = pairs.weights()
    spread = weight if pairs.repeats else weight**2
    results = [TESTS[test](stated, right, weight, spread) for stated, right in pairs.parts()]
    if pairs.top is not None:
        return CalibrationTestResult(*results[0])
    statistic, pvalue = np.array(results).T
    return CalibrationTestResult(statistic, pvalue)


# In all tests, `spread` is what the variance of one row is to be multiplied by.


def _spiegelhalter(
    stated: NDArray[np.float64], right: NDArray[np.bool_], weight: NDArray[np.float64], spread: NDArray[np.float64]
) -> tuple[float, float]:
    lean = 1.0 - 2.0 * stated
    variance = float(spread @ (lean**2 * stated * (1.0 - stated)))
    statistic = _standardised(float(weight @ ((right - stated) * lean)), variance)
    return statistic, float(2.0 * norm.sf(abs(statistic)))


def _standardised(difference: float, variance: float) -> float:
    if variance > 0.0:
        return float(difference / np.sqrt(variance))
    return 0.0 if difference == 0.0 else float(np.copysign(np.inf, difference))


def _walk(
    stated: NDArray[np.float64], right: NDArray[np.bool_], weight: NDArray[np.float64], spread: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Return the lowest and the highest point of the cumulative differences, and the variance at their end."""
    values, group = np.unique(stated, return_inverse=True)
    walk = np.cumsum(sum_by(group, weight * right) - sum_by(group, weight) * values)
    variance = float(spread @ (stated * (1.0 - stated)))
    return min(0.0, float(walk.min())), max(0.0, float(walk.max())), variance


def _kolmogorov_smirnov(
    stated: NDArray[np.float64], right: NDArray[np.bool_], weight: NDArray[np.float64], spread: NDArray[np.float64]
) -> tuple[float, float]:
    low, high, variance = _walk(stated, right, weight, spread)
    statistic = _standardised(max(-low, high), variance)
    return statistic, _tail_of_largest(statistic)


def _kuiper(
    stated: NDArray[np.float64], right: NDArray[np.bool_], weight: NDArray[np.float64], spread: NDArray[np.float64]
) -> tuple[float, float]:
    low, high, variance = _walk(stated, right, weight, spread)
    statistic = _standardised(high - low, variance)
    return statistic, _tail_of_range(statistic)


def _tail_of_largest(x: float) -> float:
    """Return P(max |B| > x) of a Brownian motion B on [0, 1], by reflection: accurate in the tail, where it counts."""
    if x <= 0.2:
        return 1.0
    k = np.arange(N_TERMS)
    terms = (-1.0) ** k * norm.sf((2 * k + 1) * x)
    return float(min(1.0, 4.0 * terms.sum()))


def _tail_of_range(x: float) -> float:
    """Return P(max B - min B > x) of a Brownian motion B on [0, 1] (Feller 1951)."""
    if x <= 0.4:
        return 1.0
    k = np.arange(1, N_TERMS + 1)
    return float(np.clip(8.0 * ((-1.0) ** (k - 1) * k * norm.sf(k * x)).sum(), 0.0, 1.0))


TESTS = {"spiegelhalter": _spiegelhalter, "ks": _kolmogorov_smirnov, "kuiper": _kuiper}
