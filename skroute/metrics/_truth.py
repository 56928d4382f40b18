"""True labels beside the labels of routes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._validation import column, distinct_labels, listed

__all__ = ["align_labels", "read_truth"]


def read_truth(y_true: Any) -> NDArray[Any]:
    """Return the true labels as an array; refuse missing ones, which would pass for wrong rows."""
    truth = column(y_true, "y_true")
    if truth.dtype.kind in "fO":
        distinct_labels(truth, "y_true")
    return truth


def align_labels(truth: NDArray[Any], labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return true labels and labels of routes so that they can be compared: text with numbers by their text.

    Raises
    ------
    ValueError
        If one is text, the other is not, and nothing matches: then they do not name the same classes.
    """
    if not len(truth) or _is_text(truth) == _is_text(labels):
        return truth, labels
    texts = truth.astype(str), labels.astype(str)
    if not np.isin(*texts).any():
        raise ValueError(
            f"y_true must name the classes of the routes; it holds {listed(np.unique(truth), 3)}, the routes "
            f"{listed(np.unique(labels), 3)}."
        )
    return texts


def _is_text(labels: NDArray[Any]) -> bool:
    return np.asarray(labels.tolist()).dtype.kind in "US"
