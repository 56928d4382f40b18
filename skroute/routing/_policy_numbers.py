"""The numbers of a policy: checked as parameters, in force once it is fitted, and as JSON."""

import inspect
import math
from abc import abstractmethod
from collections.abc import Mapping
from itertools import repeat
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skroute._validation import (
    check_classes,
    check_level,
    check_mapping,
    check_option,
    column,
    label_positions,
    listed,
    shown,
)
from skroute.routing._candidates import CandidateSets, check_coverage
from skroute.routing._gates import WATCH_ORDERS, Gates
from skroute.routing._json import from_json, is_kept, to_json
from skroute.routing._keyed_params import KeyedParamsMixin, takes_any

__all__ = ["GATES", "LEVELS", "PolicyNumbers"]

# The parameters that are one number, or one word, for all classes.
GATES = ("margin", "max_entropy", "escalate_entropy", "watch_order")
# Those that are one number for each class.
LEVELS = ("thresholds", "watch")
# The classes of so many watches are sought among all; of more, all classes among theirs.
FEW_WATCHES = 4


class PolicyNumbers(KeyedParamsMixin, BaseEstimator):
    """The numbers of a policy: its parameters and, once it is fitted, those in force under names with an underscore.

    A subclass has the parameters `thresholds`, `watch`, those in `GATES`, `candidates` and `candidates_by_class`, sets
    the fitted numbers with `_install`, and says in `_learned` and `_restore` what of them JSON must hold beside the
    parameters.
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
        labels = labels if np.ndim(labels) else [labels]
        for position in label_positions(column(labels, "labels").tolist(), self.classes_, "labels"):
            self.thresholds_[known[position]] = math.inf

    def to_dict(self) -> dict[str, Any]:
        """Return the policy as plain JSON: its parameters and, where fitted, its classes and what it learned.

        Every number stands once, under its parameter's name or under "learned", so that the file can be reviewed and
        edited. +inf is written as the text "inf", which strict JSON allows, and labels as text.

        Returns
        -------
        data : dict
            To be read by `from_dict`.

        Raises
        ------
        ValueError
            If a subclass has numbers that its constructor, given the parameters in the file, would not set, or
            parameters of its own that JSON does not hold.
        """
        params = self.get_params(deep=False)
        lost = self._left_out(params)
        data: dict[str, Any] = {"policy": type(self).__name__, "params": params}
        if hasattr(self, "classes_"):
            data["classes"] = self.classes_.tolist()
            learned = self._learned()
            if learned is None:
                # The numbers in force, which parameters set after fit and classes held back would contradict.
                in_force = self._in_force()
                lost += [name for name in in_force if name not in params and in_force[name] != getattr(self, name)]
                params |= {name: value for name, value in in_force.items() if name in params}
            else:
                data["learned"] = {name: to_json(value) for name, value in learned.items()}
            if self.candidates_ is not None:
                data["candidates"] = self.candidates_.to_dict(self.classes_)
        if lost:
            raise ValueError(
                f"{type(self).__name__} cannot be kept as a dict, which holds the parameters of a policy: its "
                f"constructor leaves out {listed(dict.fromkeys(lost))}."
            )
        unkept = [name for name in self._own(params) if not is_kept(params[name])]
        if unkept:
            raise ValueError(
                f"{type(self).__name__} cannot be kept as a dict: JSON does not give back its parameter "
                f"{unkept[0]}={shown(params[unkept[0]])}."
            )
        data["params"] = {name: to_json(value) for name, value in params.items()}
        return data

    def _own(self, params: dict[str, Any]) -> list[str]:
        """Return the parameters that a subclass has added."""
        return [name for name in params if name not in inspect.signature(self._base()).parameters]

    def _base(self) -> Any:
        return next(owner for owner in type(self).__mro__ if owner.__module__.startswith("skroute."))

    def _left_out(self, params: dict[str, Any]) -> list[str]:
        """Return the parameters of a subclass's base that its constructor would not set to what they are now."""
        names = [name for name in inspect.signature(self._base()).parameters if name not in params]
        if not names:
            return []
        again = type(self)(**params)
        return [name for name in names if to_json(getattr(again, name, None)) != to_json(getattr(self, name, None))]

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
        own: Any = cls
        if not takes_any(own):
            unknown += [name for name in data["params"] if name not in inspect.signature(cls).parameters]
        if unknown:
            raise ValueError(f"data names parts that {cls.__name__} does not have: {unknown}.")
        policy = cls(**{name: from_json(value) for name, value in data["params"].items()})
        policy._numbers()
        for name in LEVELS:
            policy._levels(name)
        if "classes" not in data and ("learned" in data or "candidates" in data):
            raise ValueError("data must hold 'classes' beside what was learned, in the order of the columns.")
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
        """Return what was learned, by name; None where the numbers in force are the parameters `_in_force`."""

    def _in_force(self) -> dict[str, Any]:
        """Return the parameters that give the numbers in force: as they were given, where these do."""
        return {name: getattr(self, f"{name}_") for name in GATES}

    @abstractmethod
    def _restore(self, classes: NDArray[Any], learned: dict[str, Any]) -> None:
        """Set the fitted attributes from what `_learned` returned."""

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
                f"Got {shown(self.candidates_by_class)} instead."
            )

    def _levels(self, name: str) -> dict[Any, float]:
        """Return a dict parameter with every level checked."""
        owner = type(self).__name__
        levels = check_mapping(getattr(self, name), name, owner)
        return {k: check_level(v, name, f"{owner} for {k!r}", unbounded=True) or 0.0 for k, v in levels.items()}

    def _by_class(self, name: str, classes: NDArray[Any]) -> dict[Any, float]:
        return self._match(self._levels(name), name, classes)

    def _match(self, levels: Mapping[Any, Any], name: str, classes: NDArray[Any]) -> dict[Any, float]:
        positions = label_positions(levels, classes, f"The {name!r} parameter of {type(self).__name__}")
        if len(set(positions)) < len(positions):
            raise ValueError(f"The {name!r} parameter names one class twice: {list(levels)}.")
        labels = classes.tolist()
        return {labels[i]: float(level) for i, level in zip(positions, levels.values(), strict=True)}

    def _gates(self) -> Gates:
        """Return the numbers in force, which may have been put in by hand, as arrays and floats."""
        labels, levels, watch = self.classes_.tolist(), self.thresholds_, self.watch_
        thresholds = levels.values() if list(levels) == labels else map(levels.__getitem__, labels)
        if len(watch) <= FEW_WATCHES:
            watches = np.full(len(labels), math.inf)
            for label, level in watch.items():
                if label in labels:
                    watches[labels.index(label)] = level
        else:
            watches = np.fromiter(map(watch.get, labels, repeat(math.inf)), float, len(labels))
        return Gates(
            thresholds=np.fromiter(thresholds, float, len(labels)),
            watch=watches,
            margin=_as_float(self.margin_),
            max_entropy=_as_float(self.max_entropy_),
            escalate_entropy=_as_float(self.escalate_entropy_),
            watch_order=self.watch_order_,
        )


def _as_float(number: Any) -> float | None:
    return None if number is None else float(number)
