"""All routing figures from one pass, for cross-validation and searches."""

from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.metadata_routing import UNUSED

from skroute._validation import check_sample_weight, column
from skroute.routing import explain_route

__all__ = ["RouteScorer"]


class RouteScorer(BaseEstimator):
    """Score routes: a callable that returns every routing figure as a dict.

    To be given as `scoring` to `cross_validate`, `GridSearchCV` and their kin, which take a dict of figures as several
    metrics; searches then need `refit` to name one of them. The rows are predicted once, however many figures there
    are, and the classifier is reached through Pipelines and searches.

    Parameters
    ----------
    wrong_cost : float, default=10.0
        Cost of a row that is auto-routed to a wrong class, at least 0; a right one costs nothing.
    review_cost : float, default=1.0
        Cost of a row that goes to a person, whatever the route; at least 0.

    Notes
    -----
    The figures, of which greater is better:

    - "coverage": share of rows that is auto-routed;
    - "auto_accuracy": share of right rows among those auto-routed, NaN where there are none;
    - "correct_coverage": share of all rows that is auto-routed and right;
    - "neg_wrong_rate": minus the share of all rows that is auto-routed and wrong;
    - "neg_cost": minus the mean cost of a row, always defined, and so the safe choice for `refit`;

    and, as plain shares of all rows, "watch_rate", "escalate_rate" and "clarify_rate".

    Metadata routing: ``RouteScorer().set_score_request(sample_weight=True)``.

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

    # Metadata routing reads from the signature of `score` what can be requested; without it, weights would be dropped.
    __metadata_request__score = {"estimator": UNUSED}  # noqa: RUF012

    def __init__(self, *, wrong_cost: float = 10.0, review_cost: float = 1.0) -> None:
        self.wrong_cost = wrong_cost
        self.review_cost = review_cost

    def __call__(self, estimator: Any, X: Any, y_true: Any, sample_weight: Any = None) -> dict[str, float]:
        """Score a fitted estimator.

        Parameters
        ----------
        estimator : estimator
            A fitted `RoutingClassifier`, or a Pipeline or search that holds one.
        X : array-like of shape (n_samples, n_features)
            Rows to route.
        y_true : array-like of shape (n_samples,)
            True labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative.

        Returns
        -------
        figures : dict of str to float
        """
        for name in ("wrong_cost", "review_cost"):
            cost = getattr(self, name)
            if not isinstance(cost, Real) or not 0.0 <= float(cost) < np.inf:
                raise ValueError(f"The {name!r} parameter of RouteScorer must be a number of at least 0, got {cost!r}.")
        routes = explain_route(estimator, X)
        truth = column(y_true, "y_true")
        if not len(truth) or len(truth) != len(routes):
            raise ValueError(
                f"y_true must have one label a row, at least one: {len(routes)} rows, got {len(truth)} labels."
            )
        weight = check_sample_weight(sample_weight, len(truth))
        if weight is not None and not weight.any():
            raise ValueError("sample_weight must be positive in at least one row.")

        def share(rows: Any) -> float:
            return float(np.average(rows, weights=weight))

        auto = routes.route == "auto"
        is_right = routes.label == truth
        coverage, right, wrong = share(auto), share(auto & is_right), share(auto & ~is_right)
        return {
            "coverage": coverage,
            "auto_accuracy": right / coverage if coverage > 0.0 else float("nan"),
            "correct_coverage": right,
            "neg_wrong_rate": -wrong,
            "neg_cost": -(self.wrong_cost * wrong + self.review_cost * (1.0 - coverage)),
            "watch_rate": share(routes.route == "watch"),
            "escalate_rate": share(routes.route == "escalate"),
            "clarify_rate": share(routes.route == "clarify"),
        }

    def score(self, estimator: Any, X: Any, y: Any, sample_weight: Any = None) -> dict[str, float]:
        """Score a fitted estimator: the same as calling the scorer.

        Parameters
        ----------
        estimator : estimator
            A fitted `RoutingClassifier`, or a Pipeline or search that holds one.
        X : array-like of shape (n_samples, n_features)
            Rows to route.
        y : array-like of shape (n_samples,)
            True labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative.

        Returns
        -------
        figures : dict of str to float
        """
        return self(estimator, X, y, sample_weight)
