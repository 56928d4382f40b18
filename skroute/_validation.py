"""Checks shared by every public door: probabilities, labels, weights, numbers, and names that must be classes."""

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

__all__ = [
    "array_of",
    "check_amount",
    "check_classes",
    "check_count",
    "check_level",
    "check_mapping",
    "check_option",
    "check_sample_weight",
    "closest",
    "column",
    "counts_rows",
    "distinct_labels",
    "encode_labels",
    "is_text",
    "label_positions",
    "listed",
    "percent_hint",
    "real_numbers",
    "require_fitted",
    "shown",
    "unspelled",
]

# Wider than any purpose, and narrow enough for squares and sums; less than the least counts as nothing.
LEAST_WEIGHT, MOST_WEIGHT = 1e-20, 1e20
WEIGHT_KINDS = ("auto", "frequency", "importance")
# Labels that span no more than this are found by a table.
MOST_WHOLE_NUMBERS = 2**16
# Characters of a value in a message, and the least percentage that is not taken for a rounded 1.
LONGEST_VALUE, LEAST_PERCENT = 120, 1.01
# Float64 counts so far without gaps.
MOST_ROWS = 2**53


def listed(items: Iterable[Any], most: int = 8) -> str:
    """Return the items as one readable line, cut after `most` of them."""
    items = list(items)
    text = ", ".join(str(item) for item in items[:most])
    return text if len(items) <= most else f"{text} and {len(items) - most} more"


def shown(value: Any) -> str:
    """Return a value that was given for another as one line of a message, cut where it is an array or a long list."""
    try:
        text = "".join(sign if sign.isprintable() else " " for sign in " ".join(repr(value).split()))
    except Exception:
        # The message is of what was asked for, not of a value that cannot be shown.
        text = ""
    if not text:
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."


def percent_hint(value: Any) -> str:
    """Say what a share that was given in percent should be."""
    is_number = isinstance(value, Real)
    in_percent = is_number and LEAST_PERCENT <= value < 100
    return f" {float(value):.6g}% is {float(value) / 100.0:.6g}." if in_percent else ""


