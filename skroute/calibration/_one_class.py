"""What all calibrators of a single class share."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skroute.calibration._apply import Floats, Map, all_finite
from skroute.calibration._scores import check_score_column

__all__ = ["OneClassCalibrator"]


class OneClassCalibrator(BaseEstimator):
    """A function from the score of one class to its probability."""

    def predict(self, scores: Any) -> NDArray[np.float64]:
        """Return the calibrated probability of the class.

        Parameters
        ----------
        scores : array-like of shape (n_samples,)
            Scores of the class, of the kind that it was fitted on.

        Returns
        -------
        proba : ndarray of shape (n_samples,)
            In [0, 1].

        Raises
        ------
        ValueError
            If a score is not finite or, of a calibrator that found out itself that it was fitted on probabilities
            (``kind="auto"``), outside of [0, 1] by more than 5e-3.
        """
        check_is_fitted(self)
        return self.apply(check_score_column(scores))

    @classmethod
    def map_all(cls, calibrators: Sequence[Self], n_rows: int) -> Map:
        """Return how so many rows of scores, with a column for each calibrator, are calibrated, block by block."""

        def write(scores: Floats, proba: Floats) -> bool:
            if not all_finite(scores):
                return False
            for k, one in enumerate(calibrators):
                proba[:, k] = one.apply(scores[:, k])
            return True

        return write

    @abstractmethod
    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities of scores that are known to be finite, of shape (n_samples,)."""
