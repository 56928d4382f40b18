"""One calibrator for each class, one-vs-rest."""

from collections.abc import Callable, Iterator, Mapping
from itertools import compress
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import has_fit_parameter

from skroute._signature import with_signature
from skroute._validation import check_classes, label_positions, require_fitted, shown
from skroute.calibration._apply import Floats, Map, all_finite, by_blocks, divide_rows
from skroute.calibration._beta import BetaCalibrator
from skroute.calibration._identity import IdentityCalibrator
from skroute.calibration._isotonic import IsotonicCalibrator
from skroute.calibration._one_class import OneClassCalibrator
from skroute.calibration._one_row import MOST_CLASSES, finite_row, shares_of_row
from skroute.calibration._score_kind import lie_in_unit
from skroute.calibration._scores import check_scores, check_training, normalise, score_matrix
from skroute.calibration._sigmoid import SigmoidCalibrator

__all__ = ["ONE_VS_REST", "PerClassCalibrator"]

ONE_VS_REST = {
    "sigmoid": SigmoidCalibrator,
    "isotonic": IsotonicCalibrator,
    "beta": BetaCalibrator,
    "none": IdentityCalibrator,
}
REST = "*"
# Those that have a way to calibrate one score.
BY_SCORE = (SigmoidCalibrator, IsotonicCalibrator)