def column(values: Any, name: str) -> NDArray[Any]:
    """Return `values` (list, array, Series of any index) as a one-dimensional array."""
    array = unspelled(array_of(values, name), values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got an array of shape {array.shape}.")
    return array


def unspelled(array: NDArray[Any], values: Any) -> NDArray[Any]:
    """Return the array made of `values`, or one of objects where NumPy has spelled out what was no text.

    Beside text it spells out everything: a missing label would become the class "nan".
    """
    if isinstance(values, (list, tuple)) and array.dtype.kind in "US":
        objects = np.asarray(values, dtype=object)
        # An array may be a text as well.
        if not all(isinstance(item, (str, bytes, np.ndarray)) for item in objects.flat):
            return objects
        if all(isinstance(item, str) for item in objects.flat) and array.tolist() != objects.tolist():
            # Of an enumeration of texts it spells the names, and cuts them to the length of the texts.
            return np.array([str.__str__(item) for item in objects.flat]).reshape(array.shape)
    return array


def array_of(values: Any, name: str) -> NDArray[Any]:
    """Return `values` as an array of any shape; refuse containers that NumPy would misread."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.getmaskarray(values).any():
        raise ValueError(f"{name} must not hold masked values; fill them, or leave out their rows.")
    if hasattr(values, "collect") and not hasattr(values, "to_numpy"):
        raise ValueError(f"{name} must hold its values, got a {type(values).__name__}; pass {name}.collect().")
    try:
        return np.asarray(values)
    except ValueError:
        if not isinstance(values, (list, tuple)):
            raise
        raise ValueError(
            f"{name} must hold rows of equal length, got a {type(values).__name__} of unequal ones."
        ) from None


def real_numbers(array: NDArray[Any], name: str) -> NDArray[np.float64]:
    """Return the values as float64; refuse text that spells numbers, dates and complex values."""
    try:
        if array.dtype.kind in "fiub" or (
            array.dtype.kind == "O" and not any(isinstance(value, (str, bytes)) for value in array.flat)
        ):
            return array.astype(np.float64, copy=False)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"{name} must hold real numbers, got {array.dtype} values.")


def is_text(labels: NDArray[Any]) -> bool:
    """Return whether all labels are text."""
    if labels.dtype.kind == "O":
        return all(isinstance(label, (str, bytes)) for label in labels.flat)
    return labels.dtype.kind in "US"


def _missing(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which labels are missing: None, and what differs from itself."""
    if labels.dtype.kind == "O":
        return np.array([_is_missing(label) for label in labels.flat], dtype=bool)
    # Not as Python objects, because those of nanoseconds are whole numbers.
    return labels != labels if labels.dtype.kind in "fcmM" else np.zeros(len(labels), dtype=bool)


def _is_missing(label: Any) -> bool:
    try:
        return label is None or bool(label != label)
    except (TypeError, ValueError):
        # Whether pandas' NA differs from itself is NA as well.
        return True


def check_classes(classes: Any, name: str = "classes") -> NDArray[Any]:
    """Return `classes` as an array of at least two distinct labels, in the order given."""
    labels = column(classes, name)
    if len(labels) < 2:
        raise ValueError(f"{name} must hold at least two classes, got {labels.tolist()!r}.")
    if _missing(labels).any():
        raise ValueError(f"{name} must not hold missing labels, got {listed(labels.tolist())}.")
    texts = [str(label) for label in labels.tolist()]
    if len(set(texts)) < len(texts):
        twice = sorted({text for text in texts if texts.count(text) > 1})
        raise ValueError(f"{name} must be distinct, got {listed(twice)} more than once.")
    return labels.copy()


def distinct_labels(y: NDArray[Any], name: str = "y") -> NDArray[Any]:
    """Return the sorted distinct labels; refuse missing ones."""
    if y.dtype.kind in "iu" and len(y) and y.min() >= 0 and y.max() < MOST_WHOLE_NUMBERS:
        # Small whole numbers are counted, which takes no sort.
        return np.flatnonzero(np.bincount(y.astype(np.intp, copy=False))).astype(y.dtype)
    try:
        labels = np.unique(y)
    except TypeError:
        kinds = sorted({type(label).__name__ for label in y.tolist()})
        unsorted_ = len(kinds) == 1 and not _missing(y).any()
        demand = "labels that can be sorted" if unsorted_ else "labels of one type, without missing values"
        raise ValueError(f"{name} must hold {demand}; got {listed(kinds)}.") from None
    if _missing(labels).any():
        row = int(np.flatnonzero(_missing(y))[0])
        text = "NaN" if isinstance(y[row], (float, np.floating)) else str(y[row])
        raise ValueError(f"{name} must not hold {text}; row {row} does.")
    return labels


def closest(label: Any, texts: Iterable[str]) -> str | None:
    """Return the text that is closest to a label, whatever the case of letters; None where none is close."""
    by_fold = {text.casefold(): text for text in texts}
    close = difflib.get_close_matches(str(label).casefold(), by_fold, n=1)
    return by_fold[close[0]] if close else None


def label_positions(labels: Iterable[Any], classes: NDArray[Any], name: str) -> list[int]:
    """Return the position in `classes` of each label.

    Labels match by value or, failing that, by their text, so that ``"1"`` from a parameter name or a JSON file finds
    the class ``1``.

    Raises
    ------
    ValueError
        If a label is not a class; the message proposes the closest one.
    """
    known = classes.tolist()
    positions = {label: i for i, label in enumerate(known)}
    by_text = {str(label): i for i, label in enumerate(known)}
    found = []
    for label in labels:
        position = positions.get(label, by_text.get(str(label)))
        if position is None:
            close = closest(label, by_text)
            hint = f" Did you mean {close!r}?" if close is not None else ""
            raise ValueError(f"{name} names {label!r}, which is not a class.{hint} The classes are {listed(known)}.")
        found.append(position)
    return found


def encode_labels(y: Any, classes: NDArray[Any], name: str = "y") -> NDArray[np.intp]:
    """Return the position in `classes` of every label in `y`, shape (n_samples,): not to be written to, may be `y`."""
    y = column(y, name)
    codes = _quick_codes(y, classes)
    if codes is not None:
        return codes
    labels = distinct_labels(y, name)
    positions = np.array(label_positions(labels.tolist(), classes, name), dtype=np.intp)
    found: NDArray[np.intp] = positions[np.searchsorted(labels, y)]
    return found


def _quick_codes(y: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.intp] | None:
    """Return the positions without sorting `y`; None unless every label equals a class of its own type."""
    kinds = y.dtype.kind + classes.dtype.kind
    if not len(y) or not len(classes):
        return None
    if kinds in ("ii", "iu", "ui", "uu", "bb"):
        return _whole_number_codes(y, classes)
    if kinds in ("UU", "SS"):
        order = np.argsort(classes)
        ranked = classes[order]
        places = np.minimum(np.searchsorted(ranked, y), len(ranked) - 1)
        return order[places] if (ranked[places] == y).all() else None
    if kinds == "OO" and all(type(label) is str for label in classes):
        # What equals a text and has its hash is a text, so that no other type can slip in.
        positions = {label: i for i, label in enumerate(classes.tolist())}
        try:
            return np.fromiter(map(positions.__getitem__, y), np.intp, len(y))
        except (KeyError, TypeError):
            return None
    return None


def _whole_number_codes(y: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.intp] | None:
    low, high = int(classes.min()), int(classes.max())
    if high - low >= MOST_WHOLE_NUMBERS or not low <= int(y.min()) <= int(y.max()) <= high <= np.iinfo(np.intp).max:
        return None
    if np.array_equal(classes, np.arange(len(classes))):
        return y.astype(np.intp, copy=False)
    # A table of the positions of all numbers between the classes; -1 marks those that are none.
    table = np.full(high - low + 1, -1, dtype=np.intp)
    # As Python integers, because neither bool nor unsigned types can be subtracted safely.
    table[[int(label) - low for label in classes]] = np.arange(len(classes))
    codes = table[y.astype(np.intp) - low] if low else table[y.astype(np.intp)]
    return codes if bool((codes >= 0).all()) else None


def check_sample_weight(sample_weight: Any, n_samples: int) -> NDArray[np.float64] | None:
    """Return the weights as finite, non-negative floats of shape (n_samples,), or None."""
    if sample_weight is None:
        return None
    weight = real_numbers(column(sample_weight, "sample_weight"), "sample_weight")
    if len(weight) != n_samples:
        raise ValueError(f"sample_weight must have one value a row: {n_samples} rows, got {len(weight)} weights.")
    bad = np.flatnonzero(~((weight >= 0) & (weight <= MOST_WEIGHT)))
    if bad.size:
        demand = f"at most {MOST_WEIGHT:g}" if MOST_WEIGHT < weight[bad[0]] < np.inf else "finite and not negative"
        raise ValueError(f"sample_weight must be {demand}, got {weight[bad[0]]} in row {bad[0]}.")
    return np.where(weight < LEAST_WEIGHT, 0.0, weight)


def counts_rows(weights: Any, weight: NDArray[np.float64] | None, owner: str) -> bool:
    """Return whether each weight says how many equal rows a row stands for, by the parameter `weights`."""
    check_option(weights, WEIGHT_KINDS, "weights", owner)
    if weight is None:
        return True
    whole, total = bool((weight == np.floor(weight)).all()), float(weight.sum())
    if weights == "frequency" and not whole:
        row = int(np.flatnonzero(weight != np.floor(weight))[0])
        raise ValueError(
            f"sample_weight must hold whole numbers where weights='frequency', got {weight[row]} in row {row}; pass "
            "weights='importance' for weights that are no counts."
        )
    if weights == "frequency" and total > MOST_ROWS:
        raise ValueError(
            f"sample_weight must count at most {MOST_ROWS} rows where weights='frequency', got {total:g}; pass "
            "weights='importance' for weights that are no counts."
        )
    return whole and total <= MOST_ROWS and weights != "importance"


def check_level(
    value: Any, name: str, owner: str, *, optional: bool = False, unbounded: bool = False, low: float = 0.0
) -> float | None:
    """Return a parameter that must lie in [`low`, 1]; None where `optional`, +inf where `unbounded`."""
    if value is None and optional:
        return None
    is_number = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
    if is_number and (low <= value <= 1 or (unbounded and value == math.inf)):
        return float(value)
    choices = [f"a number in [{low:g}, 1]"] + ["+inf"] * unbounded + ["None"] * optional
    raise ValueError(
        f"The {name!r} parameter of {owner} must be {' or '.join(choices)}. Got {shown(value)} instead."
        f"{percent_hint(value)}"
    )


def check_option(value: Any, options: Sequence[str], name: str, owner: str) -> str:
    """Return a parameter that must be one of `options`."""
    if isinstance(value, str) and value in options:
        return value
    raise ValueError(
        f"The {name!r} parameter of {owner} must be one of {', '.join(map(repr, options))}. Got {shown(value)} instead."
    )


def check_count(value: Any, name: str, owner: str, *, least: int = 1, most: int | None = None) -> int:
    """Return a parameter that must be an integer of at least `least` and, where given, at most `most`."""
    is_count = isinstance(value, Integral) and not isinstance(value, bool)
    if is_count and least <= int(value) and (most is None or int(value) <= most):
        return int(value)
    limit = f"at least {least}" if most is None else f"at least {least} and at most {most}"
    raise ValueError(f"The {name!r} parameter of {owner} must be an int of {limit}. Got {shown(value)} instead.")


def require_fitted(estimator: Any) -> None:
    """Refuse to go on before `fit`; scikit-learn's check takes longer than all arithmetic for one row."""
    if not hasattr(estimator, "classes_"):
        check_is_fitted(estimator)


def check_amount(value: Any, name: str, owner: str) -> float:
    """Return a parameter that must be a finite number of at least 0."""
    is_number = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
    if is_number and 0.0 <= float(value) < math.inf:
        return float(value)
    raise ValueError(
        f"The {name!r} parameter of {owner} must be a finite number of at least 0. Got {shown(value)} instead."
    )


def check_mapping(value: Any, name: str, owner: str) -> Mapping[Any, Any]:
    """Return a parameter that must be a dict keyed by class, or None for an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(
            f"The {name!r} parameter of {owner} must be a dict of class to value, such as {{'refund': 0.9}}, or None. "
            f"Got {shown(value)}."
        )
    return value
