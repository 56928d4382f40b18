"""Isotonic regression of the scores of one class."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from skroute._signature import with_signature
from skroute._validation import check_amount
from skroute.calibration._apply import Floats, Map, all_finite
from skroute.calibration._isotonic_fit import isotonic_knots
from skroute.calibration._isotonic_table import IsotonicTable
from skroute.calibration._one_class import OneClassCalibrator
from skroute.calibration._one_row import on_curve
from skroute.calibration._platt import fit_platt
from skroute.calibration._score_kind import is_proba
from skroute.calibration._scores import check_one_vs_rest

__all__ = ["IsotonicCalibrator"]


class IsotonicCalibrator(OneClassCalibrator):
    """Map the scores of one class to probabilities by the best non-decreasing function.

    The right choice for distortions of any monotone shape when a class has many rows (a thousand and more): with few
    it writes exact zeros and ones, unless it is shrunk. Lifted to several classes by `PerClassCalibrator`.

    Parameters
    ----------
    shrinkage : float, default=0.0
        How many rows the belief of before is worth in each block of constant probability, in [0, inf). The belief is
        the score itself where all scores are probabilities, else Platt's sigmoid of the same rows. 0 gives
        scikit-learn's numbers; 5 is a fair choice.

    Attributes
    ----------
    scores_, proba_ : ndarray of shape (n_knots,)
        The fitted function: linear between knots, constant outside them.

    See Also
    --------
    PerClassCalibrator : One calibrator for each class, one-vs-rest.
    sklearn.isotonic.IsotonicRegression : Gives the same numbers without shrinkage.

    Notes
    -----
    A block of few rows says little: three rows of the class above all others make a probability of 1. With shrinkage c,
    a block of weight W gets ``(W * share of the class + c * mean belief) / (W + c)``: blocks of many rows stay at their
    share, blocks of few near what was believed before, and none reaches 0 or 1 unless the belief does. Blocks out of
    order are pooled again.

    References
    ----------
    B. Zadrozny, C. Elkan, "Transforming classifier scores into accurate multiclass probability estimates", KDD 2002.

    Examples
    --------
    >>> from skroute.calibration import IsotonicCalibrator
    >>> calibrator = IsotonicCalibrator().fit([0.1, 0.3, 0.6, 0.9], [0, 1, 0, 1])
    >>> calibrator.predict([0.0, 0.4, 1.0]).tolist()
    [0.0, 0.5, 1.0]
    >>> shrunk = IsotonicCalibrator(shrinkage=1.0).fit([0.1, 0.3, 0.6, 0.9], [0, 1, 0, 1])
    >>> shrunk.predict([0.0, 0.4, 1.0]).round(3).tolist()
    [0.05, 0.483, 0.95]
    """

    @with_signature
    def __init__(self, shrinkage: float = 0.0) -> None:
        self.shrinkage = shrinkage

    def fit(self, scores: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the function.

        Parameters
        ----------
        scores : array-like of shape (n_samples,)
            Scores of the class: decision values or probabilities.
        y : array-like of shape (n_samples,)
            1 where the row is of the class, else 0.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If lengths differ, there is no row, a value is not finite, or `shrinkage` is negative or not finite.
        """
        shrinkage = check_amount(self.shrinkage, "shrinkage", type(self).__name__)
        values, positive, weight = check_one_vs_rest(scores, y, sample_weight)
        prior = _belief(values, positive, weight) if shrinkage > 0.0 else None
        self.scores_, self.proba_ = isotonic_knots(values, positive, weight, prior=prior, shrinkage=shrinkage)
        return self

    @classmethod
    def map_all(cls, calibrators: Sequence[Self], n_rows: int) -> Map:
        """Return how so many rows of scores, with a column for each calibrator, are calibrated, block by block."""
        knots = [(one.scores_, one.proba_) for one in calibrators]
        table = IsotonicTable.for_rows(knots, n_rows)
        if table is None:
            return super().map_all(calibrators, n_rows)

        def write(scores: Floats, proba: Floats) -> bool:
            if not all_finite(scores):
                return False
            table.write(scores, proba)
            return True

        return write

    def of_score(self, score: float) -> float:
        """Return the probability of one finite score."""
        return on_curve(score, self.scores_, self.proba_)

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities of scores that are known to be finite, of shape (n_samples,)."""
        return np.interp(values, self.scores_, self.proba_)


def _belief(
    scores: NDArray[np.float64], positive: NDArray[np.bool_], weight: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Return what was believed of each row before: its probability, or the best sigmoid of its decision value."""
    if is_proba(scores, "auto", "IsotonicCalibrator"):
        return np.clip(scores, 0.0, 1.0)
    slope, intercept = fit_platt(scores, positive, weight)
    return expit(slope * scores + intercept)
