"""Figures as scorers: one by name, or all of them from one pass."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.metadata_routing import UNUSED

from skroute._signature import with_signature
from skroute._validation import check_sample_weight, listed
from skroute.metrics._figures import PROBA_FIGURES, ROUTE_FIGURES
from skroute.metrics._routing_cost import routing_cost, two_cost_mean
from skroute.metrics._truth import read_truth, right_rows, unknown_labels
from skroute.routing._reach import reach

__all__ = ["FigureScorer", "RouteScorer", "get_scorer", "get_scorer_names"]

COST = "neg_cost"
ALL_ROUTE_FIGURES = (*list(ROUTE_FIGURES)[:4], COST, *list(ROUTE_FIGURES)[4:])


class _Scorer(BaseEstimator):
    """What scorers share: one pass over the rows, whatever the number of figures."""

    # Metadata routing reads from the signature of `score` what can be requested; without it, weights would be dropped.
    __metadata_request__score = {"estimator": UNUSED}  # noqa: RUF012

    wrong_cost: float
    review_cost: float
    costs: Mapping[Any, Mapping[Any, float]] | None

    def _measure(
        self, names: Sequence[str], estimator: Any, X: Any, y_true: Any, sample_weight: Any
    ) -> dict[str, float]:
        truth = read_truth(y_true)
        weight = check_sample_weight(sample_weight, len(truth))
        if weight is not None and not weight.any():
            raise ValueError("sample_weight must be positive in at least one row.")
        wants_proba = any(name in PROBA_FIGURES for name in names)
        wants_routes = any(name not in PROBA_FIGURES for name in names)
        routes: Any = None
        if wants_routes:
            estimator, X = reach(estimator, X, "explain_route")
        proba = estimator.predict_proba(X) if wants_proba else None
        if wants_routes and hasattr(estimator, "routes_and_labels"):
            # Routes follow from the same probabilities, so that the classifier predicts once.
            takes_proba = wants_proba and "proba" in inspect.signature(estimator.routes_and_labels).parameters
            known = {"proba": proba} if takes_proba else {}
            routes = _Routed(*estimator.routes_and_labels(X, **known))
        elif wants_routes:
            routes = estimator.explain_route(X)
        _check_lengths(truth, routes if routes is not None else proba)
        unknown = unknown_labels(truth, np.asarray(estimator.classes_))
        if wants_proba:
            proba, classes = _extend(proba, estimator.classes_, unknown)
        right: Any = right_rows(truth, routes.label) if wants_routes else None
        figures = {}
        for name in names:
            if name in PROBA_FIGURES:
                figures[name] = PROBA_FIGURES[name](truth, proba, classes=classes, sample_weight=weight)
            elif name != COST:
                figures[name] = ROUTE_FIGURES[name](right, routes, weight)
            elif self.costs is None:
                figures[name] = -two_cost_mean(right, routes, self.wrong_cost, self.review_cost, weight)
            else:
                figures[name] = -routing_cost(truth, routes, costs=self.costs, sample_weight=weight)
        return figures


@dataclass(frozen=True)
class _Routed:
    """What of a route table all figures are made of."""

    route: NDArray[np.str_]
    label: NDArray[Any]

    def __len__(self) -> int:
        return len(self.route)


def _extend(proba: Any, classes: NDArray[Any], labels: list[Any]) -> tuple[Any, NDArray[Any]]:
    """Add classes that the training rows lacked, of probability 0: their rows are wrong ones, and no fold is lost."""
    if not labels:
        return proba, classes
    zeros = np.zeros((len(proba), len(labels)))
    return np.column_stack([proba, zeros]), np.array([*classes.tolist(), *labels], dtype=object)


def _check_lengths(truth: NDArray[Any], predicted: Any) -> None:
    if not len(truth) or len(truth) != len(predicted):
        raise ValueError(
            f"y_true must have one label a row, at least one: {len(predicted)} rows, got {len(truth)} labels."
        )


def _check_names(names: Sequence[str]) -> None:
    if not names:
        raise ValueError("figures must name at least one figure, or be None for all of routing.")
    unknown = [name for name in names if name not in get_scorer_names()]
    if unknown:
        raise ValueError(f"There is no figure {unknown[0]!r}; the figures are {listed(get_scorer_names(), 20)}.")


class RouteScorer(_Scorer):
    """Score routes: a callable that returns figures of routing, and of calibration if asked, as a dict.

    To be given as `scoring` to `cross_validate`, `GridSearchCV` and their kin, which take a dict of figures as several
    metrics; searches then need `refit` to name one of them. The rows are predicted once, however many figures there
    are, and the classifier is reached through Pipelines and searches.

    Parameters
    ----------
    figures : sequence of str or None, default=None
        Names from `get_scorer_names`. None: all figures of routing.
    wrong_cost : float, default=10.0
        Cost of a row that is auto-routed to a wrong class, at least 0; a right one costs nothing.
    review_cost : float, default=1.0
        Cost of a row that goes to a person, whatever the route; at least 0.
    costs : dict of true class to dict of action to cost, default=None
        The full table, as in `routing_cost`, in place of these two.

    Notes
    -----
    The figures of routing, of which greater is better:

    - "coverage": share of rows that is auto-routed;
    - "auto_accuracy": share of right rows among those auto-routed, NaN where there are none;
    - "correct_coverage": share of all rows that is auto-routed and right;
    - "neg_wrong_rate": minus the share of all rows that is auto-routed and wrong;
    - "neg_cost": minus the mean cost of a row, always defined, and so the safe choice for `refit`;

    and, as plain shares of all rows, "watch_rate", "escalate_rate" and "clarify_rate". For those of calibration see
    `get_scorer`.

    Metadata routing: ``RouteScorer().set_score_request(sample_weight=True)``. Without a request the weights do not
    arrive, as for every scorer of scikit-learn.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skroute import RoutingClassifier
    >>> from skroute.metrics import RouteScorer
    >>> X, y = load_wine(return_X_y=True)
    >>> router = RoutingClassifier(make_pipeline(StandardScaler(), LogisticRegression()), cv=3)
    >>> search = GridSearchCV(
    ...     router, {"policy__threshold": [0.85, 0.95]}, cv=3, scoring=RouteScorer(), refit="neg_cost"
    ... ).fit(X, y)
    >>> search.best_params_
    {'policy__threshold': 0.85}
    """

    @with_signature
    def __init__(
        self,
        figures: Sequence[str] | None = None,
        *,
        wrong_cost: float = 10.0,
        review_cost: float = 1.0,
        costs: Mapping[Any, Mapping[Any, float]] | None = None,
    ) -> None:
        self.figures = figures
        self.wrong_cost = wrong_cost
        self.review_cost = review_cost
        self.costs = costs

    def __call__(self, estimator: Any, X: Any, y_true: Any, sample_weight: Any = None) -> dict[str, float]:
        """Score a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            A fitted `RoutingClassifier`, or a Pipeline or search that holds one; for figures of calibration alone, any
            classifier with predict_proba.
        X : array-like of shape (n_samples, n_features)
            Rows to score.
        y_true : array-like of shape (n_samples,)
            True labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative.

        Returns
        -------
        figures : dict of str to float
        """
        if isinstance(self.figures, str):
            raise ValueError(
                f"figures must be a sequence of names or None, got {self.figures!r}; pass [{self.figures!r}], or use "
                f"get_scorer({self.figures!r})."
            )
        names = ALL_ROUTE_FIGURES if self.figures is None else tuple(self.figures)
        _check_names(names)
        return self._measure(names, estimator, X, y_true, sample_weight)

    def score(self, estimator: Any, X: Any, y: Any, sample_weight: Any = None) -> dict[str, float]:
        """Score a fitted estimator: the same as calling the scorer.

        Parameters
        ----------
        estimator : estimator
            A fitted classifier.
        X : array-like of shape (n_samples, n_features)
            Rows to score.
        y : array-like of shape (n_samples,)
            True labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative.

        Returns
        -------
        figures : dict of str to float
        """
        return self(estimator, X, y, sample_weight)


class FigureScorer(_Scorer):
    """Score one figure: what `get_scorer` returns.

    Parameters
    ----------
    figure : str
        A name from `get_scorer_names`.
    wrong_cost, review_cost, costs
        As in `RouteScorer`; for "neg_cost" only.
    """

    @with_signature
    def __init__(
        self,
        figure: str,
        *,
        wrong_cost: float = 10.0,
        review_cost: float = 1.0,
        costs: Mapping[Any, Mapping[Any, float]] | None = None,
    ) -> None:
        self.figure = figure
        self.wrong_cost = wrong_cost
        self.review_cost = review_cost
        self.costs = costs

    def __call__(self, estimator: Any, X: Any, y_true: Any, sample_weight: Any = None) -> float:
        """Score a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            As in `RouteScorer`.
        X : array-like of shape (n_samples, n_features)
            Rows to score.
        y_true : array-like of shape (n_samples,)
            True labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative.

        Returns
        -------
        figure : float
        """
        _check_names([self.figure])
        return self._measure([self.figure], estimator, X, y_true, sample_weight)[self.figure]

    def score(self, estimator: Any, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Score a fitted estimator: the same as calling the scorer.

        Parameters
        ----------
        estimator : estimator
            A fitted classifier.
        X : array-like of shape (n_samples, n_features)
            Rows to score.
        y : array-like of shape (n_samples,)
            True labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative.

        Returns
        -------
        figure : float
        """
        return self(estimator, X, y, sample_weight)


