"""Labels and probabilities, or a log of predictions, as positions and numbers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._frames import as_spelled, check_proba
from skroute._rows import check_unit
from skroute._top_blocks import top_blocks
from skroute._validation import (
    MOST_WHOLE_NUMBERS,
    check_classes,
    column,
    distinct_labels,
    encode_labels,
    is_text,
    listed,
    real_numbers,
)

__all__ = ["read_outcomes"]

# Labels looked at in one go.
BLOCK = 2**12


def read_outcomes(
    y_true: Any, y_prob: Any, y_pred: Any, confidence: Any, classes: Any, kind: str, *, rows: bool = True
) -> tuple[NDArray[Any], NDArray[np.intp], NDArray[np.intp] | None, NDArray[Any]]:
    """Return the classes, the true and the top class of every row as positions, and what is to be binned.

    That is the confidence in the top class or, for the kind "classwise", all probabilities; then no class is on top.
    With `rows=False` these are still to be checked, by `skroute._rows.clean_blocks`.
    """
    y_true = column(y_true, "y_true")
    if not len(y_true):
        raise ValueError("y_true must hold at least one row, got none.")
    if y_prob is None:
        return _read_log(y_true, y_pred, confidence, classes, kind)
    if y_pred is not None or confidence is not None:
        raise ValueError("Pass either y_prob, or y_pred and confidence; got both.")
    proba, labels = check_proba(
        y_prob, classes=classes, name="y_prob", binary_column=True, rows=rows and kind == "classwise"
    )
    _check_length(proba, "y_prob", y_true)
    if labels is None:
        labels = _distinct(y_true, "y_true")
        if len(labels) != proba.shape[1]:
            raise ValueError(
                f"y_true holds {len(labels)} classes ({listed(labels.tolist())}), but y_prob has {proba.shape[1]} "
                "columns: pass classes=, the class of each column."
            )
    elif classes is None:
        labels = as_spelled(labels, y_true)
    truth = encode_labels(y_true, labels, "y_true")
    return (labels, truth, None, proba) if kind == "classwise" else (labels, truth, *_top(proba))


def _read_log(
    y_true: NDArray[Any], y_pred: Any, confidence: Any, classes: Any, kind: str
) -> tuple[NDArray[Any], NDArray[np.intp], NDArray[np.intp], NDArray[Any]]:
    if y_pred is None or confidence is None:
        raise ValueError("Pass y_prob, or y_pred and confidence together; got neither in full.")
    if kind != "top-label":
        raise ValueError(f"The kind {kind!r} needs y_prob; with y_pred and confidence, kind must be 'top-label'.")
    y_pred, values = column(y_pred, "y_pred"), column(confidence, "confidence")
    values = check_unit(real_numbers(values, "confidence"), "confidence")
    _check_length(y_pred, "y_pred", y_true)
    _check_length(values, "confidence", y_true)
    if classes is None:
        found = [_distinct(y_true, "y_true"), _distinct(y_pred, "y_pred")]
        if is_text(found[0]) != is_text(found[1]) and not np.isin(found[0].astype(str), found[1].astype(str)).any():
            raise ValueError(
                f"y_true and y_pred must name the same classes; y_true holds {listed(found[0].tolist(), 3)}, y_pred "
                f"{listed(found[1].tolist(), 3)}, as text in one of them only. Give both the same type."
            )
        classes = _distinct(np.concatenate(found), "y_true and y_pred")
        if len(classes) < 2:
            raise ValueError(f"y_true and y_pred hold one class only ({classes[0]}): pass classes=, all the classes.")
    labels = check_classes(classes)
    return labels, encode_labels(y_true, labels, "y_true"), encode_labels(y_pred, labels, "y_pred"), values


def _check_length(values: NDArray[Any], name: str, y_true: NDArray[Any]) -> None:
    if len(values) != len(y_true):
        raise ValueError(f"{name} must have one row a label: {len(y_true)} labels in y_true, got {len(values)} rows.")


def _distinct(labels: NDArray[Any], name: str) -> NDArray[Any]:
    """Return the sorted distinct labels."""
    if labels.dtype.kind in "iu":
        low, high = labels.min(), labels.max()
        if int(high) - int(low) < MOST_WHOLE_NUMBERS and int(high) <= np.iinfo(np.intp).max:
            return _distinct_whole_numbers(labels, np.arange(int(low), int(high) + 1).astype(labels.dtype))
    return distinct_labels(labels, name)


def _distinct_whole_numbers(labels: NDArray[Any], candidates: NDArray[Any]) -> NDArray[Any]:
    """Return the candidates, all whole numbers from the least to the largest label, that do occur."""
    found = np.zeros(len(candidates), dtype=bool)
    size = max(BLOCK, len(candidates))
    for start in range(0, len(labels), size):
        found[labels[start : start + size].astype(np.intp) - int(candidates[0])] = True
        # Most often the first block shows that there are no gaps.
        if found.all():
            break
    return candidates[found]


def _top(proba: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[Any]]:
    """Check every row, and return the position and the value of its first maximum."""
    top, first = np.empty(len(proba), dtype=np.intp), np.empty(len(proba), dtype=proba.dtype)
    for block in top_blocks(proba, "y_prob"):
        top[block.rows], first[block.rows] = block.top, block.confidence
    return top, first
