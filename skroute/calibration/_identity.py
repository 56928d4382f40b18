"""No calibration: the model's own probabilities."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.utils.validation import check_is_fitted

from skroute._signature import with_signature
from skroute.calibration._one_class import OneClassCalibrator
from skroute.calibration._score_kind import check_range, check_same_kind, is_proba
from skroute.calibration._scores import check_score_column, check_scores, normalise

__all__ = ["IdentityCalibrator"]


class IdentityCalibrator(OneClassCalibrator):
    """Leave probabilities as they are; turn decision values into probabilities by their standard link.

    For models that are calibrated already, and as the reference that a calibrator has to beat. It serves all classes
    together (`predict_proba`) and one class inside `PerClassCalibrator` (`predict`).

    Parameters
    ----------
    kind : {"auto", "proba", "scores"}, default="auto"
        What the scores are: probabilities, decision values, or to be found out when fitted: probabilities lie in [0, 1]
        and sum to one within 5e-3.

    Attributes
    ----------
    from_proba_ : bool
        Whether the scores it was fitted on were probabilities. If not, the link is softmax (all classes) or the
        logistic function (one class).
    n_classes_ : int or None
        The number of columns; None where it was fitted on the scores of one class.

    Examples
    --------
    >>> from skroute.calibration import IdentityCalibrator
    >>> proba = [[0.7, 0.3], [0.2, 0.8]]
    >>> IdentityCalibrator().fit(proba, [0, 1]).predict_proba(proba).tolist()
    [[0.7, 0.3], [0.2, 0.8]]
    """

    @with_signature
    def __init__(self, kind: str = "auto") -> None:
        self.kind = kind

    def fit(self, scores: Any, y: Any = None, sample_weight: Any = None, *, classes: Any = None) -> Self:
        """Find out whether the scores are probabilities.

        Parameters
        ----------
        scores : array-like of shape (n_samples, n_classes) or (n_samples,)
            Scores of all classes, or of one.
        y : array-like of shape (n_samples,), default=None
            Labels; ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Ignored.
        classes : array-like of shape (n_classes,), default=None
            The class of each column; ignored for one class.

        Returns
        -------
        self : object
        """
        if np.ndim(scores) == 1:
            values = check_score_column(scores)
            self.from_proba_ = is_proba(values, self.kind, type(self).__name__)
            self.n_classes_: int | None = None
        else:
            values = check_scores(scores)
            self.from_proba_ = is_proba(values, self.kind, type(self).__name__)
            self.n_classes_ = values.shape[1]
        return self

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities of scores that are known to be finite, of shape (n_samples,)."""
        if not self.from_proba_:
            return expit(values)
        if self.kind == "auto":
            check_range(values, type(self).__name__)
        return np.clip(values, 0.0, 1.0)

    def predict_proba(self, scores: Any) -> NDArray[np.float64]:
        """Return the probabilities of all classes.

        Parameters
        ----------
        scores : array-like of shape (n_samples, n_classes)
            Scores of all classes.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            Each row sums to one.

        Raises
        ------
        ValueError
            If the shape is another one, a value is infinite, a row has no score, or with ``kind="auto"`` a value is
            outside of [0, 1] by more than 5e-3 although the scores that it was fitted on were probabilities.
        """
        check_is_fitted(self)
        values = check_scores(scores)
        if values.shape[1] != self.n_classes_:
            raise ValueError(f"scores must have shape (n_samples, {self.n_classes_}), got {values.shape}.")
        if self.kind == "auto":
            check_same_kind(values, self.from_proba_, type(self).__name__)
        if self.from_proba_:
            return normalise(np.clip(np.nan_to_num(values, nan=0.0), 0.0, 1.0))
        return softmax(np.where(np.isnan(values), -np.inf, values), axis=1)
