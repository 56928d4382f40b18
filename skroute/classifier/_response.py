"""Rows of any container, and the scores of any classifier in one form: one column for every class."""

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from skroute._validation import label_positions
from skroute.calibration._apply import all_finite

__all__ = [
    "is_frozen",
    "needs_kernel_columns",
    "refuse_not_finite",
    "response_name",
    "scores",
    "take",
    "take_params",
    "take_split",
]


def is_frozen(estimator: Any) -> bool:
    """Tell whether the classifier is fitted already, and stays so."""
    while isinstance(estimator, Pipeline) and len(estimator):
        estimator = estimator[-1]
    return isinstance(estimator, FrozenEstimator)


def needs_kernel_columns(estimator: Any) -> bool:
    """Tell whether the columns of X are rows of X, so that they must be cut with the rows that it is fitted on."""
    return bool(get_tags(estimator).input_tags.pairwise) and not is_frozen(estimator)


def take(values: Any, rows: NDArray[np.intp]) -> Any:
    """Return some rows of an array, sparse matrix, frame, Series or list."""
    if hasattr(values, "iloc"):
        return values.iloc[rows]
    if type(values).__module__.startswith("pyarrow"):
        return values.take(rows)
    if hasattr(values, "shape"):
        return values[rows]
    if isinstance(values, (list, tuple)):
        return [values[row] for row in rows]
    return np.asarray(values)[rows]


def take_split(estimator: Any, X: Any, rows: NDArray[np.intp], train: NDArray[np.intp]) -> Any:
    """Return some rows of X; of a precomputed kernel, also the columns of the training rows."""
    if needs_kernel_columns(estimator):
        return X[np.ix_(rows, train)]
    return take(X, rows)


def take_params(params: dict[str, Any], rows: NDArray[np.intp], n_samples: int) -> dict[str, Any]:
    """Return fit parameters with everything that has one entry a row cut to some rows."""
    return {name: take(value, rows) if _n_rows(value) == n_samples else value for name, value in params.items()}


def _n_rows(value: Any) -> int | None:
    shape = getattr(value, "shape", None)
    if shape is not None:
        return int(shape[0]) if shape else None
    return len(value) if hasattr(value, "__len__") and not isinstance(value, (str, bytes, dict)) else None


def response_name(estimator: Any, proba_first: bool = False) -> str:
    """Return the method that gives the scores: decision_function before predict_proba, as in scikit-learn."""
    return _response(estimator, proba_first)[0]


def _response(estimator: Any, proba_first: bool) -> tuple[str, Callable[[Any], Any]]:
    names = ("predict_proba", "decision_function") if proba_first else ("decision_function", "predict_proba")
    for name in names:
        method = getattr(estimator, name, None)
        if method is not None:
            return name, method
    raise ValueError(
        f"The 'estimator' parameter of RoutingClassifier must have decision_function or predict_proba; "
        f"{type(estimator).__name__} has neither."
    )


def scores(
    estimator: Any, X: Any, classes: NDArray[Any], proba_first: bool = False, *, finite: bool = True
) -> NDArray[np.float64]:
    """Return the scores of a fitted classifier, one column for every class.

    Parameters
    ----------
    estimator : fitted classifier
        Its `classes_` may lack some of `classes`: their columns are NaN.
    X : array-like of shape (n_samples, n_features)
        Rows to score.
    classes : ndarray of shape (n_classes,)
        All classes.
    proba_first : bool, default=False
        Whether predict_proba goes before decision_function.
    finite : bool, default=True
        Whether to make sure that all scores are finite. False leaves that to the caller, who has `refuse_not_finite`,
        where there is a score for every class.

    Returns
    -------
    scores : ndarray of shape (n_samples, n_classes)
        Probabilities or decision values. A one-dimensional decision value d becomes (-d/2, d/2), whose difference,
        and so whose softmax, is that of the logit d. They may be the classifier's own array: not to be written to.
    """
    if type(estimator) is FrozenEstimator:
        # What it is asked for it asks its classifier, which for one row takes longer than calibrating it.
        estimator = estimator.estimator
    name, method = _response(estimator, proba_first)
    values = np.asarray(method(X), dtype=np.float64)
    known = getattr(estimator, "classes_", None)
    if known is None:
        raise ValueError(f"{type(estimator).__name__} must have classes_ once fitted, as every classifier does.")
    known = np.asarray(known)
    if values.ndim == 1 and len(known) == 2:
        values = np.column_stack([-values / 2.0, values / 2.0])
    n_rows = _n_rows(X)
    if name == "decision_function" and len(known) > 2:
        last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
        if getattr(last, "decision_function_shape", "ovr") == "ovo":
            # For three classes the three pairs could not be told from the three classes.
            _refuse(estimator, name, "gives a value a pair of classes; set decision_function_shape='ovr'")
    if n_rows is not None and n_rows != len(values):
        of_frame = "; of a frame, pass the column that it takes" if hasattr(X, "columns") else ""
        _refuse(estimator, name, f"must give one row a row of X: {n_rows} rows, got {len(values)}{of_frame}")
    if values.shape != (len(values), len(known)):
        _refuse(estimator, name, f"must give one column for each of its {len(known)} classes, got {values.shape}")
    # As lists, which of few classes takes a fraction of a comparison of arrays.
    complete = known.tolist() == classes.tolist()
    if finite or not complete:
        refuse_not_finite(estimator, values, known, proba_first)
    if complete:
        return values
    placed = np.full((len(values), len(classes)), np.nan)
    placed[:, label_positions(known.tolist(), classes, f"{type(estimator).__name__}.classes_")] = values
    return placed


def refuse_not_finite(
    estimator: Any,
    values: NDArray[np.float64],
    classes: NDArray[Any],
    proba_first: bool = False,
    rows: slice = slice(None),
) -> None:
    """Refuse scores that are not finite, as `scores` does unless it is told not to: so that reading them once will do.

    Parameters
    ----------
    estimator : fitted classifier
    values : ndarray of shape (n_samples, n_classes)
        Its scores.
    classes : ndarray of shape (n_classes,)
        All classes.
    proba_first : bool, default=False
        Whether predict_proba goes before decision_function.
    rows : slice, default=slice(None)
        The rows to look at.

    Raises
    ------
    ValueError
        If one is not finite.
    """
    part = values[rows]
    # Where a class is not known to the classifier its scores are NaN, and the others are finite.
    if all_finite(part) or np.asarray(estimator.classes_).tolist() != classes.tolist():
        return
    asked = estimator.estimator if type(estimator) is FrozenEstimator else estimator
    first = int(np.flatnonzero(~np.isfinite(part).all(axis=1))[0])
    row = (rows.start or 0) + first
    _refuse(
        asked, response_name(asked, proba_first), f"must give finite scores; row {row} holds {part[first].tolist()}"
    )


def _refuse(estimator: Any, name: str, complaint: str) -> NoReturn:
    raise ValueError(f"{type(estimator).__name__}.{name} {complaint}.")
