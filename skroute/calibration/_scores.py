"""What every calibrator asks of its input: scores with one column a class, labels, weights.

A cell that is NaN says that the model which scored the row did not know the class (the class was missing from its
training rows). Such a cell takes no part in fitting that class, and its probability is 0.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._frames import as_spelled, column_names, in_class_order
from skroute._rows import SUM_SLACK, bits_of
from skroute._validation import (
    check_classes,
    check_sample_weight,
    column,
    distinct_labels,
    encode_labels,
    listed,
    real_numbers,
)
from skroute._warn_caller import warn_caller
from skroute.calibration._apply import all_finite
from skroute.exceptions import DoubtfulScoresWarning

__all__ = [
    "check_one_vs_rest",
    "check_score_column",
    "check_scores",
    "check_training",
    "fill_unscored",
    "forget_unscored",
    "in_units",
    "normalise",
    "predict_scored",
    "score_matrix",
    "score_unit",
]

# Decision values from which they are taken in larger units, and beyond which, in these, they are cut.
SMALL_SCORE, LARGE_SCORE = 1e-3, 1e6
INFINITE = np.full(1, np.inf)


def score_matrix(scores: Any, classes: NDArray[Any] | None = None) -> NDArray[np.float64]:
    """Return scores as floats of shape (n_samples, n_classes), which need not be finite; of a frame in this order."""
    if (
        classes is not None
        and type(scores) is np.ndarray
        and scores.dtype == np.float64
        and scores.shape[1:] == classes.shape
    ):
        # As most often; for one row all that follows takes longer than calibrating it.
        return scores
    values = real_numbers(np.asarray(scores), "scores")
    if values.ndim != 2 or values.shape[1] < 2:
        raise ValueError(f"scores must have shape (n_samples, n_classes >= 2), got {values.shape}.")
    if classes is None:
        return values
    if hasattr(scores, "columns"):
        values = in_class_order(values, scores, classes, "scores")
    if values.shape[1] != len(classes):
        raise ValueError(f"scores must have shape (n_samples, {len(classes)}), got {values.shape}.")
    return values


def check_scores(scores: Any, classes: NDArray[Any] | None = None) -> NDArray[np.float64]:
    """Return scores as floats of shape (n_samples, n_classes); infinite cells and rows without a score are refused."""
    values = score_matrix(scores, classes)
    if all_finite(values):
        return values
    if np.isinf(values).any():
        raise ValueError(f"scores must be finite; row {np.flatnonzero(np.isinf(values).any(axis=1))[0]} is not.")
    if np.isnan(values).all(axis=1).any():
        row = np.flatnonzero(np.isnan(values).all(axis=1))[0]
        raise ValueError(f"scores must hold a score for at least one class in every row; row {row} holds only NaN.")
    return values


def check_training(
    scores: Any, y: Any, sample_weight: Any, classes: Any
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[Any], NDArray[np.float64] | None]:
    """Return scores, codes of the labels, classes and weights, all checked against each other."""
    values = check_scores(scores)
    labels = distinct_labels(column(y, "y")) if classes is None else check_classes(classes)
    names = column_names(scores, labels)
    if names is not None and classes is None:
        labels = as_spelled(check_classes(names, "The columns of scores"), y)
    elif names is not None:
        values = in_class_order(values, scores, labels, "scores")
    if len(labels) != values.shape[1]:
        raise ValueError(
            f"scores must have one column a class: {len(labels)} classes, got {values.shape[1]} columns. "
            "Pass classes= where y does not hold every class."
        )
    codes = encode_labels(y, labels)
    if not len(codes) or len(codes) != len(values):
        raise ValueError(f"scores and y must have as many rows, at least one: got {len(values)} and {len(codes)}.")
    if names is not None and classes is None:
        _warn_of_strange_columns(codes, labels)
    return values, codes, labels, check_sample_weight(sample_weight, len(values))


def _warn_of_strange_columns(codes: NDArray[np.intp], labels: NDArray[Any]) -> None:
    """Warn of columns of a frame that no row is of: they are taken for classes by their names alone."""
    strange = labels[np.bincount(codes, minlength=len(labels)) == 0]
    if strange.size:
        warn_caller(
            f"scores have columns that no row of y is of: {listed(strange.tolist())}. Drop them if they are no "
            "classes; pass classes= if they are.",
            DoubtfulScoresWarning,
        )


def check_score_column(scores: Any) -> NDArray[np.float64]:
    """Return the scores of one class as finite floats of shape (n_samples,): not to be written to, may be `scores`."""
    shape = tuple(getattr(scores, "shape", ()))
    if len(shape) == 2 and shape[1] != 1:
        raise ValueError(
            f"scores must be those of one class, of shape (n_samples,), got {shape}. PerClassCalibrator fits a "
            "calibrator like this one for every class."
        )
    values = np.ascontiguousarray(column(scores, "scores"), dtype=np.float64)
    # In one look, where none is negative: the bits of finite floats are below those of infinity.
    if bits_of(values).max(initial=0) >= bits_of(INFINITE)[0] and not np.isfinite(values).all():
        raise ValueError(f"scores must be finite; row {np.flatnonzero(~np.isfinite(values))[0]} is not.")
    return values


def check_one_vs_rest(
    scores: Any, y: Any, sample_weight: Any
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64] | None]:
    """Return scores of one class, whether each row is of the class, and weights; rows without weight are dropped.

    No weights stay None. Scores and labels are not to be written to: they may be those that were given.
    """
    values = check_score_column(scores)
    target = column(y, "y")
    positive = _ones(target)
    if positive is None:
        raise ValueError("y must hold 1 where a row is of the class, and 0 (or -1) where it is not.")
    if not len(values) or len(values) != len(positive):
        raise ValueError(f"scores and y must have as many rows, at least one: got {len(values)} and {len(positive)}.")
    weight = check_sample_weight(sample_weight, len(values))
    if weight is None:
        return values, positive, None
    kept = np.flatnonzero(weight > 0)
    if not len(kept):
        raise ValueError("sample_weight must be positive in at least one row.")
    return (values, positive, weight) if len(kept) == len(values) else (values[kept], positive[kept], weight[kept])


def _ones(numbers: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return which numbers are 1; None where one is neither of -1, 0 and 1."""
    if numbers.dtype.kind == "b":
        return numbers
    if numbers.dtype.kind == "f":
        return numbers > 0 if (np.sign(numbers) == numbers).all() else None
    if numbers.dtype.kind not in "iu":
        return None
    # In one look: a sign is the highest bit.
    if numbers.dtype.isnative and numbers.view(f"u{numbers.itemsize}").max(initial=0) <= 1:
        set_: NDArray[np.bool_] = numbers != 0
        return set_
    return None if numbers.min(initial=0) < -1 or numbers.max(initial=0) > 1 else numbers > 0


