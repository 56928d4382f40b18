"""Platt scaling of the scores of one class."""

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from skroute.calibration._apply import ByColumn, Floats, Map, all_finite, logistic
from skroute.calibration._one_class import OneClassCalibrator
from skroute.calibration._platt import fit_platt
from skroute.calibration._scores import check_one_vs_rest

__all__ = ["SigmoidCalibrator"]


class SigmoidCalibrator(OneClassCalibrator):
    """Map the scores of one class to probabilities by a sigmoid, as Platt did.

    The right choice for scores with an S-shaped distortion (margins of support vector machines, boosted trees), and
    for a class with few rows, since only two numbers are learned. Lifted to several classes by `PerClassCalibrator`.

    Attributes
    ----------
    a_, b_ : float
        The probability is ``1 / (1 + exp(a_ * score + b_))``.

    See Also
    --------
    PerClassCalibrator : One calibrator for each class, one-vs-rest.
    sklearn.calibration.CalibratedClassifierCV : Gives the same numbers with ``method="sigmoid"``.

    Notes
    -----
    Targets are smoothed by Platt's prior, so that the optimum is finite even for separated classes. It is found by
    Newton steps with backtracking on standardised scores, hence it does not depend on their scale. Equal scores leave
    the slope open; it is then 0.

    References
    ----------
    J. Platt, "Probabilistic outputs for support vector machines and comparisons to regularized likelihood methods",
    1999. H.-T. Lin, C.-J. Lin, R. C. Weng, "A note on Platt's probabilistic outputs for support vector machines",
    Machine Learning 68, 2007.

    Examples
    --------
    >>> from skroute.calibration import SigmoidCalibrator
    >>> calibrator = SigmoidCalibrator().fit([-2.0, -1.0, 0.5, 3.0], [0, 0, 1, 1])
    >>> calibrator.predict([-2.0, 3.0]).round(2).tolist()
    [0.25, 0.82]
    """

    def fit(self, scores: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit slope and intercept.

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
        slope, intercept = fit_platt(values, positive, weight)
        self.a_, self.b_ = -slope, -intercept
        return self

    @classmethod
    def map_all(cls, calibrators: Sequence[Self], n_rows: int) -> Map:
        """Return how so many rows of scores, with a column for each calibrator, are calibrated, block by block."""
        a = ByColumn(np.array([one.a_ for one in calibrators]), n_rows)
        b = ByColumn(np.array([one.b_ for one in calibrators]), n_rows)

        def write(scores: Floats, proba: Floats) -> bool:
            with np.errstate(over="ignore", invalid="ignore"):
                a(np.multiply, scores, proba)
            # Looked at before the scores, because these have arrived from memory by now; a product may be too large.
            if not all_finite(proba) and not all_finite(scores):
                return False
            b(np.add, proba, proba)
            logistic(proba)
            return True

        return write

    def of_score(self, score: float) -> float:
        """Return the probability of one finite score."""
        raw = self.a_ * score + self.b_
        # No exponential of a positive number, which may be too large for a float.
        return math.exp(-raw) / (1.0 + math.exp(-raw)) if raw > 0.0 else 1.0 / (1.0 + math.exp(raw))

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities of scores that are known to be finite, of shape (n_samples,)."""
        return expit(-(self.a_ * values + self.b_))