class PerClassCalibrator(BaseEstimator):
    """Calibrate every class against the rest with a calibrator of its own, then let each row sum to one.

    Parameters
    ----------
    calibrators : str, calibrator or dict of class to either, default="sigmoid"
        "sigmoid", "isotonic", "beta", "none", or an object with ``fit(scores, y)`` and ``predict(scores)`` for the
        scores of one class, such as `sklearn.isotonic.IsotonicRegression`. A dict gives each class its own; the key
        ``"*"`` stands for the classes that it does not name, which are "sigmoid" without it.
    kind : {"auto", "proba", "scores"}, default="auto"
        What the scores are, for classes with "beta" or "none". These find it out together: probabilities lie in [0, 1]
        in all of their columns.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class of each column.
    calibrators_ : list
        The fitted calibrator of each class; None for a class without a score or a weight. Two classes with the same
        kind of calibrator share one, for ``classes_[1]``.

    Notes
    -----
    A row in which every class gets probability 0 becomes uniform, as in scikit-learn.

    References
    ----------
    B. Zadrozny, C. Elkan, "Transforming classifier scores into accurate multiclass probability estimates", KDD 2002.

    Examples
    --------
    >>> from skroute.calibration import PerClassCalibrator
    >>> scores = [[2.0, 0.1, -1.0], [0.3, 1.5, 0.2], [-1.0, 0.4, 2.2], [1.1, 0.9, 0.0]]
    >>> calibrator = PerClassCalibrator({"b": "isotonic", "*": "sigmoid"}).fit(scores, ["a", "b", "c", "a"])
    >>> calibrator.predict_proba(scores).sum(axis=1).round(6).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """

    @with_signature
    def __init__(self, calibrators: Any = "sigmoid", *, kind: str = "auto") -> None:
        self.calibrators = calibrators
        self.kind = kind

    def fit(self, scores: Any, y: Any, sample_weight: Any = None, *, classes: Any = None) -> Self:
        """Fit a calibrator for every class.

        Parameters
        ----------
        scores : array-like or frame of shape (n_samples, n_classes)
            Scores of every class: decision values or probabilities. NaN where a class was not scored.
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
            If shapes disagree, a value is not finite, or `calibrators` names a class or a method that does not exist.
        """
        values, codes, labels, weight = check_training(scores, y, sample_weight, classes)
        kinds = _agreed(self._kinds(labels), values)
        if len(labels) == 2 and kinds[0] is kinds[1]:
            kinds = [None, kinds[1]]
        fitted = [
            None if kind is None else _fit_one(kind, values[:, i], codes == i, weight) for i, kind in enumerate(kinds)
        ]
        self.classes_ = labels
        self.calibrators_ = fitted[1:] if kinds[0] is None else fitted
        return self

    def check(self, classes: Any) -> None:
        """Check the methods, and the classes that they name, before anything is fitted.

        Parameters
        ----------
        classes : array-like of shape (n_classes,)
            All classes.

        Raises
        ------
        ValueError
            If `calibrators` names a class or a method that does not exist.
        """
        self._kinds(check_classes(classes))

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
            If a value is infinite, a row has no score, or a class with "beta" or "none" that found out itself that its
            scores are probabilities gets one outside of [0, 1] by more than 5e-3.
        """
        require_fitted(self)
        values = score_matrix(scores, self.classes_)
        complete = self._predict_finite(values)
        return self._predict_each(check_scores(values)) if complete is None else complete

    def _predict_finite(self, values: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Return the probabilities of scores that are all finite; None where one is not, or no formula serves all."""
        alone = finite_row(values, MOST_CLASSES)
        # Not what is derived from these, which may have another way to calibrate many scores.
        ours: list[Any] = [one for one in self.calibrators_ if type(one) in BY_SCORE]
        if alone is None or len(ours) < len(self.calibrators_):
            quick = self._quick_map(len(values))
            return None if quick is None else by_blocks(quick, values)
        row = [one.of_score(score) for one, score in zip(ours, alone[-len(ours) :], strict=True)]
        return np.array([shares_of_row(row) if len(row) == len(alone) else [1.0 - row[0], row[0]]])

    def predict_blocks(
        self, scores: Any, n_rows: int | None = None, look: Callable[[slice], None] | None = None
    ) -> Iterator[NDArray[np.float64]]:
        """Predict some rows at a time, so that not all probabilities need be held at once.

        Parameters
        ----------
        scores : array-like or frame of shape (n_samples, n_classes)
            Scores of the kind that it was fitted on.
        n_rows : int, default=None
            Rows of a block. None: all.
        look : callable, default=None
            Called with the slice of a block in which a score is not finite, or which no single formula serves, before
            it is calibrated class by class: to refuse it, for example.

        Yields
        ------
        proba : ndarray of shape (n_rows, n_classes)
            Each row sums to one.
        """
        values = score_matrix(scores, self.classes_)
        quick = self._quick_map(len(values))
        size = max(len(values), 1) if n_rows is None else n_rows
        for start in range(0, max(len(values), 1), size):
            rows = slice(start, min(start + size, len(values)))
            complete = None if quick is None else by_blocks(quick, values[rows])
            if complete is None and look is not None:
                look(rows)
            yield self._predict_each(check_scores(values[rows])) if complete is None else complete

    def _quick_map(self, n_rows: int) -> Map | None:
        """Return how rows are calibrated in which every class has a score, where one formula serves all classes."""
        kinds = {type(calibrator) for calibrator in self.calibrators_}
        if len(kinds) > 1 or not issubclass(kind := kinds.pop(), OneClassCalibrator):
            return None
        fitted: Any = self.calibrators_
        write = kind.map_all(fitted, n_rows)

        def write_both(scores: Floats, proba: Floats) -> bool:
            if not (all_finite(scores[:, :1]) and write(scores[:, 1:], proba[:, 1:])):
                return False
            np.subtract(1.0, proba[:, 1], out=proba[:, 0])
            return True

        def write_all(scores: Floats, proba: Floats) -> bool:
            if not write(scores, proba):
                return False
            divide_rows(proba)
            return True

        return write_both if len(fitted) < len(self.classes_) else write_all

    def _predict_each(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities of checked scores, class by class."""
        proba = np.zeros(values.shape)
        unscored = not np.isfinite(values).all()
        shared = len(self.calibrators_) < len(self.classes_)
        for i, calibrator in enumerate(self.calibrators_, start=int(shared)):
            if calibrator is None:
                continue
            if isinstance(calibrator, OneClassCalibrator) and not unscored:
                proba[:, i] = calibrator.apply(values[:, i])
                continue
            known = ~np.isnan(values[:, i])
            if known.any():
                proba[known, i] = np.clip(calibrator.predict(values[known, i]), 0.0, 1.0)
        if shared:
            if self.calibrators_[0] is None:
                # Nothing was learned, which must not read as certainty of the other class.
                proba[:, 1] = np.where(np.isnan(values[:, 1]), 0.0, 0.5)
            # A class that was not scored leaves all to the other one.
            proba[:, 1] = np.where(np.isnan(values[:, 0]), 1.0, proba[:, 1])
            return _complete(proba)
        return normalise(proba)

    def _kinds(self, classes: NDArray[Any]) -> list[Any]:
        """Return an unfitted calibrator for every class; equal choices are one object."""
        choice = self.calibrators
        if not isinstance(choice, Mapping):
            return [self._make(choice)] * len(classes)
        named = {label: kind for label, kind in choice.items() if label != REST}
        positions = label_positions(named, classes, "The dict of calibration methods")
        if len(set(positions)) < len(positions):
            raise ValueError(f"The dict of calibration methods names one class twice: {list(named)}.")
        rest = choice.get(REST, "sigmoid")
        made = {kind: self._make(kind) for kind in [rest, *named.values()] if isinstance(kind, str)}
        kinds = [made[rest] if isinstance(rest, str) else self._make(rest)] * len(classes)
        for position, kind in zip(positions, named.values(), strict=True):
            kinds[position] = made[kind] if isinstance(kind, str) else self._make(kind)
        return kinds

    def _make(self, kind: Any) -> Any:
        if isinstance(kind, str) and kind in ("none", "beta"):
            return ONE_VS_REST[kind](kind=self.kind)
        if isinstance(kind, str) and kind in ONE_VS_REST:
            return ONE_VS_REST[kind]()
        if hasattr(kind, "fit") and hasattr(kind, "predict") and not isinstance(kind, type):
            return kind
        raise ValueError(
            f"A calibration method of a class must be one of {', '.join(map(repr, ONE_VS_REST))} or an object with "
            f"fit(scores, y) and predict(scores). Got {shown(kind)} instead."
        )


def _agreed(kinds: list[Any], values: NDArray[np.float64]) -> list[Any]:
    """Return the calibrators of the classes: where one has scores beyond [0, 1], none finds that it has probabilities.

    So decision values of a class that happen to lie in there are not taken for something else than the others are.
    """
    unsure = [isinstance(kind, (BetaCalibrator, IdentityCalibrator)) and kind.kind == "auto" for kind in kinds]
    if not any(unsure) or lie_in_unit(values[:, unsure]):
        return kinds
    told = {id(kind): clone(kind).set_params(kind="scores") for kind in compress(kinds, unsure)}
    return [told.get(id(kind), kind) for kind in kinds]


def _complete(proba: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leave to the first of two classes what the second does not take."""
    proba[:, 0] = 1.0 - proba[:, 1]
    return proba


def _fit_one(
    kind: Any, scores: NDArray[np.float64], positive: NDArray[np.bool_], weight: NDArray[np.float64] | None
) -> Any:
    """Fit one class on the rows where it was scored and has weight; None where there is none."""
    # A column of its own is read much faster, and it is read several times.
    scores = np.ascontiguousarray(scores)
    used = ~np.isnan(scores)
    if weight is not None:
        used &= weight > 0
    if not used.any():
        return None
    target = positive.astype(np.float64)
    if not used.all():
        rows = np.flatnonzero(used)
        scores, target, weight = scores[rows], target[rows], None if weight is None else weight[rows]
    if weight is None or not has_fit_parameter(kind, "sample_weight"):
        return clone(kind).fit(scores, target)
    return clone(kind).fit(scores, target, sample_weight=weight)
