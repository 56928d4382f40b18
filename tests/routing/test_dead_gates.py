import numpy as np
import pytest

from skroute import RoutePolicy
from skroute.datasets import load_lesson
from skroute.exceptions import DeadGateWarning


@pytest.mark.parametrize("n_classes", [2, 3, 4, 10])
def test_defaults_never_warn(n_classes, recwarn):
    RoutePolicy().fit(np.eye(n_classes))
    assert recwarn.list == []


@pytest.mark.parametrize(
    ("policy", "value"),
    [(RoutePolicy(0.1), "0.1"), (RoutePolicy(thresholds={c: 0.1 + c / 1000 for c in range(77)}), "0.1 to 0.176")],
    ids=["one number", "many numbers"],
)
def test_a_warning_of_many_classes_stays_short(policy, value):
    with pytest.warns(DeadGateWarning) as caught:
        policy.fit(np.eye(77))
    message = str(caught[0].message)
    assert f"threshold = {value} of classes 0, 1, 2 and 74 more: margin and entropy already need" in message
    assert len(message) < 300


def test_one_warning_names_every_dead_number_that_was_chosen():
    lesson = load_lesson()
    policy = RoutePolicy(thresholds=lesson.thresholds, margin=0.6, watch={"vpn_issue": 0.99})
    with pytest.warns(DeadGateWarning) as caught:
        policy.fit(lesson.proba, classes=lesson.classes)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    message = str(caught[0].message)
    assert "With 3 classes" in message
    assert "threshold = 0.72 of class 'vpn_issue': margin and entropy already need 0.8043" in message
    assert "threshold = 0.6 of class 'security_incident': margin and entropy already need 0.8043" in message
    assert "margin = 0.6: every auto row has confidence 0.8043 or more" in message
    assert "watch = 0.99 of class 'vpn_issue': every row that fires it is auto-routed" in message
    assert "max_entropy" not in message
    dead = {(entry.gate, entry.label) for entry in policy.audit().dead}
    assert dead == {("threshold", label) for label in lesson.classes} | {("margin", None), ("watch", "vpn_issue")}


@pytest.mark.parametrize("threshold", [{"threshold": 0}, {"thresholds": {0: 0.0, 1: 0}}], ids=["all", "some"])
@pytest.mark.parametrize("gates", [{}, {"margin": None, "max_entropy": None}, {"margin": 0, "max_entropy": 1}])
def test_a_gate_that_is_open_on_purpose_is_audited_but_not_warned_of(threshold, gates, recwarn):
    policy = RoutePolicy(**threshold, **gates).fit(np.eye(8))
    assert policy.audit().of("threshold", 0).status == "dead"
    assert recwarn.list == []


@pytest.mark.parametrize(
    ("gates", "note"),
    [
        ({}, "margin and entropy already need 0.8043"),
        ({"margin": None}, "entropy already needs 0.8043"),
        ({"margin": 0.0}, "entropy already needs 0.8043"),
        ({"max_entropy": None}, "margin already needs 0.5333"),
        ({"max_entropy": 1.0}, "margin already needs 0.5333"),
        ({"margin": None, "max_entropy": None}, "no top probability is less than 0.3333"),
        ({"margin": 0.0, "max_entropy": 1.0}, "no top probability is less than 0.3333"),
    ],
)
def test_a_dead_threshold_names_the_gates_that_are_switched_on(gates, note):
    with pytest.warns(DeadGateWarning, match=rf"threshold = 0\.2 of classes 0, 1, 2: {note}\)\. Change"):
        assert RoutePolicy(0.2, **gates).fit(np.eye(3)).audit().of("threshold", 0).note == note


def test_dead_defaults_are_audited_but_not_warned_of():
    policy = RoutePolicy(thresholds={2: 0.9}).fit(np.eye(3))
    assert [(entry.gate, entry.label) for entry in policy.audit().dead] == [
        ("threshold", 0),
        ("threshold", 1),
        ("margin", None),
    ]
