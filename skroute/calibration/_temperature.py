"""Temperature scaling: one number for all classes."""

import math
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from skroute._column_doubt import doubt_columns
from skroute._rows import bits_of
from skroute._signature import with_signature
from skroute._validation import check_level, require_fitted
from skroute.calibration._apply import all_finite, by_blocks, divide_rows
from skroute.calibration._links import fit_beta
from skroute.calibration._one_row import MOST_TEMPERED, finite_row, tempered_row
from skroute.calibration._score_kind import check_same_kind, is_proba
from skroute.calibration._scores import check_scores, check_training, score_matrix
from skroute.calibration._softmax import blocks, pass_rows, row_max, softmax
from skroute.calibration._summary import ABSENT, CalibrationSummary

__all__ = ["TemperatureCalibrator"]

# Far enough down for probability 0 at every temperature, and products with it stay finite.
LEAST_LOGIT = -1e100
# Exponentials of less lose nothing to the limits of floats.
MOST_LOG = 600.0
LOG_2 = math.log(2.0)


class TemperatureCalibrator(BaseEstimator):
    """Sharpen or soften all probabilities by one learned temperature.

    The right choice where rows are few or classes are many: it learns one number, keeps the order of the classes in
    every row, and cannot write exact zeros. What is wrong with a single class it cannot repair.

    Parameters
    ----------
    floor : float, default=1e-12
        Added to probabilities before the logarithm, so that exact zeros stay finite. In [0, 1].
    kind : {"auto", "proba", "scores"}, default="auto"
        What the scores are: probabilities, decision values, or to be found out when fitted: probabilities lie in [0, 1]
        and sum to one within 5e-3.

    Attributes
    ----------
    beta_ : float
        Inverse temperature: above 1 the model was under-confident, below 1 over-confident. In [e^-10, e^10]; decision
        values that spread by more than 1 reach as much further down.
    classes_ : ndarray of shape (n_classes,)
        The class of each column.
    from_proba_ : bool
        Whether the scores were probabilities; if not, they are taken as logits.

    See Also
    --------
    sklearn.calibration.CalibratedClassifierCV : Gives the same numbers with ``method="temperature"``.

    Notes
    -----
    The log loss is convex in beta, so safeguarded Newton steps find its one minimum. A row whose true class the scoring
    model did not know (NaN) tells nothing about the temperature and is left out.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks", ICML 2017,
    arXiv:1706.04599.

    Examples
    --------
    >>> from skroute.calibration import TemperatureCalibrator
    >>> proba = [[0.9, 0.1], [0.8, 0.2], [0.9, 0.1], [0.2, 0.8]]
    >>> calibrator = TemperatureCalibrator().fit(proba, ["a", "b", "a", "b"])
    >>> calibrator.predict_proba([[0.9, 0.1]]).round(2).tolist()
    [[0.85, 0.15]]
    """

    @with_signature
    def __init__(self, floor: float = 1e-12, *, kind: str = "auto") -> None:
        self.floor = floor
        self.kind = kind

    def fit(self, scores: Any, y: Any, sample_weight: Any = None, *, classes: Any = None) -> Self:
        """Fit the temperature.

        Parameters
        ----------
        scores : array-like or frame of shape (n_samples, n_classes)
            Probabilities, or decision values of any scale. NaN where a class was not scored.
        y : array-like of shape (n_samples,)
            True labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative.
        classes : array-like of shape (n_classes,), default=None
            The class of each column. None: the column names of a frame, else the sorted labels in `y`.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If shapes disagree, a value is not finite, or scores that nobody says what they are (`kind`) look like
            percentages, or like probabilities whose rows do not all sum to one.
        """
        floor = check_level(self.floor, "floor", type(self).__name__)
        values, codes, labels, weight = check_training(scores, y, sample_weight, classes)
        from_proba = is_proba(values, self.kind, type(self).__name__)
        # Where the kind is told, so is the order.
        if self.kind == "auto":
            doubt_columns(values, codes, weight, labels)
        complete = all_finite(values)
        logits = _logits(values, from_proba, floor or 0.0, complete=complete)
        spread = 1.0 if from_proba else max(1.0, -float(logits.min(initial=0.0, where=np.isfinite(logits))))
        if not (complete and from_proba and floor):
            # A class without a score or, without a floor, of probability 0: no product with its logit may be NaN.
            np.maximum(logits, LEAST_LOGIT, out=logits)
        known = np.ones(len(codes), dtype=np.bool_) if weight is None else weight > 0.0
        if not complete:
            known &= ~np.isnan(values[np.arange(len(values)), codes])
        weights = np.ones(len(codes)) if weight is None else weight
        rows = slice(None) if known.all() else np.flatnonzero(known)
        self.beta_, _ = fit_beta(logits[rows], codes[rows], weights[rows], spread=spread)
        self.class_weight_ = np.bincount(codes, weight, len(labels)).astype(np.float64)
        self.classes_ = labels
        self.from_proba_ = from_proba
        return self

    def predict_proba(self, scores: Any) -> NDArray[np.float64]:
        """Return the calibrated probabilities.

        Parameters
        ----------
        scores : array-like or frame of shape (n_samples, n_classes)
            Scores of the kind that it was fitted on.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            Each row sums to one.

        Raises
        ------
        ValueError
            If a value is infinite, a row has no score, or with ``kind="auto"`` a value is outside of [0, 1] by more
            than 5e-3 although the scores that it was fitted on were probabilities.
        """
        require_fitted(self)
        values = score_matrix(scores, self.classes_)
        complete = self._predict_finite(values)
        if complete is not None:
            return complete
        check_scores(values)
        self._check_kind(values)
        logits = _logits(values, self.from_proba_, self.floor)
        self._sharpen(logits)
        return softmax(logits)

    def _predict_finite(self, values: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Return the probabilities of scores that are all finite; None where one is not."""
        row = finite_row(values, MOST_TEMPERED)
        if row is not None:
            self._check_kind(values, row)
            return np.array([tempered_row(row, float(self.floor) if self.from_proba_ else None, self.beta_)])
        mild, strange = self._is_mild(), False

        def write(scores: NDArray[np.float64], proba: NDArray[np.float64]) -> bool:
            nonlocal strange
            if mild and self._write_powers(scores, proba):
                return True
            strange = True
            return self._write_softmax(scores, proba)

        # Nothing else has to stay in the cache.
        proba = by_blocks(write, values, pass_rows(values.shape[1]))
        if proba is not None and strange:
            self._check_kind(values)
        return proba

    def _check_kind(self, values: NDArray[np.float64], row: list[float] | None = None) -> None:
        if self.kind == "auto":
            check_same_kind(values, self.from_proba_, type(self).__name__, row)

    def _sharpen(self, logits: NDArray[np.float64]) -> None:
        with np.errstate(over="ignore"):
            # All are at most 0, and what is lower than any float has probability 0, as meant.
            logits *= self.beta_

    def _is_mild(self) -> bool:
        """Return whether no power of a probability plus floor can be too small for a float, or too large."""
        if not self.from_proba_ or self.floor <= 0.0:
            return False
        return bool(self.beta_ * max(-np.log(self.floor), np.log1p(self.floor)) < MOST_LOG)

    def _write_powers(self, scores: NDArray[np.float64], proba: NDArray[np.float64]) -> bool:
        # softmax(beta * log(p)) without the search for the largest of each row. What is no probability is looked for
        # when the floor was added, and all have arrived from memory: its bits are then under those of the floor, or
        # over those of one plus the floor.
        floor = float(self.floor)
        np.add(scores, floor, out=proba)
        bits, (least, most) = bits_of(proba), bits_of(np.array([floor, 1.0 + floor]))
        if np.minimum.reduce(bits, axis=None) < least or np.maximum.reduce(bits, axis=None) > most:
            return False
        # Of each pair the quicker one.
        np.log(proba, out=proba)
        proba *= self.beta_ / LOG_2
        np.exp2(proba, out=proba)
        divide_rows(proba)
        return True

    def _write_softmax(self, scores: NDArray[np.float64], proba: NDArray[np.float64]) -> bool:
        if not np.isfinite(scores).all():
            return False
        _write_logits(scores, proba, self.from_proba_, self.floor, complete=True)
        self._sharpen(proba)
        softmax(proba)
        return True

    def summary(self) -> CalibrationSummary:
        """Return the one temperature, and the rows of each class.

        Returns
        -------
        summary : CalibrationSummary
        """
        require_fitted(self)
        n_classes = len(self.classes_)
        heading = f"Scores are probabilities, with {self.floor:g} added before the logarithm."
        return CalibrationSummary(
            label=self.classes_,
            rows=self.class_weight_,
            temperature=np.full(n_classes, 1.0 / self.beta_),
            slope=np.ones(n_classes),
            bias=np.zeros(n_classes),
            shrinkage=np.ones(n_classes),
            note=np.where(self.class_weight_ == 0.0, ABSENT, "the shared temperature"),
            heading=heading if self.from_proba_ else "Scores are logits.",
        )


def _logits(
    scores: NDArray[np.float64], from_proba: bool, floor: float, *, complete: bool = False
) -> NDArray[np.float64]:
    """Return logits, shifted so that the largest of each row is 0; a class that was not scored has -inf."""
    logits = np.empty(scores.shape)
    for rows in blocks(*scores.shape):
        _write_logits(scores[rows], logits[rows], from_proba, floor, complete=complete)
    return logits


def _write_logits(
    scores: NDArray[np.float64], logits: NDArray[np.float64], from_proba: bool, floor: float, *, complete: bool
) -> None:
    if from_proba:
        np.maximum(scores, 0.0, out=logits)
        logits += floor
        if floor == 0.0:
            # A row of zeros says nothing.
            logits[~(logits > 0.0).any(axis=1)] = 1.0
        with np.errstate(divide="ignore"):
            # Without a floor, the logarithm of an exact zero is -inf, as meant.
            np.log(logits, out=logits)
    else:
        logits[:] = scores
    if not complete:
        logits[np.isnan(scores)] = -np.inf
    with np.errstate(over="ignore"):
        # Scores at either end of all floats are infinitely far apart, as meant.
        logits -= row_max(logits)
