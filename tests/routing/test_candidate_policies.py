import json
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from skroute import CertifiedPolicy, RoutePolicy, RoutingClassifier
from skroute.exceptions import DeadGateWarning, RareClassWarning
from skroute.policies._cost_policy import CostPolicy
from skroute.routing._candidates import learn_candidates

CLASSES = np.array(["attack", "unlock", "vpn"])
COSTS = {
    true: {action: 0.0 if action == true else 8.0 for action in CLASSES}
    | dict.fromkeys(("watch", "escalate", "clarify"), 1.0)
    for true in CLASSES.tolist()
}
POLICIES = [
    RoutePolicy(),
    RoutePolicy(watch={"attack": 0.3}),
    CertifiedPolicy(0.2),
    CostPolicy(COSTS),
    CostPolicy(COSTS, rule="thresholds"),
]


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    proba = rng.dirichlet([0.5, 0.5, 0.5], size=800)
    return proba, CLASSES[(proba.cumsum(axis=1) < rng.random((800, 1))).sum(axis=1)], rng.integers(0, 3, size=800)


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
@pytest.mark.parametrize("by_class", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_sets_are_learned_from_all_rows_and_from_those_that_are_not_automatic(rows, policy, by_class, weighted):
    proba, y, weight = rows
    policy = clone(policy).set_params(candidates=0.9, candidates_by_class=by_class)
    weight = weight if weighted else None
    policy.fit(proba, y, sample_weight=weight)
    expected = learn_candidates(
        proba, np.searchsorted(CLASSES, y), CLASSES, coverage=0.9, by_class=by_class,
        held=policy.decide(proba) != "auto", sample_weight=weight,
    )  # fmt: skip
    assert_array_equal(policy.candidates_.levels, expected.levels)
    sets = policy.candidate_sets(proba)
    assert all(labels[0] == label for labels, label in zip(sets, CLASSES[proba.argmax(axis=1)], strict=True))
    data = json.loads(json.dumps(policy.to_dict(), allow_nan=False))
    back = type(policy).from_dict(data)
    assert back.candidate_sets(proba).tolist() == sets.tolist()
    assert back.to_dict() == policy.to_dict()
    # Sets change nothing else.
    plain = clone(policy).set_params(candidates=None).fit(proba, y, sample_weight=weight)
    assert_array_equal(plain.decide(proba), policy.decide(proba))
    assert "candidates" not in plain.to_dict()
    with pytest.raises(ValueError, match="needs sets that fit has learned"):
        plain.candidate_sets(proba)


def test_labels_are_needed_and_a_fit_that_fails_changes_nothing(rows):
    proba, y, _ = rows
    policy = RoutePolicy(candidates=0.9).fit(proba, y)
    before = policy.to_dict()
    for arguments in ((proba,), (proba, y, [1.0])):
        with pytest.raises(ValueError, match=r"pass y to fit|got 1 weights"):
            policy.set_params(threshold=0.9).fit(
                *arguments[:2], **({"sample_weight": arguments[2]} if arguments[2:] else {})
            )
    assert policy.thresholds_ == dict.fromkeys(CLASSES.tolist(), 0.8)
    assert policy.set_params(threshold=0.8).to_dict() == before


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"candidates": 1.0}, r"must be a number in \[0\.5, 1\)"),
        ({"candidates": "0.9"}, r"must be a number in \[0\.5, 1\)"),
        ({"candidates": 0.05}, r"must be a number in \[0\.5, 1\)"),
        ({"candidates_by_class": 2}, "True or False"),
    ],
)
@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_bad_parameters_are_named(rows, policy, params, message):
    with pytest.raises(ValueError, match=message):
        clone(policy).set_params(**params).fit(*rows[:2])


def test_too_few_rows_are_named_once(rows):
    proba, y, _ = rows
    with pytest.warns(RareClassWarning, match="cannot leave out any class") as caught:
        RoutePolicy(candidates=0.99).fit(proba[:50], y[:50])
    assert [warning.filename for warning in caught] == [__file__]


def test_a_file_is_read_without_a_warning(rows):
    proba, y, _ = rows
    with pytest.warns(DeadGateWarning):
        policy = RoutePolicy(0.4, candidates=0.9).fit(proba, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert RoutePolicy.from_dict(policy.to_dict()).candidate_sets(proba)[0] == policy.candidate_sets(proba)[0]


def test_inside_the_classifier():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    y = CLASSES[np.argmax(2 * X + rng.gumbel(size=(400, 3)), axis=1)]
    router = RoutingClassifier(LogisticRegression(), policy=RoutePolicy(candidates=0.9)).fit(X, y)
    sets = router.policy_.candidate_sets(router.predict_proba(X))
    held = np.mean([label in labels for label, labels in zip(y, sets, strict=True)])
    assert 0.87 < held < 1.0
