"""Policies of users: what they leave out of their constructors is neither lost in silence nor in the way."""

import enum
import json
import math
from fractions import Fraction

import numpy as np
import pytest
from sklearn.base import clone

from skroute import RoutePolicy
from skroute.exceptions import DeadGateWarning


def test_a_subclass_may_leave_parameters_out():
    class Cautious(RoutePolicy):
        def __init__(self, threshold=0.95):
            super().__init__(threshold, margin=0.1)

    with pytest.warns(DeadGateWarning, match="margin = 0.1: every auto row"):
        policy = clone(Cautious()).set_params(threshold=0.99).fit([[0.7, 0.3]])
    assert policy.get_params() == {"threshold": 0.99}
    assert policy.thresholds_ == {0: 0.99, 1: 0.99}


class Strict(RoutePolicy):
    """Two numbers are the user's, and the others are fixed."""

    def __init__(self, level=0.9):
        super().__init__(level, margin=None, max_entropy=None, thresholds={2: math.inf})
        self.level = level


def test_entries_of_what_a_subclass_leaves_out_cannot_be_set():
    """They would be lost by the next clone, and a class that is never to be auto-routed would be."""
    for name in ("watch__2", "thresholds__1"):
        with pytest.raises(ValueError, match=f"Strict cannot set '{name}'"):
            Strict().set_params(**{name: 0.5})
    assert clone(Strict().set_params(level=0.7)).fit([[0.2, 0.3, 0.5]]).thresholds_ == {0: 0.7, 1: 0.7, 2: math.inf}


def test_a_subclass_that_leaves_parameters_out_is_read_again_or_not_written():
    proba = [[0.2, 0.3, 0.5]]
    assert Strict.from_dict(json.loads(json.dumps(Strict(0.7).to_dict()))).threshold == 0.7
    policy = Strict(0.7).fit(proba)
    again = Strict.from_dict(json.loads(json.dumps(policy.to_dict())))
    assert again.thresholds_ == policy.thresholds_ == {0: 0.7, 1: 0.7, 2: math.inf}
    assert (again.margin_, again.max_entropy_) == (None, None)
    policy.margin = 0.2
    with pytest.raises(ValueError, match=r"leaves out margin\."):
        policy.to_dict()
    policy.margin = None
    policy.hold_back([1])
    with pytest.raises(ValueError, match=r"Strict cannot be kept as a dict.*leaves out thresholds\."):
        policy.to_dict()


def test_a_subclass_is_written_whatever_was_set_since():
    class Levels(RoutePolicy):
        def __init__(self, thresholds=None):
            super().__init__(thresholds=thresholds)

    policy = Levels({0: 0.9}).fit([[0.2, 0.3, 0.5]]).set_params(thresholds={"zzz": 0.5})
    assert Levels.from_dict(policy.to_dict()).thresholds_ == policy.thresholds_ == {0: 0.9, 1: 0.8, 2: 0.8}


class Added(RoutePolicy):
    """A parameter that this library does not know."""

    def __init__(self, threshold=0.8, *, extra=None):
        super().__init__(threshold)
        self.extra = extra


@pytest.mark.parametrize(
    ("extra", "again"),
    [
        (one, one)
        for one in (None, True, 3, 0.5, math.inf, "text", [1, 2], {"a": [1.5, "b"]}, np.float32(0.5), [math.inf])
    ]
    + [((1, (2, 3)), [1, [2, 3]]), ({1: 2}, {"1": 2}), ([np.int64(3)], [3]), (Fraction(1, 2), 0.5)],
)
def test_what_a_subclass_adds_is_read_again(extra, again):
    """Lists for tuples, and labels as texts."""
    policy = Added(extra=extra).fit([[0.2, 0.8]])
    assert Added.from_dict(json.loads(json.dumps(policy.to_dict(), allow_nan=False))).extra == again


@pytest.mark.parametrize(
    "extra", ["inf", math.nan, ["inf"], {1, 2}, np.zeros(2), np.zeros(1), RoutePolicy(), Fraction(10**400)]
)
def test_what_json_does_not_give_back_is_not_written(extra):
    with pytest.raises(ValueError, match="Added cannot be kept as a dict: JSON does not give back its parameter extra"):
        Added(extra=extra).to_dict()


def test_texts_of_an_enumeration_stand_for_classes():
    class Team(str, enum.Enum):  # noqa: UP042
        NETWORK = "network"
        UNLOCK = "unlock"

    policy = RoutePolicy(watch={Team.NETWORK: 0.3}).fit([[0.2, 0.8]], classes=["network", "unlock"])
    again = RoutePolicy.from_dict(json.loads(json.dumps(policy.to_dict())))
    assert again.watch_ == policy.watch_ == {"network": 0.3}
    for labels in (Team.UNLOCK, [Team.UNLOCK], "unlock"):
        held = clone(policy).fit([[0.2, 0.8]], classes=["network", "unlock"])
        held.hold_back(labels)
        assert held.thresholds_ == {"network": 0.8, "unlock": math.inf}


def test_parameters_without_names_are_not_lost():
    class Team(RoutePolicy):
        def __init__(self, team="x", **numbers):
            super().__init__(**numbers)
            self.team = team

    class Told(Team):
        def get_params(self, deep=True):
            return super().get_params(deep) | {"thresholds": self.thresholds}

    policy = Team(thresholds={2: math.inf})
    with pytest.raises(TypeError, match="Team must name the parameters of its constructor"):
        clone(policy)
    assert repr(policy) == "Team()"
    for lossy in (policy, Team(threshold=math.inf).fit([[0.2, 0.8]])):
        with pytest.raises(ValueError, match=r"Team cannot be kept as a dict.*leaves out threshold"):
            lossy.to_dict()
    told = Told(thresholds={2: math.inf})
    assert clone(told).thresholds == {2: math.inf}
    assert clone(clone(told).set_params(thresholds__2=0.9)).thresholds == {2: 0.9}
    assert Told.from_dict(told.to_dict()).thresholds == {"2": math.inf}
