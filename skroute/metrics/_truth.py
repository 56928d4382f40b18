"""True labels beside the labels of routes and the classes of an estimator."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._validation import column, distinct_labels, is_text, listed

__all__ = ["align_labels", "read_routed", "read_truth", "right_rows", "unknown_labels"]


def read_truth(y_true: Any) -> NDArray[Any]:
    """Return the true labels as an array; refuse missing ones, which would pass for wrong rows."""
    truth = column(y_true, "y_true")
    if truth.dtype.kind in "fcmMO":
        distinct_labels(truth, "y_true")
    return truth


def read_routed(y_true: Any, routes: Any) -> NDArray[Any]:
    """Return the true labels of routes; refuse what is no table of routes, or one of other rows."""
    if not (hasattr(routes, "route") and hasattr(routes, "label")):
        swapped = " y_true is one: it comes first, the routes second." if hasattr(y_true, "route") else ""
        raise ValueError(f"routes must be a RouteTable, as explain_route() and policy.explain() return it.{swapped}")
    truth = read_truth(y_true)
    if not len(truth) or len(truth) != len(routes):
        raise ValueError(f"y_true and routes must have as many rows, at least one: {len(truth)} and {len(routes)}.")
    return truth


def right_rows(truth: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which true labels equal the labels of routes: text and numbers by their text."""
    if is_text(truth) != is_text(labels):
        truth, labels = truth.astype(str), labels.astype(str)
    right: NDArray[np.bool_] = truth == labels
    return right


def align_labels(truth: NDArray[Any], labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return true labels and labels of routes so that they can be compared: text with numbers by their text.

    Raises
    ------
    ValueError
        If nothing matches: then they do not name the same classes.
    """
    mixed = is_text(truth) != is_text(labels)
    if mixed:
        truth, labels = truth.astype(str), labels.astype(str)
    named, routed = np.unique(truth).tolist(), np.unique(labels).tolist()
    # Of one type, a single label on either side may be the wrong one by chance.
    if set(named).isdisjoint(routed) and len(truth) and (mixed or min(len(named), len(routed)) > 1):
        raise ValueError(
            f"y_true must name the classes of the routes; it holds {listed(named, 3)}, the routes {listed(routed, 3)}. "
            "Pass the labels that the classifier was fitted on."
        )
    return truth, labels


def unknown_labels(truth: NDArray[Any], classes: NDArray[Any]) -> list[Any]:
    """Return the true labels that are no class of an estimator, by value or by text.

    Raises
    ------
    ValueError
        If none is one: then they do not name the same classes.
    """
    labels, known = distinct_labels(truth, "y_true").tolist(), classes.tolist()
    names = {*known, *map(str, known)}
    unknown = [label for label in labels if label not in names and str(label) not in names]
    if labels and len(unknown) == len(labels):
        raise ValueError(
            f"y_true must name the classes of the estimator; it holds {listed(labels, 3)}, the classes are "
            f"{listed(known, 3)}. Pass the labels that it was fitted on."
        )
    return unknown
