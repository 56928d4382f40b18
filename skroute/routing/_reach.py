"""Reach the routing methods of a classifier through the scikit-learn objects that wrap it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from skroute._tabular import RowTable
from skroute.routing._label_sets import LabelSets
from skroute.routing._route_table import RouteTable

__all__ = ["candidate_sets", "explain_route", "predict_route", "reach"]


def predict_route(estimator: Any, X: Any) -> NDArray[np.str_]:
    """Predict routes with a routing classifier that may stand inside a Pipeline or a search.

    Pipelines and search objects pass on a fixed list of methods, and `predict_route` is not on it. This function walks
    through `Pipeline` (transforming `X` on the way), `GridSearchCV` and its kin (their `best_estimator_`) and
    `FrozenEstimator`, nested in any way.

    Parameters
    ----------
    estimator : estimator
        A fitted `RoutingClassifier`, or a fitted object that holds one as its final step.
    X : array-like of shape (n_samples, n_features)
        What `estimator.predict` takes.

    Returns
    -------
    routes : ndarray of shape (n_samples,)
        "auto", "watch", "escalate" or "clarify".

    Raises
    ------
    TypeError
        If there is no routing classifier at the end.
    NotFittedError
        If a search on the way is not fitted, or did not refit its best estimator.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skroute import RoutingClassifier, predict_route
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), RoutingClassifier(LogisticRegression())).fit(X, y)
    >>> predict_route(model, X[:2]).tolist()
    ['auto', 'auto']
    """
    router, X = reach(estimator, X, "predict_route")
    routes: NDArray[np.str_] = router.predict_route(X)
    return routes


def explain_route(estimator: Any, X: Any) -> RouteTable:
    """Explain routes with a routing classifier that may stand inside a Pipeline or a search.

    The counterpart of `predict_route` that gives the full account of each row. Steps of a Pipeline keep the order of
    the rows; so the table has the index of a frame `X`, even if they number its rows anew: 0, 1, 2, and so on. The
    names of rows that a step moves all the same are kept, unless they arrive as 0, 1, 2, which look like such numbers.

    Parameters
    ----------
    estimator : estimator
        A fitted `RoutingClassifier`, or a fitted object that holds one as its final step.
    X : array-like of shape (n_samples, n_features)
        What `estimator.predict` takes.

    Returns
    -------
    table : RouteTable
        Routes, signals, gates and reasons, one entry a row.

    Raises
    ------
    TypeError
        If there is no routing classifier at the end.
    NotFittedError
        If a search on the way is not fitted, or did not refit its best estimator.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skroute import RoutingClassifier, explain_route
    >>> X, y = load_iris(return_X_y=True)
    >>> explain_route(RoutingClassifier(LogisticRegression(max_iter=1000)).fit(X, y), X[:3])
    RouteTable(3 rows: 3 auto, 0 watch, 0 escalate, 0 clarify)
    """
    router, rows = reach(estimator, X, "explain_route")
    table: RouteTable = _indexed(router.explain_route(rows), X)
    return table


def candidate_sets(estimator: Any, X: Any) -> LabelSets:
    """Ask for candidate sets of a routing classifier that may stand inside a Pipeline or a search.

    The counterpart of `predict_route` for rows that no route settles.

    Parameters
    ----------
    estimator : estimator
        A fitted `RoutingClassifier` whose policy has `candidates`, or a fitted object that holds one as its final step.
    X : array-like of shape (n_samples, n_features)
        What `estimator.predict` takes.

    Returns
    -------
    sets : LabelSets
        ``sets[i]`` is the list of labels of row i, at least the top class.

    Raises
    ------
    TypeError
        If there is no routing classifier at the end.
    NotFittedError
        If a search on the way is not fitted, or did not refit its best estimator.
    ValueError
        If the policy has no `candidates`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skroute import RoutePolicy, RoutingClassifier, candidate_sets
    >>> X, y = load_iris(return_X_y=True)
    >>> router = RoutingClassifier(LogisticRegression(), policy=RoutePolicy(candidates=0.8))
    >>> candidate_sets(make_pipeline(StandardScaler(), router).fit(X, y), X[:2]).tolist()
    [[0], [0]]
    """
    router, rows = reach(estimator, X, "candidate_sets")
    sets: LabelSets = _indexed(router.candidate_sets(rows), X)
    return sets


def _indexed(table: Any, X: Any) -> Any:
    """Return the table with the index of X, whose order steps keep, unless it shows that they moved or dropped rows."""
    arrived = getattr(table, "index", None)
    # A policy or a router of somebody else's may return what it likes.
    if not isinstance(table, RowTable) or not (arrived is None or hasattr(arrived, "isin")):
        return table
    indexed = table.indexed_like(X)
    if indexed is table or arrived is None or arrived.equals(indexed.index):
        return indexed
    return table if _are_moved(arrived, indexed.index) else indexed


def _are_moved(arrived: Any, names: Any) -> bool:
    """Tell whether rows arrived under their own names in another order."""
    if (arrived.dtype, arrived.nlevels) != (names.dtype, names.nlevels):
        return False
    # Steps may make arrays of frames, and frames of these, whose rows are numbered anew.
    if arrived.dtype.kind in "iuf" and (arrived == np.arange(len(arrived))).all():
        return False
    try:
        return bool(arrived.is_unique == names.is_unique and arrived.isin(names).all())
    except TypeError:
        # Names without a hash cannot be looked up.
        return False


def reach(estimator: Any, X: Any, method: str, outer: str = "") -> tuple[Any, Any]:
    """Return the innermost estimator that has `method`, and X as it arrives there; `outer` was walked through."""
    if hasattr(estimator, method):
        return estimator, X
    name = type(estimator).__name__
    outer = outer or name
    if isinstance(estimator, FrozenEstimator):
        return reach(estimator.estimator, X, method, outer)
    if isinstance(estimator, Pipeline):
        # Not estimator[:-1].transform: a slice asks its last step whether it is fitted, which stateless ones deny.
        for _, step in estimator.steps[:-1]:
            # Pipelines of imbalanced-learn draw rows anew to fit, and leave them as they are afterwards.
            draws = hasattr(step, "fit_resample") and not hasattr(step, "transform")
            X = X if step is None or step == "passthrough" or draws else step.transform(X)
        return reach(estimator[-1], X, method, outer)
    if hasattr(estimator, "best_estimator_"):
        return reach(estimator.best_estimator_, X, method, outer)
    if hasattr(estimator, "param_grid") or hasattr(estimator, "param_distributions"):
        raise NotFittedError(f"This {name} has no best_estimator_ yet: call fit first, with refit switched on.")
    given = name if outer == name else f"{outer} that ends in {name}"
    raise TypeError(
        f"{method} needs a fitted RoutingClassifier, or a Pipeline or search that ends in one; got {given}. Wrap the "
        "classifier in it: RoutingClassifier(classifier).fit(X, y)."
    )
