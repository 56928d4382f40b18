"""Matrices of probabilities or scores with a column for each class, and frames, whose columns have names."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._rows import check_rows, check_unit, two_columns
from skroute._validation import array_of, check_classes, column, distinct_labels, is_text, listed, real_numbers

__all__ = ["as_spelled", "check_proba", "column_names", "in_class_order"]


def check_proba(
    proba: Any,
    *,
    classes: Any = None,
    fitted: bool = False,
    name: str = "proba",
    binary_column: bool = False,
    rows: bool = True,
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return probabilities as a clean matrix, its columns in the order of `classes`.

    Parameters
    ----------
    proba : array-like or frame of shape (n_samples, n_classes)
        Rows of probabilities. The columns of a pandas or polars frame are matched to `classes` by name; a frame with
        default column names, and any array, by position.
    classes : array-like of shape (n_classes,), default=None
        The class of each column. None takes the names of a frame's columns, where it has names.
    fitted : bool, default=False
        Whether `classes` are those of something fitted, and so need no check.
    name : str, default="proba"
        What the messages call the matrix.
    binary_column : bool, default=False
        Whether a one-dimensional input is accepted as the probability of the second class.
    rows : bool, default=True
        Whether to check the rows. False leaves that to the caller, who reads them by `skroute._rows.clean_blocks`.

    Returns
    -------
    values : ndarray of shape (n_samples, n_classes)
        float32 stays float32, everything else becomes float64; values up to 1e-6 outside [0, 1] are clipped. Rows are
        not renormalised.
    classes : ndarray of shape (n_classes,) or None
        None where neither `classes` nor column names were given.

    Raises
    ------
    ValueError
        If the shape is wrong, or a row is not finite, leaves [0, 1] or does not sum to one within 5e-3. The message
        names the first such row and its value or sum.
    """
    labels = classes if classes is None or fitted else check_classes(classes)
    values = _numeric(proba, name)
    columns = column_names(proba, labels)
    if values.ndim == 1 and binary_column:
        values = two_columns(check_unit(values, name))
    if values.ndim != 2 or values.shape[1] < 2:
        raise ValueError(f"{name} must have shape (n_samples, n_classes >= 2), got {values.shape}.")
    if columns is not None:
        if labels is None:
            labels = check_classes(columns, f"The columns of {name}")
        else:
            values = values[:, _column_order(columns, labels, name)]
    if labels is not None and len(labels) != values.shape[1]:
        raise ValueError(f"{name} must have one column a class: {len(labels)} classes, got {values.shape[1]} columns.")
    return (check_rows(values, name) if rows else values), labels


def _numeric(values: Any, name: str) -> NDArray[Any]:
    if hasattr(values, "tocsr"):
        raise ValueError(f"{name} must be dense, got a sparse matrix; pass {name}.toarray().")
    array = array_of(values.to_numpy() if hasattr(values, "to_numpy") else values, name)
    return array if array.dtype == np.float32 else real_numbers(array, name)


def column_names(proba: Any, classes: NDArray[Any] | None) -> list[Any] | None:
    """Return the names of a frame's columns; None for arrays and for names that a frame gives by default.

    Names such as 0, 1, 2 that are also the classes mean the classes.
    """
    # Tables of Arrow have lists of arrays as their columns, and other names by default.
    is_frame = hasattr(proba, "to_numpy")
    columns = getattr(proba, "columns" if is_frame else "column_names", None)
    if columns is None:
        return None
    names = list(columns)
    if classes is not None and {str(name) for name in names} == {str(label) for label in classes.tolist()}:
        return names
    places = range(len(names))
    texts = ("column_{}",) if is_frame else ("column_{}", "{}", "f{}")
    return None if names in ([*places], *([text.format(i) for i in places] for text in texts)) else names


def _column_order(columns: list[Any], classes: NDArray[Any], name: str) -> list[int]:
    columns = check_classes(columns, f"The columns of {name}").tolist()
    by_text = {str(label): i for i, label in enumerate(columns)}
    wanted = [str(label) for label in classes.tolist()]
    missing = [label for label in wanted if label not in by_text]
    extra = [label for label in by_text if label not in set(wanted)]
    if missing or extra:
        complaints = [f"lack {listed(missing)}"] * bool(missing) + [f"hold {listed(extra)}"] * bool(extra)
        raise ValueError(
            f"The columns of {name} must be the classes {listed(wanted)}; they {' and '.join(complaints)}. "
            f"{'Rename' if missing else 'Drop'} them, or pass an array to match columns by position."
        )
    return [by_text[label] for label in wanted]


def in_class_order(values: NDArray[Any], given: Any, classes: NDArray[Any], name: str) -> NDArray[Any]:
    """Return the values of a frame in the order of the classes, by the names of its columns; else as they are."""
    names = column_names(given, classes)
    return values if names is None else values[:, _column_order(names, classes, name)]


def as_spelled(names: Any, y: Any) -> NDArray[Any]:
    """Return names of columns as labels of the type that those in `y` have, where they are the same but for that."""
    y, texts = column(y, "y"), [str(name) for name in np.asarray(names).tolist()]
    if is_text(y) and is_text(np.asarray(names)):
        return np.asarray(names)
    labels = distinct_labels(y)
    if labels.dtype.kind in "iu" and all(text.removeprefix("-").isdecimal() for text in texts):
        # Of a column that no row is of, too.
        numbers = [int(text) for text in texts]
        return np.array(numbers) if list(map(str, numbers)) == texts else np.asarray(names)
    by_text = {str(label): label for label in labels.tolist()}
    if not all(text in by_text for text in texts):
        return np.asarray(names)
    spelled = np.empty(len(texts), dtype=labels.dtype)
    spelled[:] = [by_text[text] for text in texts]
    return spelled
