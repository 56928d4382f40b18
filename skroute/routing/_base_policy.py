"""What all policies do with their numbers: routes, explanations, sets of labels, audits."""

import math
from collections.abc import Iterable
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from skroute._estimates import Estimates
from skroute._frames import as_spelled, check_proba
from skroute._validation import (
    check_count,
    check_mapping,
    column,
    distinct_labels,
    encode_labels,
    listed,
    require_fitted,
)
from skroute.routing._audit import PolicyAudit, audit_gates
from skroute.routing._candidates import learn_candidates
from skroute.routing._gate_kernel import NAMES, fast_routes, routes_of_parts
from skroute.routing._gates import AUTO, Decision
from skroute.routing._label_sets import LabelSets, label_sets
from skroute.routing._one_row import codes_of_rows, is_quicker_by_row
from skroute.routing._policy_numbers import LEVELS, PolicyNumbers
from skroute.routing._rough_routes import rough_routes
from skroute.routing._route_table import RouteTable, route_table

__all__ = ["BasePolicy", "decides_by_row", "routes_of_estimates"]


class BasePolicy(PolicyNumbers):
    """A policy once it is fitted; a subclass ends its `fit` with `_learn_candidates`."""

    def decide(self, proba: Any) -> NDArray[np.str_]:
        """Choose the route of every row: the fast path.

        Parameters
        ----------
        proba : array-like or frame of shape (n_samples, n_classes)
            Rows of probabilities. Named columns of a frame are matched to the classes.

        Returns
        -------
        routes : ndarray of shape (n_samples,)
            "auto", "watch", "escalate" or "clarify".

        Raises
        ------
        ValueError
            If the rows are not probabilities of the classes; the message names the first bad row.
        """
        require_fitted(self)
        if not self._follows_gates():
            return NAMES[self._decision(proba).route]
        plain = type(proba) is np.ndarray and proba.dtype == np.float64 and proba.shape == (1, len(self.classes_))
        values = proba if plain else check_proba(proba, classes=self.classes_, fitted=True, rows=False)[0]
        if is_quicker_by_row(*values.shape):
            # float32 is widened without change of value.
            codes = codes_of_rows(self, values.tolist())
            if codes is not None:
                return NAMES[codes]
        return fast_routes(self._gates(), values)

    def decide_parts(self, parts: Iterable[NDArray[np.floating]], n_samples: int) -> NDArray[np.str_]:
        """Choose the routes of rows that come part by part, so that not all of them need be held at once.

        Parameters
        ----------
        parts : iterable of ndarray of shape (n_rows, n_classes)
            Rows of probabilities, at least one array, with columns in the order of the classes.
        n_samples : int
            The number of all rows.

        Returns
        -------
        routes : ndarray of shape (n_samples,)

        Raises
        ------
        ValueError
            If the rows are not probabilities.

        Examples
        --------
        >>> import numpy as np
        >>> from skroute import RoutePolicy
        >>> parts = [np.array([[0.95, 0.05], [0.6, 0.4]]), np.array([[0.1, 0.9]])]
        >>> RoutePolicy(max_entropy=None).fit(parts[0]).decide_parts(parts, n_samples=3).tolist()
        ['auto', 'escalate', 'auto']
        """
        require_fitted(self)
        if self._follows_gates() and decides_by_row(self):
            return routes_of_parts(self._gates(), parts, n_samples)
        routes, start = np.empty(n_samples, dtype=NAMES.dtype), 0
        for part in parts:
            routes[start : start + len(part)] = self.decide(part)
            start += len(part)
        return routes

    def explain(self, proba: Any) -> RouteTable:
        """Choose the route of every row and say what led to it.

        Parameters
        ----------
        proba : array-like or frame of shape (n_samples, n_classes)
            Rows of probabilities. Named columns of a frame are matched to the classes.

        Returns
        -------
        table : RouteTable
            Route, label, signals, gates and reason of every row.

        Raises
        ------
        ValueError
            If the rows are not probabilities of the classes; the message names the first bad row.
        """
        require_fitted(self)
        return route_table(self._decision(proba), self.classes_).indexed_like(proba)

    def routes_and_labels(self, proba: Any) -> tuple[NDArray[np.str_], NDArray[Any]]:
        """Choose the route and the label of every row: of what `explain` says, that by which it is scored.

        Parameters
        ----------
        proba : array-like or frame of shape (n_samples, n_classes)
            Rows of probabilities. Named columns of a frame are matched to the classes.

        Returns
        -------
        routes, labels : ndarray of shape (n_samples,)

        Raises
        ------
        ValueError
            If the rows are not probabilities of the classes; the message names the first bad row.

        Examples
        --------
        >>> from skroute import RoutePolicy
        >>> policy = RoutePolicy().fit([[0.5, 0.5]], classes=["unlock", "vpn"])
        >>> routes, labels = policy.routes_and_labels([[0.97, 0.03], [0.4, 0.6]])
        >>> routes.tolist(), labels.tolist()
        (['auto', 'escalate'], ['unlock', 'vpn'])
        """
        require_fitted(self)
        if not (self._follows_gates() and type(self).explain is BasePolicy.explain):
            table = self.explain(proba)
            return table.route, table.label
        values, _ = check_proba(proba, classes=self.classes_, fitted=True, rows=False)
        return fast_routes(self._gates(), values), self.classes_[values.argmax(axis=1)]

    def candidate_sets(self, proba: Any) -> LabelSets:
        """Return for every row the labels that may be the true one, the most probable first.

        A set holds the true class with the probability `candidates`: on average over all rows, and over those that are
        not automatic, by themselves; with `candidates_by_class`, within every true class as well.

        Parameters
        ----------
        proba : array-like or frame of shape (n_samples, n_classes)
            Rows of probabilities. Named columns of a frame are matched to the classes.

        Returns
        -------
        sets : LabelSets
            ``sets[i]`` is the list of labels of row i, at least the top class.

        Raises
        ------
        ValueError
            If the policy was fitted without `candidates`, or the rows are not probabilities of the classes.

        Notes
        -----
        Split conformal prediction; the guarantee on rows that are not automatic is exact for new rows that are
        exchangeable with those of `fit` if the policy's numbers were given, approximate if they were learned there.

        Examples
        --------
        >>> import numpy as np
        >>> from skroute import RoutePolicy
        >>> rng = np.random.default_rng(0)
        >>> proba = rng.dirichlet([0.5, 0.5, 0.5], size=500)
        >>> y = (proba.cumsum(axis=1) < rng.random((500, 1))).sum(axis=1)
        >>> policy = RoutePolicy(candidates=0.9).fit(proba, y)
        >>> policy.candidate_sets([[0.55, 0.40, 0.05], [0.99, 0.01, 0.00]]).tolist()
        [[0, 1], [0]]
        """
        require_fitted(self)
        if self.candidates_ is None:
            raise ValueError(
                f"candidate_sets needs sets that fit has learned: give {type(self).__name__} candidates=0.95 before."
            )
        values, _ = check_proba(proba, classes=self.classes_, fitted=True)
        return label_sets(self.candidates_, values, self.classes_).indexed_like(proba)

    def audit(self, n_classes: int | None = None) -> PolicyAudit:
        """Tell for every number what confidence it implies, and whether it can still change a route.

        Parameters
        ----------
        n_classes : int, default=None
            Number of classes, at least 2. None: as fitted.

        Returns
        -------
        audit : PolicyAudit
            One entry for every number, with closed-form bounds.

        Examples
        --------
        >>> from skroute import RoutePolicy
        >>> audit = RoutePolicy(thresholds={"vpn_issue": 0.72}).audit(n_classes=3)
        >>> round(audit.of("max_entropy").lower, 4), audit.of("threshold", "vpn_issue").status
        (0.8043, 'dead')
        """
        if n_classes is None:
            require_fitted(self)
            return audit_gates(
                len(self.classes_), self.thresholds_, self.watch_, self.margin_, self.max_entropy_,
                self.escalate_entropy_, self.watch_order_,
            )  # fmt: skip
        n_classes = check_count(n_classes, "n_classes", f"{type(self).__name__}.audit", least=2)
        numbers = self._numbers()
        thresholds = {None: numbers.get("threshold", math.inf)} | self._levels("thresholds")
        return audit_gates(
            n_classes, thresholds, self._levels("watch"), numbers["margin"], numbers["max_entropy"],
            numbers["escalate_entropy"], numbers["watch_order"],
        )  # fmt: skip

    def _follows_gates(self) -> bool:
        """Return whether the gates alone decide, so that the fast path holds: not where `_decision` is replaced."""
        return type(self)._decision is BasePolicy._decision

    def _decision(self, proba: Any) -> Decision:
        require_fitted(self)
        values, _ = check_proba(proba, classes=self.classes_, fitted=True)
        return self._gates().decide(values)

    def _read(self, proba: Any, y: Any, classes: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.intp] | None]:
        """Return probabilities, classes and the positions of the true classes, checked against each other."""
        values, labels = check_proba(proba, classes=classes)
        if classes is None and labels is not None and y is not None:
            labels = as_spelled(labels, y)
        if labels is None:
            labels = _default_classes(y, values.shape[1])
            if y is None:
                self._refuse_names(labels)
        if y is None and self.candidates is not None:
            raise ValueError(f"candidates={self.candidates:g} is learned from labels: pass y to fit.")
        codes = None if y is None else encode_labels(y, labels)
        if codes is not None and len(codes) != len(values):
            raise ValueError(f"y must have one label a row: {len(values)} rows, got {len(codes)} labels.")
        return values, labels, codes

    def _refuse_names(self, numbers: NDArray[np.intp]) -> None:
        """Refuse parameters that name classes where these are merely numbered."""
        owner, known = type(self).__name__, {*map(str, numbers.tolist())}
        for name in LEVELS:
            named = [label for label in check_mapping(getattr(self, name), name, owner) if str(label) not in known]
            if named:
                raise ValueError(
                    f"The {name!r} parameter of {owner} names {named[0]!r}, which is not a class. The classes are "
                    f"{listed(numbers.tolist())}, numbered because none were given: pass classes= to fit."
                )

    def _learn_candidates(self, values: NDArray[Any], codes: NDArray[np.intp] | None, sample_weight: Any) -> None:
        """Learn the sets of labels, where asked to; the numbers in force say which rows are not automatic."""
        if self.candidates is None:
            return
        self.candidates_ = learn_candidates(
            values,
            codes,
            self.classes_,
            coverage=float(self.candidates),
            by_class=self.candidates_by_class,
            held=self._decision(values).route != AUTO,
            sample_weight=sample_weight,
        )


def _default_classes(y: Any, n_columns: int) -> NDArray[Any]:
    if y is None:
        return np.arange(n_columns)
    labels = distinct_labels(column(y, "y"))
    if len(labels) != n_columns:
        raise ValueError(
            f"y holds {len(labels)} classes for {n_columns} columns of proba; pass classes= to name the columns."
        )
    return labels


def decides_by_row(policy: Any) -> TypeGuard[BasePolicy]:
    """Return whether a policy decides about each row by itself, for all that is known: not if `decide` is replaced."""
    return isinstance(policy, BasePolicy) and type(policy).decide is BasePolicy.decide


def routes_of_estimates(policy: BasePolicy, estimates: Estimates) -> NDArray[np.str_]:
    """Return the routes that a fitted policy chooses for the exact rows.

    Parameters
    ----------
    policy : BasePolicy
        One that decides by row.
    estimates : Estimates
        Rows of probabilities, with columns in the order of the classes.

    Returns
    -------
    routes : ndarray of shape (n_samples,)
    """
    if policy._follows_gates():
        return rough_routes(policy._gates(), estimates)
    return policy.decide_parts(map(estimates.exact, estimates.parts()), estimates.n_samples)
