"""Isotonic regression of the scores of one class."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.utils.validation import check_is_fitted

from skroute.calibration._scores import check_one_vs_rest, check_score_column

__all__ = ["IsotonicCalibrator"]


class IsotonicCalibrator(BaseEstimator):
    """Map the scores of one class to probabilities by the best non-decreasing function.

    The right choice for distortions of any monotone shape when a class has many rows (a thousand and more): with few
    it writes exact zeros and ones. Lifted to several classes by `PerClassCalibrator`.

    Attributes
    ----------
    scores_, proba_ : ndarray of shape (n_knots,)
        The fitted function: linear between knots, constant outside them.

    See Also
    --------
    PerClassCalibrator : One calibrator for each class, one-vs-rest.
    sklearn.isotonic.IsotonicRegression : Fits the knots.

    References
    ----------
    B. Zadrozny, C. Elkan, "Transforming classifier scores into accurate multiclass probability estimates", KDD 2002.

    Examples
    --------
    >>> from skroute.calibration import IsotonicCalibrator
    >>> calibrator = IsotonicCalibrator().fit([0.1, 0.3, 0.6, 0.9], [0, 1, 0, 1])
    >>> calibrator.predict([0.0, 0.4, 1.0]).tolist()
    [0.0, 0.5, 1.0]
    """

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
            If lengths differ, there is no row, or a value is not finite.
        """
        values, positive, weight = check_one_vs_rest(scores, y, sample_weight)
        regression = IsotonicRegression(out_of_bounds="clip").fit(values, positive.astype(np.float64), weight)
        # Two arrays instead of the fitted object: they pickle small and need no trust to be read back.
        self.scores_: NDArray[np.float64] = regression.X_thresholds_
        self.proba_: NDArray[np.float64] = regression.y_thresholds_
        return self

    def predict(self, scores: Any) -> NDArray[np.float64]:
        """Return the calibrated probability of the class.

        Parameters
        ----------
        scores : array-like of shape (n_samples,)
            Scores of the class.

        Returns
        -------
        proba : ndarray of shape (n_samples,)
            In [0, 1].
        """
        check_is_fitted(self)
        return np.interp(check_score_column(scores), self.scores_, self.proba_)
