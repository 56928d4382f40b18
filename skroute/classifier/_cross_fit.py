"""The expensive half of a fit: cross-fitted scores, calibrators, and probabilities that no calibrator has seen."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import has_fit_parameter

from skroute._validation import listed
from skroute.calibration._methods import fit_calibrator, predict_calibrated, predict_finite, take_unseen_proba
from skroute.classifier._callbacks import fit_task, subtask
from skroute.classifier._response import refuse_not_finite, scores, take, take_params, take_split
from skroute.classifier._splits import DEFAULT_FOLDS, Split, StratifiedFolds
from skroute.classifier._workers import do_all
from skroute.reliability import ReliabilityTable, reliability_table

__all__ = ["CalibratedModel", "CrossFit", "cross_fit", "mean_proba_of", "weights_of"]

FEATURES = ("n_features_in_", "feature_names_in_")


class CalibratedModel:
    """A fitted classifier with its fitted calibrator.

    Attributes
    ----------
    estimator : fitted classifier
    calibrator : fitted calibrator of all classes
    classes : ndarray of shape (n_classes,)
    """

    def __init__(self, estimator: Any, calibrator: Any, classes: NDArray[Any], proba_first: bool) -> None:
        self.estimator = estimator
        self.calibrator = calibrator
        self.classes = classes
        self.proba_first = proba_first

    @cached_property
    def is_ours(self) -> bool:
        """Whether the calibrator is one of ours, which calibrates each row by itself."""
        return bool(has_fit_parameter(self.calibrator, "classes"))

    @property
    def calibrators(self) -> list[Any]:
        """The calibrators of single classes, or the one of all classes, as `CalibratedClassifierCV` lists them."""
        return getattr(self.calibrator, "calibrators_", [self.calibrator])

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return calibrated probabilities of shape (n_samples, n_classes)."""
        if not self.is_ours:
            return self.calibrate(self.scores(X))
        return self.look_and_calibrate(self.scores(X, finite=False))

    def look_and_calibrate(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what a calibrator of ours makes of scores, which are refused if they are not finite."""
        found = predict_finite(self.calibrator, raw)
        if found is None:
            self.look(raw)
            found = self.calibrate(raw)
        return found

    def scores(self, X: Any, *, finite: bool = True) -> NDArray[np.float64]:
        """Return the scores of the classifier, not to be written to, of shape (n_samples, n_classes).

        If they need not be `finite`, that is left to `look`.
        """
        return scores(self.estimator, X, self.classes, self.proba_first, finite=finite)

    def look(self, raw: NDArray[np.float64], rows: slice = slice(None)) -> None:
        """Refuse scores that are not finite."""
        refuse_not_finite(self.estimator, raw, self.classes, self.proba_first, rows)

    def calibrate(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities of scores."""
        if self.is_ours:
            ours: NDArray[np.float64] = self.calibrator.predict_proba(raw)
            return ours
        # Somebody else's may write to what it is given, which may be the caller's.
        return predict_calibrated(self.calibrator, raw.copy(), self.classes)


@dataclass(frozen=True)
class CrossFit:
    """What one cross-fit leaves: models to predict with, and honest probabilities to judge them by."""

    models: Any
    """A list of `CalibratedModel`; or what stands for it, where it is remembered."""
    features: dict[str, Any]
    """What the classifier knows of its features, by attribute."""
    rows: NDArray[np.intp]
    """The rows that some fold tested, each once."""
    proba: NDArray[np.float64]
    """Their probabilities, from a model and a calibrator that did not see the row; shape (n_rows, n_classes)."""
    unseen: NDArray[np.bool_]
    """Classes that some fold's model or some calibrator did not know; shape (n_classes,)."""
    reliability: ReliabilityTable
    """How far these probabilities can be trusted."""
    folds: NDArray[np.intp]
    """Rows of each fold that have a weight, and in how many of them the true class had the largest score; shape
    (2, n_folds)."""


def cross_fit(
    estimator: Any,
    X: Any,
    y: NDArray[Any],
    codes: NDArray[np.intp],
    classes: NDArray[Any],
    splits: list[Split] | StratifiedFolds,
    calibrator: Any,
    proba_first: bool,
    ensemble: bool,
    sample_weight: NDArray[np.float64] | None,
    fit_params: dict[str, Any],
    n_jobs: int | None = None,
    context: Any = None,
    owner: Any = None,
    digest: str = "",
) -> CrossFit:
    """Fit the classifier on every fold, the calibrators on the scores of the other rows, and score each row honestly.

    A module-level function of plain values, so that its result can be cached; three of the last arguments change how it
    runs but not what it returns, and the digest is for the cache.
    """
    folds: list[tuple[Any, Any]] = [*splits] if ensemble else [*splits, (np.arange(len(y)), None)]
    jobs = [
        (clone(estimator), X, y, train, test, classes, proba_first, fit_params, subtask(context, "fold"), owner)
        for train, test in folds
    ]
    # A frozen classifier is only asked: threads share it and its rows, where processes would get copies of both.
    fits = do_all(_fit_fold, jobs, n_jobs, by_threads=isinstance(estimator, FrozenEstimator))
    tested = [test for _, test in folds if test is not None]
    fold_scores = [fold for _, fold in fits if fold is not None]
    all_scores, all_rows = np.concatenate(fold_scores), np.concatenate(tested)
    fold_of = np.repeat(np.arange(len(tested)), [len(test) for test in tested])
    # Repeated and overlapping test sets: a row counts once, or intervals would be too narrow.
    rows, first = np.unique(all_rows, return_index=True)
    row_scores, row_weight = all_scores[first], weights_of(sample_weight, rows)
    fold_of = fold_of[first]
    if ensemble:
        calibrators = [
            fit_calibrator(calibrator, fold, codes[test], classes, weights_of(sample_weight, test))
            for fold, test in zip(fold_scores, tested, strict=True)
        ]
    else:
        calibrators = [fit_calibrator(calibrator, row_scores, codes[rows], classes, row_weight, fold_of)]
    own = [part for part in map(take_unseen_proba, calibrators) if part is not None]
    if len(own) < len(calibrators):
        proba = _unseen_proba(calibrator, row_scores, codes[rows], fold_of, classes, row_weight)
    else:
        proba = np.concatenate(own)[first] if ensemble else own[0]
    # The classifier of all rows comes last, or there is one for each calibrator.
    models = [
        CalibratedModel(model, fitted, classes, proba_first)
        for (model, _), fitted in zip(fits[-len(calibrators) :], calibrators, strict=True)
    ]
    # Each calibrator that serves must have seen the class: the one fitted on all rows, or every member's own.
    calibrated_on = tested if ensemble else [rows]
    seen = [_has_weight(codes[part], weights_of(sample_weight, part), len(classes)) for part in calibrated_on]
    unseen = np.isnan(all_scores).any(axis=0) | ~np.all(seen, axis=0)
    reliability = reliability_table(y[rows], proba, classes=classes, sample_weight=row_weight)
    features = {name: getattr(models[0].estimator, name) for name in FEATURES if hasattr(models[0].estimator, name)}
    of_folds = _right_by_fold(row_scores, codes[rows], row_weight, fold_of, len(tested))
    return CrossFit(models, features, rows, proba, unseen, reliability, of_folds)


def _right_by_fold(
    scores: NDArray[np.float64],
    codes: NDArray[np.intp],
    weight: NDArray[np.float64] | None,
    fold_of: NDArray[np.intp],
    n_folds: int,
) -> NDArray[np.intp]:
    """Count the rows of each fold that have a weight, and those of them that the classifier has right.

    The classifier, and not its calibrator: one that lacks a class in some fold is no fault of the rows.
    """
    counted = np.ones(len(codes), dtype=np.bool_) if weight is None else weight > 0.0
    right = counted & (np.nan_to_num(scores, nan=-np.inf).argmax(axis=1) == codes)
    return np.stack([np.bincount(fold_of[part], minlength=n_folds) for part in (counted, right)])


def _has_weight(codes: NDArray[np.intp], weight: NDArray[np.float64] | None, n_classes: int) -> NDArray[np.bool_]:
    """Tell which classes have a row of positive weight."""
    return np.bincount(codes, weights=weight, minlength=n_classes) > 0


def mean_proba_of(models: list[CalibratedModel], X: Any) -> NDArray[np.float64]:
    """Return the mean of the models' calibrated probabilities."""
    proba = models[0].predict_proba(X)
    for model in models[1:]:
        proba = proba + model.predict_proba(X)
    return proba / len(models) if len(models) > 1 else proba


def weights_of(
    weight: NDArray[np.float64] | None, rows: NDArray[np.intp] | NDArray[np.bool_]
) -> NDArray[np.float64] | None:
    """Return the weights of some rows; None where there are none."""
    return None if weight is None else weight[rows]


def _fit_fold(
    estimator: Any,
    X: Any,
    y: NDArray[Any],
    train: NDArray[np.intp],
    test: NDArray[np.intp] | None,
    classes: NDArray[Any],
    proba_first: bool,
    fit_params: dict[str, Any],
    context: Any,
    owner: Any,
) -> tuple[Any, NDArray[np.float64] | None]:
    """Fit on the training rows and score the test rows; all rows and no test for the model that serves alone."""
    if test is None:
        with fit_task(context, owner, estimator, X, y):
            estimator.fit(X, y, **fit_params)
        return estimator, None
    X_train, y_train = take_split(estimator, X, train, train), take(y, train)
    try:
        with fit_task(context, owner, estimator, X_train, y_train):
            estimator.fit(X_train, y_train, **take_params(fit_params, train, len(y)))
    except Exception as error:
        lacking = np.setdiff1d(classes, y_train)
        if lacking.size:
            error.add_note(
                f"In this fold no training row is of class {listed(lacking.tolist())}, which "
                f"{type(estimator).__name__} may not bear: leave out classes of one row, or give them some more."
            )
        raise
    return estimator, scores(estimator, take_split(estimator, X, test, train), classes, proba_first)


def _unseen_proba(
    calibrator: Any,
    row_scores: NDArray[np.float64],
    codes: NDArray[np.intp],
    fold_of: NDArray[np.intp],
    classes: NDArray[Any],
    weight: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """Calibrate the rows of each fold by a calibrator fitted on the scores of the other folds."""
    folds = np.unique(fold_of)
    if len(folds) == 1:
        # A single test set: split it by turns within each class.
        order = np.argsort(codes, kind="stable")
        fold_of = np.empty_like(codes)
        fold_of[order] = np.arange(len(codes)) % min(DEFAULT_FOLDS, len(codes))
        folds = np.unique(fold_of)
    proba = np.empty_like(row_scores)
    for fold in folds:
        held = fold_of == fold
        fitting = ~held if len(folds) > 1 else held
        fitted = fit_calibrator(calibrator, row_scores[fitting], codes[fitting], classes, weights_of(weight, fitting))
        proba[held] = predict_calibrated(fitted, row_scores[held], classes)
    return proba
