"""What all policies share: named numbers for every class, routes, explanations, JSON."""

import inspect
import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skroute._validation import (
    check_classes,
    check_count,
    check_level,
    check_mapping,
    check_option,
    check_proba,
    column,
    distinct_labels,
    encode_labels,
    label_positions,
)
from skroute.routing._audit import PolicyAudit, audit_gates
from skroute.routing._candidates import CandidateSets, check_coverage, learn_candidates
from skroute.routing._gate_kernel import fast_routes
from skroute.routing._gates import AUTO, ROUTES, WATCH_ORDERS, Decision, Gates
from skroute.routing._json import from_json, to_json
from skroute.routing._keyed_params import KeyedParamsMixin
from skroute.routing._label_sets import LabelSets, label_sets
from skroute.routing._route_table import RouteTable, route_table

__all__ = ["GATES", "BasePolicy"]

# The parameters that are one number, or one word, for all classes.
GATES = ("margin", "max_entropy", "escalate_entropy", "watch_order")


# Those that are one number for each class.
LEVELS = ("thresholds", "watch")


class BasePolicy(KeyedParamsMixin, BaseEstimator):
    """A policy once it is fitted: `classes_` and, under their names with an underscore, the numbers in force.

    A subclass has the parameters `thresholds`, `watch`, those in `GATES`, `candidates` and `candidates_by_class`, sets
    the fitted numbers with `_install`, ends its `fit` with `_learn_candidates`, and says in `_learned` and `_restore`
    what of them JSON must hold beside the parameters.
    """

    classes_: NDArray[Any]
    thresholds_: dict[Any, float]
    watch_: dict[Any, float]
    margin_: float | None
    max_entropy_: float | None
    escalate_entropy_: float | None
    watch_order_: str
    candidates_: CandidateSets | None

    def check(self, classes: Any) -> None:
        """Check every number, and the classes that they name, before anything is fitted.

        Parameters
        ----------
        classes : array-like of shape (n_classes,)
            All classes.

        Raises
        ------
        ValueError
            If a number is out of its range, or a label in one of the dicts is not a class.
        """
        labels = check_classes(classes)
        self._numbers()
        for name in LEVELS:
            self._by_class(name, labels)

    def hold_back(self, labels: Any) -> None:
        """Never auto-route some classes, whatever their thresholds, because nothing is known of them.

        Parameters
        ----------
        labels : array-like of shape (n_labels,)
            Some of the classes of the fitted policy.
        """
        check_is_fitted(self)
        known = self.classes_.tolist()
        for position in label_positions(np.asarray(labels).tolist(), self.classes_, "labels"):
            self.thresholds_[known[position]] = math.inf

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
        check_is_fitted(self)
        if not self._follows_gates():
            return np.array(ROUTES)[self._decision(proba).route]
        values, _ = check_proba(proba, classes=self.classes_, rows=False)
        return fast_routes(self._gates(), values)

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
        check_is_fitted(self)
        return route_table(self._decision(proba), self.classes_)

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
        check_is_fitted(self)
        if self.candidates_ is None:
            raise ValueError(
                f"candidate_sets needs sets that were learned: {type(self).__name__}(candidates=0.95).fit(proba, y)."
            )
        values, _ = check_proba(proba, classes=self.classes_)
        return label_sets(self.candidates_, values, self.classes_)

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
            check_is_fitted(self)
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

    def to_dict(self) -> dict[str, Any]:
        """Return the policy as plain JSON: its parameters and, where fitted, its classes and what it learned.

        Every number stands once, under its parameter's name or under "learned", so that the file can be reviewed and
        edited. +inf is written as the text "inf", which strict JSON allows, and labels as text.

        Returns
        -------
        data : dict
            To be read by `from_dict`.
        """
        params = self.get_params(deep=False)
        data: dict[str, Any] = {"policy": type(self).__name__, "params": params}
        if hasattr(self, "classes_"):
            data["classes"] = self.classes_.tolist()
            learned = self._learned()
            if learned is None:
                # The numbers in force, which parameters set after fit and classes held back would contradict.
                params |= {"thresholds": self.thresholds_, "watch": self.watch_}
                params |= {name: getattr(self, f"{name}_") for name in GATES}
            else:
                data["learned"] = {name: to_json(value) for name, value in learned.items()}
            if self.candidates_ is not None:
                data["candidates"] = self.candidates_.to_dict(self.classes_)
        data["params"] = {name: to_json(value) for name, value in params.items()}
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Build a policy from what `to_dict` returned.

        Parameters
        ----------
        data : dict
            A policy as plain JSON.

        Returns
        -------
        policy : policy
            Fitted where the data hold classes.

        Raises
        ------
        ValueError
            If the data describe another kind of policy, or miss or misname a part.
        """
        kind = data.get("policy") if isinstance(data, Mapping) else None
        if kind != cls.__name__ or not isinstance(data.get("params"), Mapping):
            raise ValueError(
                f"data must be a dict as {cls.__name__}.to_dict() returns it, with 'policy': {cls.__name__!r} and a "
                f"dict 'params'; got {type(data).__name__} with 'policy': {kind!r}."
            )
        unknown = [name for name in data if name not in ("policy", "params", "classes", "learned", "candidates")]
        unknown += [name for name in data["params"] if name not in inspect.signature(cls).parameters]
        if unknown:
            raise ValueError(f"data names parts that {cls.__name__} does not have: {unknown}.")
        policy = cls(**{name: from_json(value) for name, value in data["params"].items()})
        policy._numbers()
        for name in LEVELS:
            policy._levels(name)
        if "classes" in data:
            learned = data.get("learned", {})
            if not isinstance(learned, Mapping):
                raise ValueError(f"data['learned'] must be a dict, got {type(learned).__name__}.")
            policy._restore(check_classes(data["classes"]), {name: from_json(part) for name, part in learned.items()})
            if "candidates" in data:
                policy.candidates_ = CandidateSets.from_dict(data["candidates"], policy.classes_)
        return policy

    @abstractmethod
    def _learned(self) -> dict[str, Any] | None:
        """Return what was learned, by name; None where the numbers in force are the parameters."""

    @abstractmethod
    def _restore(self, classes: NDArray[Any], learned: dict[str, Any]) -> None:
        """Set the fitted attributes from what `_learned` returned."""

    def _follows_gates(self) -> bool:
        """Return whether the gates alone decide, so that the fast path holds: not where `_decision` is replaced."""
        return type(self)._decision is BasePolicy._decision

    def _decision(self, proba: Any) -> Decision:
        check_is_fitted(self)
        values, _ = check_proba(proba, classes=self.classes_)
        return self._gates().decide(values)

    def _read(self, proba: Any, y: Any, classes: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.intp] | None]:
        """Return probabilities, classes and the positions of the true classes, checked against each other."""
        values, labels = check_proba(proba, classes=classes)
        if labels is None:
            labels = _default_classes(y, values.shape[1])
        if y is None and self.candidates is not None:
            raise ValueError(f"candidates={self.candidates:g} is learned from labels: pass y to fit.")
        codes = None if y is None else encode_labels(y, labels)
        if codes is not None and len(codes) != len(values):
            raise ValueError(f"y must have one label a row: {len(values)} rows, got {len(codes)} labels.")
        return values, labels, codes

    def _install(
        self, classes: NDArray[Any], thresholds: dict[Any, float], watch: dict[Any, float], numbers: dict[str, Any]
    ) -> None:
        """Set all fitted numbers at once."""
        self.classes_ = classes
        self.thresholds_ = thresholds
        self.watch_ = watch
        self.margin_ = numbers["margin"]
        self.max_entropy_ = numbers["max_entropy"]
        self.escalate_entropy_ = numbers["escalate_entropy"]
        self.watch_order_ = numbers["watch_order"]
        self.candidates_ = None

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

    def _numbers(self) -> dict[str, Any]:
        """Return the parameters in `GATES`, checked."""
        owner = type(self).__name__
        self._check_candidates()
        numbers: dict[str, Any] = {"watch_order": check_option(self.watch_order, WATCH_ORDERS, "watch_order", owner)}
        for name in ("margin", "max_entropy", "escalate_entropy"):
            numbers[name] = check_level(getattr(self, name), name, owner, optional=True)
        return numbers

    def _check_candidates(self) -> None:
        owner = type(self).__name__
        if self.candidates is not None:
            check_coverage(self.candidates, "candidates", owner)
        if not isinstance(self.candidates_by_class, (bool, np.bool_)):
            raise ValueError(
                f"The 'candidates_by_class' parameter of {owner} must be True or False. "
                f"Got {self.candidates_by_class!r} instead."
            )

    def _levels(self, name: str) -> dict[Any, float]:
        """Return a dict parameter with every level checked."""
        owner = type(self).__name__
        levels = check_mapping(getattr(self, name), name, owner)
        return {k: check_level(v, f"{name}[{k!r}]", owner, unbounded=True) or 0.0 for k, v in levels.items()}

    def _by_class(self, name: str, classes: NDArray[Any]) -> dict[Any, float]:
        return self._match(self._levels(name), name, classes)

    def _match(self, levels: Mapping[Any, Any], name: str, classes: NDArray[Any]) -> dict[Any, float]:
        positions = label_positions(levels, classes, f"The {name!r} parameter of {type(self).__name__}")
        if len(set(positions)) < len(positions):
            raise ValueError(f"The {name!r} parameter names one class twice: {list(levels)}.")
        labels = classes.tolist()
        return {labels[i]: float(level) for i, level in zip(positions, levels.values(), strict=True)}

    def _gates(self) -> Gates:
        labels = self.classes_.tolist()
        return Gates(
            thresholds=np.array([self.thresholds_[label] for label in labels]),
            watch=np.array([self.watch_.get(label, math.inf) for label in labels]),
            margin=self.margin_,
            max_entropy=self.max_entropy_,
            escalate_entropy=self.escalate_entropy_,
            watch_order=self.watch_order_,
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