def get_scorer(name: str) -> FigureScorer:
    """Return the scorer of one figure, for `cross_validate`, `GridSearchCV` and their kin.

    scikit-learn's own `get_scorer` knows a closed list of names, so these are given as objects. For several figures use
    ``RouteScorer([...])``, which predicts once for all of them.

    Parameters
    ----------
    name : str
        One of `get_scorer_names`.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y, sample_weight=None)``; ``set_score_request(sample_weight=True)`` asks metadata routing
        for the weights.

    Raises
    ------
    ValueError
        If there is no such figure.

    Notes
    -----
    Besides the figures of routing (see `RouteScorer`) there are those of calibration, for any classifier with
    predict_proba: "neg_calibration_error" (top-label, 15 equally wide bins), "neg_classwise_calibration_error",
    "neg_smooth_calibration_error", "neg_brier_miscalibration" and "brier_discrimination" (both averaged over the
    classes), "neg_area_under_risk_coverage", and "coverage_at_risk" (at 5 % error). A class that the training fold
    lacked has probability 0 in all of them; labels of which none is a class of the estimator are an error.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import cross_val_score
    >>> from skroute.metrics import get_scorer
    >>> X, y = load_iris(return_X_y=True)
    >>> scores = cross_val_score(LogisticRegression(max_iter=1000), X, y, scoring=get_scorer("neg_calibration_error"))
    >>> bool((scores <= 0).all())
    True
    """
    _check_names([name])
    return FigureScorer(name)


def get_scorer_names() -> list[str]:
    """Return the names that `get_scorer` knows.

    Returns
    -------
    names : list of str
        Sorted.

    Examples
    --------
    >>> from skroute.metrics import get_scorer_names
    >>> "neg_calibration_error" in get_scorer_names()
    True
    """
    return sorted([*ALL_ROUTE_FIGURES, *PROBA_FIGURES])