def normalise(proba: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide every row by its sum; a row of zeros, which says nothing, becomes uniform."""
    total = proba.sum(axis=1, keepdims=True)
    uniform = np.full_like(proba, 1.0 / proba.shape[1])
    shares: NDArray[np.float64] = np.divide(proba, total, out=uniform, where=total > 0.0)
    return shares


def fill_unscored(scores: NDArray[np.float64], from_proba: bool | None = None) -> NDArray[np.float64]:
    """Give cells without a score the least one of their row, for calibrators that do not know our mark for them.

    Row by row, so that a row is calibrated alike whatever it comes with; the least probability is 0. Where it is not
    known what the scores are, each row is judged by its own values.
    """
    unscored = np.isnan(scores)
    if not unscored.any():
        return scores
    least = np.nanmin(scores, axis=1, keepdims=True)
    if from_proba is None:
        total = np.nansum(scores, axis=1, keepdims=True)
        least = np.where((least >= 0.0) & (np.abs(total - 1.0) <= SUM_SLACK), 0.0, least)
    elif from_proba:
        least = np.zeros_like(least)
    return np.where(unscored, least, scores)


def score_unit(scores: NDArray[np.float64], from_proba: bool) -> float:
    """Return a power of two by which decision values are divided, so that neither they nor products of them are lost.

    It follows the middle of their different sizes, which no repetition of rows moves: a few that are out of all
    proportion must not make the others look alike.
    """
    sizes = np.unique(np.abs(scores).max(axis=1)) if not from_proba and scores.size else np.ones(1)
    middle = float(sizes[len(sizes) // 2])
    return 1.0 if middle == 0.0 or SMALL_SCORE < middle < LARGE_SCORE else float(2.0 ** np.floor(np.log2(middle)))


def in_units(scores: NDArray[np.float64], unit: float, from_proba: bool) -> NDArray[np.float64]:
    """Return decision values in units, cut where they are certainties at any temperature."""
    if from_proba:
        return scores
    with np.errstate(over="ignore"):
        return np.clip(scores / unit, -LARGE_SCORE, LARGE_SCORE)


def predict_scored(
    predict: Callable[[NDArray[np.float64]], NDArray[np.float64]], scores: NDArray[np.float64], from_proba: bool
) -> NDArray[np.float64]:
    """Predict probabilities by a function that knows no mark for cells without a score."""
    if np.isfinite(scores).all():
        return predict(scores)
    return forget_unscored(predict(fill_unscored(scores, from_proba)), scores)


def forget_unscored(proba: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give classes without a score probability 0, and the others what that leaves."""
    unscored = np.isnan(scores)
    return normalise(np.where(unscored, 0.0, proba)) if unscored.any() else proba
