"""Labels and probabilities, or a log of predictions, as positions and numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._validation import RANGE_TOLERANCE, check_classes, check_proba, column, encode_labels, listed

__all__ = ["read_outcomes"]


def read_outcomes(
    y_true: Any, y_prob: Any, y_pred: Any, confidence: Any, classes: Any, kind: str
) -> tuple[NDArray[Any], NDArray[np.intp], NDArray[np.intp] | None, NDArray[Any]]:
    """Return the classes, the true and the top class of every row as positions, and what is to be binned.

    That is the confidence in the top class or, for the kind "classwise", all probabilities; then no class is on top.
    """
    y_true = column(y_true, "y_true")
    if not len(y_true):
        raise ValueError("y_true must hold at least one row, got none.")
    if y_prob is None:
        return _read_log(y_true, y_pred, confidence, classes, kind)
    if y_pred is not None or confidence is not None:
        raise ValueError("Pass either y_prob, or y_pred and confidence; got both.")
    proba, labels = check_proba(y_prob, classes=classes, name="y_prob", binary_column=True)
    _check_length(proba, "y_prob", y_true)
    if labels is None:
        labels = _distinct(y_true, "y_true")
        if len(labels) != proba.shape[1]:
            raise ValueError(
                f"y_true holds {len(labels)} classes ({listed(labels.tolist())}), but y_prob has {proba.shape[1]} "
                "columns: pass classes=, the class of each column."
            )
    truth = encode_labels(y_true, labels, "y_true")
    return (labels, truth, None, proba) if kind == "classwise" else (labels, truth, *_top(proba))


def _read_log(
    y_true: NDArray[Any], y_pred: Any, confidence: Any, classes: Any, kind: str
) -> tuple[NDArray[Any], NDArray[np.intp], NDArray[np.intp], NDArray[Any]]:
    if y_pred is None or confidence is None:
        raise ValueError("Pass y_prob, or y_pred and confidence together; got neither in full.")
    if kind != "top-label":
        raise ValueError(f"The kind {kind!r} needs y_prob; with y_pred and confidence, kind must be 'top-label'.")
    y_pred, values = column(y_pred, "y_pred"), _check_confidence(confidence)
    _check_length(y_pred, "y_pred", y_true)
    _check_length(values, "confidence", y_true)
    if classes is None:
        found = [_distinct(y_true, "y_true"), _distinct(y_pred, "y_pred")]
        classes = _distinct(np.concatenate(found), "y_true and y_pred")
        if len(classes) < 2:
            raise ValueError(f"y_true and y_pred hold one class only ({classes[0]}): pass classes=, all the classes.")
    labels = check_classes(classes)
    return labels, encode_labels(y_true, labels, "y_true"), encode_labels(y_pred, labels, "y_pred"), values


def _check_length(values: NDArray[Any], name: str, y_true: NDArray[Any]) -> None:
    if len(values) != len(y_true):
        raise ValueError(f"{name} must have one row a label: {len(y_true)} labels in y_true, got {len(values)} rows.")


def _check_confidence(confidence: Any) -> NDArray[np.float64]:
    try:
        values = column(confidence, "confidence").astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError("confidence must be one number in [0, 1] a row.") from None
    bad = np.flatnonzero(~((values >= -RANGE_TOLERANCE) & (values <= 1.0 + RANGE_TOLERANCE)))
    if bad.size:
        raise ValueError(f"confidence must be finite and lie in [0, 1], got {values[bad[0]]} in row {bad[0]}.")
    return np.clip(values, 0.0, 1.0)


def _distinct(labels: NDArray[Any], name: str) -> NDArray[Any]:
    """Return the sorted distinct labels."""
    try:
        distinct = np.unique(labels)
    except TypeError:
        raise ValueError(f"{name} must hold labels of one type, without missing values.") from None
    if distinct.dtype.kind == "f" and np.isnan(distinct).any():
        raise ValueError(f"{name} must not hold NaN; row {int(np.flatnonzero(np.isnan(labels))[0])} does.")
    return distinct


def _top(proba: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[Any]]:
    """Return the position and the value of the first maximum of every row."""
    top = proba.argmax(axis=1)
    return top, np.take_along_axis(proba, top[:, np.newaxis], axis=1)[:, 0]
