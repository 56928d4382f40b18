"""What a fitted router answers: probabilities, labels, routes, and the labels to ask back with."""

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.metaestimators import available_if

from skroute._validation import listed, require_fitted
from skroute.classifier._remembered import FrozenModels, mean_proba
from skroute.classifier._routes import predict_routes
from skroute.routing import LabelSets, RouteTable
from skroute.routing._base_policy import BasePolicy

__all__ = ["PredictionsMixin"]

LEAST_PROBA = 1e-12
# What of a policy tells routes.
ROUTING = ("decide", "explain", "routes_and_labels")


def _has_decision_function(self: "PredictionsMixin") -> bool:
    if isinstance(fitted := self._models(), FrozenModels):
        return fitted.has_decision_function
    return hasattr(self._base() if fitted is None else fitted[0].estimator, "decision_function")


def _is_ours(method: Any) -> bool:
    return str(getattr(method, "__module__", "")).startswith("skroute.")


class PredictionsMixin:
    """The answers of a router that has the classifier `_base` and, once fitted, `_models`."""

    classes_: NDArray[Any]
    policy_: Any

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Predict calibrated probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows as the classifier takes them.

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            Each row sums to one; columns as in `classes_`.
        """
        require_fitted(self)
        return mean_proba(self._models(), X)

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the class of the largest calibrated probability.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows as the classifier takes them.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Labels; they can differ from those of the uncalibrated classifier.
        """
        proba = self.predict_proba(X)
        labels: NDArray[Any] = self.classes_[np.argmax(proba, axis=1)]
        return labels

    @available_if(_has_decision_function)
    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return the calibrated probabilities on the scale of a decision function, where the classifier has one.

        The classifier's own decision values could contradict `predict`, which follows the calibrated probabilities;
        those of the classifier are at ``estimator_.decision_function``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows as the classifier takes them.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
            For two classes the log-odds of ``classes_[1]``, else the log-probability of each class; at least -27.64.
        """
        # A calibrator can write exact zeros, or what rounding makes of them; a logarithm would tell these apart.
        logs = np.log(np.maximum(self.predict_proba(X), LEAST_PROBA))
        return logs[:, 1] - logs[:, 0] if logs.shape[1] == 2 else logs

    def predict_route(self, X: Any) -> NDArray[np.str_]:
        """Predict what to do with each row: the fast path.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows as the classifier takes them.

        Returns
        -------
        routes : ndarray of shape (n_samples,)
            "auto", "watch", "escalate" or "clarify".
        """
        require_fitted(self)
        return predict_routes(self._policy(), self._models(), X)

    def explain_route(self, X: Any) -> RouteTable:
        """Predict what to do with each row, and say what led to it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows as the classifier takes them.

        Returns
        -------
        table : RouteTable
            Route, label, signals, gates and reason of every row.
        """
        proba = self.predict_proba(X)
        table: RouteTable = self._policy().explain(proba)
        # Somebody else's policy may return what it likes.
        return table.indexed_like(X) if isinstance(table, RouteTable) else table

    def routes_and_labels(self, X: Any, *, proba: Any = None) -> tuple[NDArray[np.str_], NDArray[Any]]:
        """Predict the route and the label of each row: of what `explain_route` says, that by which it is scored.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows as the classifier takes them.
        proba : ndarray of shape (n_samples, n_classes), default=None
            What `predict_proba` says of these rows, where it was asked before.

        Returns
        -------
        routes, labels : ndarray of shape (n_samples,)
        """
        require_fitted(self)
        policy = self._policy()
        if type(self).explain_route is not PredictionsMixin.explain_route:
            table = self.explain_route(X)
            return table.route, table.label
        proba = self.predict_proba(X) if proba is None else proba
        if isinstance(policy, BasePolicy) and all(_is_ours(getattr(type(policy), name)) for name in ROUTING):
            return policy.routes_and_labels(proba)
        # What is scored is what `predict_route` says, whichever of these somebody else wrote.
        return policy.decide(proba), policy.explain(proba).label

    def candidate_sets(self, X: Any) -> LabelSets:
        """Return for every row the labels that may be the true one, the most probable first: what to ask back with.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows as the classifier takes them.

        Returns
        -------
        sets : LabelSets
            ``sets[i]`` is the list of labels of row i, at least the top class; ``sets[routes == "clarify"]`` are those
            of some rows.

        Raises
        ------
        ValueError
            If the policy has no `candidates`.
        """
        proba = self.predict_proba(X)
        sets: LabelSets = self._policy().candidate_sets(proba)
        return sets.indexed_like(X) if isinstance(sets, LabelSets) else sets

    def _policy(self) -> Any:
        """Return the policy, which may have been put in place of the fitted one; columns have no names to match."""
        known = getattr(self.policy_, "classes_", self.classes_)
        if known is not self.classes_ and np.asarray(known).tolist() != self.classes_.tolist():
            theirs, ours = (listed(map(repr, np.asarray(labels).tolist())) for labels in (known, self.classes_))
            raise ValueError(
                f"policy_ decides between the classes {theirs}, and the router between {ours}: fit the policy with "
                "classes=router.classes_, in this order."
            )
        return self.policy_

    @abstractmethod
    def _base(self) -> Any:
        """Return the classifier that is wrapped."""

    @abstractmethod
    def _models(self) -> Any:
        """Return the fitted models; None before a fit."""
