"""What a confidence threshold buys: the error of the accepted rows against their share."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from skroute._validation import check_level, label_positions
from skroute.metrics._pairs import Pairs, read_pairs, sum_by

__all__ = ["RiskCoverageCurve", "area_under_risk_coverage", "coverage_at_risk", "risk_coverage_curve"]


@dataclass(frozen=True)
class RiskCoverageCurve:
    """Risk against coverage, one point for every distinct confidence, the highest first.

    Attributes
    ----------
    coverage : ndarray of shape (n_thresholds,)
        Share of the rows whose confidence reaches the threshold, in (0, 1], ascending.
    risk : ndarray of shape (n_thresholds,)
        Share of wrong rows among them, in [0, 1].
    thresholds : ndarray of shape (n_thresholds,)
        The confidences, descending.
    """

    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]
    thresholds: NDArray[np.float64]


def risk_coverage_curve(
    y_true: Any,
    y_prob: Any = None,
    *,
    y_pred: Any = None,
    confidence: Any = None,
    classes: Any = None,
    label: Any = None,
    sample_weight: Any = None,
) -> RiskCoverageCurve:
    """Compute the error of the accepted rows against their share, for every confidence threshold.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like or frame of shape (n_samples, n_classes) or (n_samples,), default=None
        Probabilities. One dimension is the probability of ``classes[1]``.
    y_pred, confidence : array-like of shape (n_samples,), default=None
        Predicted labels and the confidence in each, where a log holds no probabilities.
    classes : array-like of shape (n_classes,), default=None
        The class of each column. None: the names of a frame's columns, else the sorted labels of `y_true`.
    label : class, default=None
        Only the rows predicted as this class; coverage is then a share of them.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights, not negative.

    Returns
    -------
    curve : RiskCoverageCurve
        With `coverage`, `risk` and `thresholds`.

    Raises
    ------
    ValueError
        If an input is not as described, or no row is predicted as `label`.

    References
    ----------
    Y. Geifman, R. El-Yaniv, "Selective classification for deep neural networks", NeurIPS 2017, arXiv:1705.08500.

    Examples
    --------
    >>> from skroute.metrics import risk_coverage_curve
    >>> curve = risk_coverage_curve(["a", "b", "a"], y_pred=["a", "a", "a"], confidence=[0.9, 0.6, 0.7])
    >>> curve.coverage.round(2).tolist(), curve.risk.round(2).tolist()
    ([0.33, 0.67, 1.0], [0.0, 0.0, 0.33])
    """
    thresholds, accepted, wrong = _accepted(y_true, y_prob, y_pred, confidence, classes, label, sample_weight)
    return RiskCoverageCurve(accepted / accepted[-1], wrong / accepted, thresholds)


def area_under_risk_coverage(
    y_true: Any,
    y_prob: Any = None,
    *,
    y_pred: Any = None,
    confidence: Any = None,
    classes: Any = None,
    label: Any = None,
    sample_weight: Any = None,
    weights: str = "auto",
) -> float:
    """Compute the mean error over all coverages: how well confidence tells right from wrong rows.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like or frame of shape (n_samples, n_classes) or (n_samples,), default=None
        Probabilities. One dimension is the probability of ``classes[1]``.
    y_pred, confidence : array-like of shape (n_samples,), default=None
        Predicted labels and the confidence in each, where a log holds no probabilities.
    classes : array-like of shape (n_classes,), default=None
        The class of each column. None: the names of a frame's columns, else the sorted labels of `y_true`.
    label : class, default=None
        Only the rows predicted as this class.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights, not negative.
    weights : {"auto", "frequency", "importance"}, default="auto"
        What the weights mean for the number of rows, on which the mean over coverages depends a little. "frequency": a
        row of weight 3 stands for three equal rows. "importance": it counts three times as much and is still one row;
        together they count as the effective number of rows. "auto": frequencies if all weights are whole numbers, else
        importances.

    Returns
    -------
    area : float
        In [0, 1]; 0 is best.

    Raises
    ------
    ValueError
        If an input is not as described, or no row is predicted as `label`.

    Notes
    -----
    The mean form: the average, over k = 1 to n, of the error of the k most confident rows. Others integrate the curve
    by trapezoids, which differs by O(1/n). Rows of equal confidence count as if in random order, in expectation, so
    that the order of the data does not matter. Importances are scaled to add up to the effective number of rows
    (sum w)^2 / sum w^2, so that equal ones change nothing.

    References
    ----------
    Y. Geifman, G. Uziel, R. El-Yaniv, "Bias-reduced uncertainty estimation for deep neural classifiers", ICLR 2019,
    arXiv:1805.08206.

    Examples
    --------
    >>> from skroute.metrics import area_under_risk_coverage
    >>> area_under_risk_coverage(["a", "b", "a"], y_pred=["a", "a", "a"], confidence=[0.9, 0.6, 0.7])
    0.111...
    """
    pairs = _read(y_true, y_prob, y_pred, confidence, classes, label, sample_weight, weights)
    _, block, wrong_block = _by_confidence(pairs, pairs.effective_weights())
    accepted, wrong = np.cumsum(block), np.cumsum(wrong_block)
    before, wrong_before = np.append(0.0, accepted[:-1]), np.append(0.0, wrong[:-1])
    # Not by differences of the sums: beside large weights the smallest leave no trace in them.
    share = wrong_block / block
    # Inside a block of equal confidences the error of the first t rows is (a + share * t) / t in expectation; summed
    # over t = before + 1, ..., accepted it has this closed form, which serves real weights as well.
    outside = wrong_before - share * before
    sums = wrong_block + outside * (digamma(accepted + 1.0) - digamma(before + 1.0))
    return float(np.clip(sums.sum() / accepted[-1], 0.0, 1.0))


def coverage_at_risk(
    y_true: Any,
    y_prob: Any = None,
    *,
    max_risk: float = 0.05,
    y_pred: Any = None,
    confidence: Any = None,
    classes: Any = None,
    label: Any = None,
    sample_weight: Any = None,
) -> float:
    """Compute the largest share of rows that a confidence threshold accepts with at most a given error.

    It describes these rows; for new ones the error at the same threshold will often be larger.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_prob : array-like or frame of shape (n_samples, n_classes) or (n_samples,), default=None
        Probabilities. One dimension is the probability of ``classes[1]``.
    max_risk : float, default=0.05
        Largest share of wrong rows among those accepted, in [0, 1].
    y_pred, confidence : array-like of shape (n_samples,), default=None
        Predicted labels and the confidence in each, where a log holds no probabilities.
    classes : array-like of shape (n_classes,), default=None
        The class of each column. None: the names of a frame's columns, else the sorted labels of `y_true`.
    label : class, default=None
        Only the rows predicted as this class; coverage is then a share of them.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights, not negative.

    Returns
    -------
    coverage : float
        In [0, 1]; 0 where no threshold is good enough.

    Raises
    ------
    ValueError
        If an input is not as described, or no row is predicted as `label`.

    Examples
    --------
    >>> from skroute.metrics import coverage_at_risk
    >>> coverage_at_risk(["a", "b", "a"], y_pred=["a", "a", "a"], confidence=[0.9, 0.6, 0.7], max_risk=0.1)
    0.666...
    """
    level = check_level(max_risk, "max_risk", "coverage_at_risk")
    _, accepted, wrong = _accepted(y_true, y_prob, y_pred, confidence, classes, label, sample_weight)
    # A quotient, like the risk of the curve: 29 / 100 is 0.29, but 0.29 * 100 is less than 29.
    good = np.flatnonzero(wrong / accepted <= (level or 0.0))
    return float(accepted[good[-1]] / accepted[-1]) if good.size else 0.0


def _accepted(*data: Any) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the distinct confidences, descending, and the weight of all and of wrong rows that reach each."""
    pairs = _read(*data)
    thresholds, block, wrong_block = _by_confidence(pairs, pairs.weights())
    accepted = np.cumsum(block)
    return thresholds, accepted, np.minimum(np.cumsum(wrong_block), accepted)


def _read(
    y_true: Any, y_prob: Any, y_pred: Any, confidence: Any, classes: Any, label: Any, sample_weight: Any,
    weights: str = "auto",
) -> Pairs:  # fmt: skip
    """Return the rows that are predicted as `label`, all rows where it is None."""
    pairs = read_pairs(
        y_true, y_prob, y_pred=y_pred, confidence=confidence, classes=classes, sample_weight=sample_weight,
        weights=weights, owner="area_under_risk_coverage",
    )  # fmt: skip
    if label is None:
        return pairs
    (position,) = label_positions([label], pairs.classes, "label")
    pairs = pairs.of(position)
    if not len(pairs.truth):
        raise ValueError(f"label={label!r} is predicted in no row; there is no curve for it.")
    return pairs


def _by_confidence(
    pairs: Pairs, weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the distinct confidences, descending, and the weight of all and of wrong rows that have each."""
    ((stated, right),) = pairs.parts()
    confidences, group = np.unique(-stated, return_inverse=True)
    return -confidences, sum_by(group, weight), sum_by(group, weight * ~right)
