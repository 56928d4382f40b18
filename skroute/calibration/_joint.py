"""What the calibrators share that learn from all classes together, rows merged and scores in units of their size."""

from abc import abstractmethod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from skroute._column_doubt import doubt_columns
from skroute._validation import require_fitted
from skroute.calibration._one_row import MOST_SCALED, finite_row, row_in_units
from skroute.calibration._score_kind import check_same_kind, is_proba
from skroute.calibration._scores import (
    check_scores,
    check_training,
    fill_unscored,
    in_units,
    predict_scored,
    score_matrix,
    score_unit,
)
from skroute.calibration._training_rows import TrainingRows, class_weight, training_rows

__all__ = ["JointCalibrator", "Training"]


class Training(NamedTuple):
    """What a calibrator is fitted on."""

    rows: TrainingRows
    given: NDArray[np.float64]
    """The scores as given, shape (n_samples, n_classes); NaN where a class was not scored."""
    scores: NDArray[np.float64]
    """The same in units, with every cell filled."""
    weight: NDArray[np.float64] | None
    classes: NDArray[Any]
    from_proba: bool
    unit: float


class JointCalibrator(BaseEstimator):
    """A calibrator of all classes: reads scores of any scale, and leaves what it learns to its kind.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class of each column.
    class_weight_ : ndarray of shape (n_classes,)
        Weight of the rows of each class.
    from_proba_ : bool
        Whether the scores were probabilities.
    unit_ : float
        What decision values are divided by.
    """

    kind: str

    def predict_proba(self, scores: Any) -> NDArray[np.float64]:
        """Return the calibrated probabilities.

        Parameters
        ----------
        scores : array-like or frame of shape (n_samples, n_classes)
            Scores of the kind that it was fitted on.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            Each row sums to one. Only a class that was not scored (NaN) has probability 0.

        Raises
        ------
        ValueError
            If a value is infinite, a row has no score, or with ``kind="auto"`` a value is outside of [0, 1] by more
            than 5e-3 although the scores that it was fitted on were probabilities.
        """
        require_fitted(self)
        values = score_matrix(scores, self.classes_)
        alone = finite_row(values, MOST_SCALED)
        if alone is None:
            check_scores(values)
        if self.kind == "auto":
            check_same_kind(values, self.from_proba_, type(self).__name__, alone)
        row = None if alone is None else self._predict_row(row_in_units(alone, self.unit_, self.from_proba_))
        if row is not None:
            return np.array([row])
        return predict_scored(self._predict, in_units(values, self.unit_, self.from_proba_), self.from_proba_)

    @abstractmethod
    def _predict(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities of scores in units, all of them finite."""

    def _predict_row(self, scores: list[float]) -> list[float] | None:
        """Return the probabilities of a single row of scores in units; None leaves it to `_predict`."""
        return None

    def _read(self, scores: Any, y: Any, sample_weight: Any, classes: Any) -> Training:
        """Check what is given to `fit`, and merge and sort its rows."""
        values, codes, labels, weight = check_training(scores, y, sample_weight, classes)
        if weight is not None and not weight.any():
            raise ValueError("sample_weight must be positive in at least one row, got zeros only.")
        from_proba = is_proba(values, self.kind, type(self).__name__)
        # Where the kind is told, so is the order.
        if self.kind == "auto":
            doubt_columns(values, codes, weight, labels)
        # A row whose true class the scoring model did not know says nothing about the scores of that class.
        known = ~np.isnan(values[np.arange(len(codes)), codes])
        filled = fill_unscored(values, from_proba)
        unit = score_unit(filled[known if weight is None else known & (weight > 0.0)], from_proba)
        in_unit = in_units(filled, unit, from_proba)
        rows = training_rows(in_unit, np.where(known, codes, -1), weight)
        return Training(rows, values, in_unit, weight, labels, from_proba, unit)

    def _store(self, training: Training) -> None:
        """Set the attributes that all kinds have."""
        self.classes_ = training.classes
        self.class_weight_ = class_weight(training.rows)
        self.from_proba_ = training.from_proba
        self.unit_ = training.unit
