"""The policy that takes its numbers as given."""

import inspect
import math
import warnings
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
    encode_labels,
    label_positions,
)
from skroute.exceptions import DeadGateWarning
from skroute.routing._audit import PolicyAudit, audit_gates, warn_of_dead_gates
from skroute.routing._gates import ROUTES, WATCH_ORDERS, Gates
from skroute.routing._json import from_json, to_json
from skroute.routing._keyed_params import KeyedParamsMixin
from skroute.routing._route_table import RouteTable, route_table

__all__ = ["RoutePolicy"]

# The parameters that are one number, or one word, for all classes.
GATES = ("margin", "max_entropy", "escalate_entropy", "watch_order")


class RoutePolicy(KeyedParamsMixin, BaseEstimator):
    """Route rows of probabilities by class thresholds, margin, entropy and watches, with the numbers as given.

    A row is routed automatically to its top class when it passes three gates: its confidence reaches the threshold of
    that class, its margin to the runner-up reaches `margin`, and its normalised entropy is at most `max_entropy`. A
    watch stops it when a watched class is likely enough, whatever the top class is. What is not automatic goes to a
    person: "watch" for a fired watch, "escalate" where the probabilities are spread out, "clarify" for the rest.

    Parameters
    ----------
    threshold : float, default=0.80
        Least confidence for automatic routing, in [0, 1], of every class not named in `thresholds`; +inf: never.
    thresholds : dict of class to float, default=None
        Thresholds of single classes. Each entry is a parameter of its own, ``thresholds__<class>``, in `set_params`
        and in searches. Labels match by value or by their text.
    margin : float or None, default=0.30
        Least difference of the two largest probabilities, in [0, 1]. None switches the gate off.
    max_entropy : float or None, default=0.45
        Largest normalised entropy, in [0, 1]. None switches the gate off.
    escalate_entropy : float or None, default=0.80
        Normalised entropy, in [0, 1], from which a row that is not automatic escalates. None: no row does.
    watch : dict of class to float, default=None
        A watch fires for a class when its probability reaches this level, in [0, 1]; +inf: never. Entries are
        parameters, ``watch__<class>``.
    watch_order : {"before", "after", "flag", "top"}, default="before"
        "before": a watch that fires for a class other than the top one stops automatic routing. "after": only rows
        that are not automatic are watched. "flag": watches are reported and change no route. "top": as "after", but
        only a watch for the top class counts.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class of each column.
    thresholds_ : dict of class to float
        The threshold of every class.
    watch_ : dict of class to float
        The watch level of every watched class.
    margin_, max_entropy_, escalate_entropy_ : float or None
        The other gates.
    watch_order_ : str
        The order in which watches are looked at.

    See Also
    --------
    skroute.RoutingClassifier : Calibrates a classifier and routes by a policy.

    Notes
    -----
    Entropy is H(p) / log(n_classes) of the renormalised row, where n_classes counts all classes that the model knows.
    Confidence and watches compare the values as given; margin and entropy are compared with a slack of 1e-12, since
    their last digits are rounding noise. float32 rows are widened first, without change of value.

    Gates imply each other: for three classes ``max_entropy=0.45`` already needs a confidence of .8043. `audit` tells,
    for every number, whether it can still change a route, and `fit` warns of numbers that differ from the defaults
    and cannot.

    Examples
    --------
    >>> from skroute import RoutePolicy
    >>> policy = RoutePolicy(watch={"security_incident": 0.34})
    >>> proba = [[0.974, 0.022, 0.004], [0.58, 0.21, 0.21], [0.576, 0.386, 0.039], [0.45, 0.21, 0.34]]
    >>> policy.fit(proba, classes=["account_unlock", "vpn_issue", "security_incident"]).decide(proba).tolist()
    ['auto', 'escalate', 'clarify', 'watch']
    """

    _keyed_params = ("thresholds", "watch")

    def __init__(
        self,
        threshold: float = 0.80,
        *,
        thresholds: Mapping[Any, float] | None = None,
        margin: float | None = 0.30,
        max_entropy: float | None = 0.45,
        escalate_entropy: float | None = 0.80,
        watch: Mapping[Any, float] | None = None,
        watch_order: str = "before",
    ) -> None:
        self.threshold = threshold
        self.thresholds = thresholds
        self.margin = margin
        self.max_entropy = max_entropy
        self.escalate_entropy = escalate_entropy
        self.watch = watch
        self.watch_order = watch_order

    def fit(self, proba: Any, y: Any = None, *, classes: Any = None, sample_weight: Any = None) -> Self:
        """Check the numbers and match them to the classes; nothing is learned.

        Parameters
        ----------
        proba : array-like or frame of shape (n_samples, n_classes)
            Rows of probabilities, each summing to one within 5e-3.
        y : array-like of shape (n_samples,), default=None
            True labels; only checked.
        classes : array-like of shape (n_classes,), default=None
            The class of each column. None: the column names of a frame, else the sorted labels in `y` where there is
            one for each column, else 0 to n_classes - 1.
        sample_weight : array-like of shape (n_samples,), default=None
            Ignored; present as in every policy.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If a number is out of its range, a label in `thresholds` or `watch` is not a class, or the rows are not
            probabilities.
        """
        numbers = self._numbers()
        values, labels = check_proba(proba, classes=classes)
        if labels is None:
            labels = _default_classes(y, values.shape[1])
        if y is not None and len(encode_labels(y, labels)) != len(values):
            raise ValueError(f"y must have one label a row: {len(values)} rows, got {len(y)} labels.")
        thresholds = dict.fromkeys(labels.tolist(), numbers["threshold"]) | self._by_class("thresholds", labels)
        watch = self._by_class("watch", labels)
        self.classes_: NDArray[Any] = labels
        self.thresholds_: dict[Any, float] = thresholds
        self.watch_: dict[Any, float] = watch
        self.margin_: float | None = numbers["margin"]
        self.max_entropy_: float | None = numbers["max_entropy"]
        self.escalate_entropy_: float | None = numbers["escalate_entropy"]
        self.watch_order_: str = numbers["watch_order"]
        # The defaults are meant to serve every number of classes; only a number that somebody chose is a mistake.
        defaults = inspect.signature(type(self)).parameters
        chosen = {name for name in GATES + ("threshold",) if getattr(self, name) != defaults[name].default}
        warn_of_dead_gates(self.audit(), chosen, self._by_class("thresholds", labels))
        return self

    def check(self, classes: Any) -> None:
        """Check every number, and the classes that they name, before anything is fitted.

        Parameters
        ----------
        classes : array-like of shape (n_classes,)
            All classes.

        Raises
        ------
        ValueError
            If a number is out of its range, or a label in `thresholds` or `watch` is not a class.
        """
        labels = check_classes(classes)
        self._numbers()
        self._by_class("thresholds", labels)
        self._by_class("watch", labels)

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
        values, _ = check_proba(proba, classes=self.classes_)
        return np.array(ROUTES)[self._gates().decide(values).route]

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
        values, _ = check_proba(proba, classes=self.classes_)
        return route_table(self._gates().decide(values), self.classes_)

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
        thresholds = {None: numbers["threshold"]} | self._levels("thresholds")
        return audit_gates(
            n_classes, thresholds, self._levels("watch"), numbers["margin"], numbers["max_entropy"],
            numbers["escalate_entropy"], numbers["watch_order"],
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return the policy as plain JSON: its numbers and, where fitted, its classes.

        Every number stands once, under its parameter's name, so that the file can be reviewed and edited. +inf is
        written as the text "inf", which strict JSON allows, and labels as text.

        Returns
        -------
        data : dict
            To be read by `from_dict`.
        """
        params = self.get_params(deep=False)
        data: dict[str, Any] = {"policy": type(self).__name__, "params": params}
        if hasattr(self, "classes_"):
            # The numbers in force, which parameters set after fit and classes held back would contradict.
            params |= {"thresholds": self.thresholds_, "watch": self.watch_}
            params |= {name: getattr(self, f"{name}_") for name in GATES}
            data["classes"] = self.classes_.tolist()
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
        policy : RoutePolicy
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
        unknown = [name for name in data if name not in ("policy", "params", "classes")]
        unknown += [name for name in data["params"] if name not in inspect.signature(cls).parameters]
        if unknown:
            raise ValueError(f"data names parts that {cls.__name__} does not have: {unknown}.")
        policy = cls(**{name: from_json(value) for name, value in data["params"].items()})
        policy._numbers()
        for name in ("thresholds", "watch"):
            policy._levels(name)
        if "classes" in data:
            classes = check_classes(data["classes"])
            with warnings.catch_warnings():
                # Whoever wrote the file was told when it was fitted.
                warnings.simplefilter("ignore", DeadGateWarning)
                policy.fit(np.full((1, len(classes)), 1.0 / len(classes)), classes=classes)
        return policy

    def _numbers(self) -> dict[str, Any]:
        """Return the parameters that are single numbers, checked."""
        owner = type(self).__name__
        numbers: dict[str, Any] = {
            "threshold": check_level(self.threshold, "threshold", owner, unbounded=True),
            "watch_order": check_option(self.watch_order, WATCH_ORDERS, "watch_order", owner),
        }
        for name in ("margin", "max_entropy", "escalate_entropy"):
            numbers[name] = check_level(getattr(self, name), name, owner, optional=True)
        return numbers

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
    labels = np.unique(np.asarray(y))
    if len(labels) != n_columns:
        raise ValueError(
            f"y holds {len(labels)} classes for {n_columns} columns of proba; pass classes= to name the columns."
        )
    return labels
