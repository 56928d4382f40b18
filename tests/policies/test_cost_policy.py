import json
import math

import numpy as np
import pandas as pd
import pytest
from policies.cost_helpers import CLASSES, COSTS, PROBA, RULES, Y, draw, fitted
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skroute import RoutingClassifier
from skroute.policies import CostPolicy, RoutingCosts

# The routes


def test_bayes_obeys_the_gates_that_are_given():
    policy = fitted(thresholds={"vpn": 0.9}, watch={"security": 0.2}, margin=0.3)
    table, free = policy.explain(PROBA), fitted().explain(PROBA)
    assert (table.confidence[(table.route == "auto") & (table.label == "vpn")] >= 0.9).all()
    assert (table.margin[table.route == "auto"] >= 0.3).all()
    fires = (PROBA[:, 2] >= 0.2) & (table.label != "security")
    assert (table.route[fires] == "watch").all()
    assert (table.reason[fires & table.passed_margin & table.passed_threshold] == "watch").all()
    assert ((table.route != "auto") | (free.route == "auto")).all()


@pytest.mark.parametrize("rule", RULES)
def test_classes_held_back_are_never_routed_to(rule):
    policy = fitted(rule=rule)
    before = policy.explain(PROBA)
    policy.hold_back(["vpn"])
    table = policy.explain(PROBA)
    assert "vpn" in before.label[before.route == "auto"]
    assert "vpn" not in table.label[table.route == "auto"]
    stopped = (before.route == "auto") & (before.label == "vpn")
    assert (table.reason[stopped] == "never").all()
    others = (before.route == "auto") & (before.label != "vpn")
    assert (table.route[others] == "auto").all()
    assert CostPolicy.from_dict(json.loads(json.dumps(policy.to_dict()))).decide(PROBA).tolist() == table.route.tolist()


def test_a_row_may_go_to_another_class_than_its_top_one():
    costs = RoutingCosts.from_defaults(CLASSES, wrong={"security": 500, "*": 1}, review=30)
    row = [[0.6, 0.0, 0.4]]
    table = CostPolicy(costs).fit(row, classes=CLASSES).explain(row)
    assert (table.route[0], table.label[0], table.reason[0]) == ("auto", "security", "cost")
    assert table.confidence[0] == 0.6
    assert table.threshold[0] <= 0.4


def test_reasons_under_bayes():
    rows = [[0.99, 0.0095, 0.0005], [0.55, 0.449, 0.001], [0.36, 0.33, 0.31], [0.39, 0.38, 0.23]]
    table = fitted().explain(rows)
    assert table.route.tolist() == ["auto", "auto", "watch", "watch"]
    table = fitted(margin=0.2).explain(rows)
    assert table.reason.tolist() == ["passed", "margin", "confidence", "confidence"]
    assert fitted().explain([[0.9, 0.0, 0.1]]).reason.tolist() == ["cost"]


def test_thresholds_under_bayes_are_bounds_that_every_auto_row_keeps():
    for rate in (None, 0.1):
        policy = fitted(max_review_rate=rate)
        new, _ = draw(5000, 3)
        table = policy.explain(new)
        auto = table.route == "auto"
        share = new[np.arange(len(new)), [CLASSES.index(label) for label in table.label]]
        assert (share[auto] >= table.threshold[auto]).all()
        assert (table.threshold == [policy.thresholds_[label] for label in table.label]).all()


def test_rows_of_rounded_probabilities_route_as_their_renormalised_ones():
    policy = fitted(max_review_rate=0.2)
    for scale in (0.996, 1.004):
        scaled = np.minimum(PROBA * scale, 1.0)
        some = np.isclose(scaled.sum(axis=1), scale)
        assert policy.decide(scaled[some]).tolist() == policy.decide(PROBA[some]).tolist()


def test_routes_do_not_depend_on_the_other_rows_or_the_width():
    policy = fitted()
    # In the last row routing costs 5 * 0.6 and a question 3.
    rows = np.concatenate([PROBA[:200], [[0.4, 0.6, 0.0], [0.6, 0.4, 0.0]]])
    alone = [policy.decide(row[None])[0] for row in rows]
    assert policy.decide(rows).tolist() == alone
    assert (
        policy.decide(PROBA.astype(np.float32).astype(float)).tolist()
        == policy.decide(PROBA.astype(np.float32)).tolist()
    )


# As an estimator


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("classes", [CLASSES, [0, 1, 2]])
def test_json_round_trip(rule, classes):
    costs = COSTS if classes is CLASSES else RoutingCosts.from_defaults(classes, wrong={2: 90, "*": 5}, review=2)
    policy = CostPolicy(costs, rule=rule, max_review_rate=0.2, thresholds={classes[1]: 0.5})
    unfitted = CostPolicy.from_dict(json.loads(json.dumps(policy.to_dict())))
    with pytest.raises(NotFittedError):
        unfitted.decide(PROBA)
    policy.fit(PROBA, classes=classes)
    text = json.dumps(policy.to_dict(), allow_nan=False)
    restored = CostPolicy.from_dict(json.loads(text))
    assert json.dumps(restored.to_dict()) == text
    for name in ("thresholds_", "watch_", "margin_", "expected_cost_", "shadow_price_", "costs_", "rule_"):
        assert getattr(restored, name) == getattr(policy, name)
    assert restored.explain(PROBA).to_records() == policy.explain(PROBA).to_records()
    assert unfitted.fit(PROBA, classes=classes).thresholds_ == policy.thresholds_


@pytest.mark.parametrize(
    "change",
    [
        lambda learned: learned.pop("shadow_price"),
        lambda learned: learned["thresholds"].pop("vpn"),
        lambda learned: learned.update(rule="best"),
        lambda learned: learned.update(extra=1),
        lambda learned: learned.update(shadow_price=-1),
    ],
)
def test_spoilt_json_is_refused(change):
    data = json.loads(json.dumps(fitted().to_dict()))
    change(data["learned"])
    with pytest.raises(ValueError):
        CostPolicy.from_dict(data)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"rule": "chow"}, "'rule'"),
        ({"cost_source": "y"}, "'cost_source'"),
        ({"max_review_rate": 1.5}, "'max_review_rate'"),
        ({"margin": "found"}, "'margin'.*'auto'"),
        ({"max_entropy": 2}, "'max_entropy'"),
        ({"thresholds": {"vpm": 0.5}}, "Did you mean 'vpn'"),
        ({"watch_order": "first"}, "'watch_order'"),
    ],
)
def test_bad_parameters_are_refused_by_check_and_fit(params, words):
    policy = CostPolicy(COSTS, **params)
    with pytest.raises(ValueError, match=words):
        policy.check(CLASSES)
    with pytest.raises(ValueError, match=words):
        policy.fit(PROBA, classes=CLASSES)


def test_bad_rows_are_refused_and_leave_the_policy_as_it_was():
    policy = fitted()
    before = policy.to_dict()
    with pytest.raises(ValueError, match="lacks cloud"):
        policy.fit(PROBA, classes=["unlock", "vpn", "cloud"])
    with pytest.raises(ValueError, match="positive weight"):
        policy.fit(PROBA, classes=CLASSES, sample_weight=np.zeros(len(PROBA)))
    with pytest.raises(ValueError, match="rows"):
        policy.fit(PROBA, Y[:3], classes=CLASSES)
    assert policy.to_dict() == before


def test_entries_are_parameters_and_a_clone_is_unfitted():
    policy = CostPolicy(COSTS, rule="thresholds", thresholds={"vpn": 0.9})
    copy = clone(policy).set_params(thresholds__vpn=0.7, watch__security=0.1, max_review_rate=0.5)
    assert policy.thresholds == {"vpn": 0.9}
    copy.fit(PROBA, classes=CLASSES)
    assert (copy.thresholds_["vpn"], copy.watch_["security"]) == (0.7, 0.1)
    assert not hasattr(clone(copy), "classes_")


def test_parameters_set_after_fit_change_no_route():
    policy = fitted(rule="thresholds")
    before = policy.decide(PROBA).tolist()
    assert policy.set_params(rule="bayes", costs=None).decide(PROBA).tolist() == before


def test_costs_as_dict_and_probabilities_as_frame():
    frame = pd.DataFrame(PROBA, columns=CLASSES)
    policy = CostPolicy({label: COSTS[label] for label in COSTS}).fit(frame[CLASSES[::-1]])
    assert policy.classes_.tolist() == CLASSES[::-1]
    assert policy.decide(frame).tolist() == fitted().decide(PROBA).tolist()


def test_audit_before_and_after_fit():
    assert fitted(rule="thresholds").audit().n_classes == 3
    assert CostPolicy(COSTS).audit(3).of("margin").status == "off"


@pytest.mark.parametrize("rule", RULES)
def test_two_classes_one_row_and_many_classes(rule):
    two = RoutingCosts.from_defaults([0, 1])
    assert CostPolicy(two, rule=rule).fit([[0.99, 0.01]]).decide([[0.99, 0.01], [0.5, 0.5]])[1] == "clarify"
    many = np.random.default_rng(0).dirichlet(np.full(30, 0.05), 300)
    policy = CostPolicy(RoutingCosts.from_defaults(range(30)), rule=rule, max_review_rate=0.3).fit(many)
    assert 0.2 < np.mean(policy.decide(many) != "auto") <= 0.3


def test_inside_the_classifier_and_a_search():
    X, y = load_wine(return_X_y=True)
    base = make_pipeline(StandardScaler(), LogisticRegression())
    policy = CostPolicy(RoutingCosts.from_defaults([0, 1, 2], wrong={2: 50, "*": 5}))
    router = RoutingClassifier(base, method="temperature", policy=policy)
    search = GridSearchCV(router, {"policy__rule": RULES, "policy__max_review_rate": [None, 0.5]}, cv=3).fit(X, y)
    assert set(search.predict_route(X) if hasattr(search, "predict_route") else ["auto"]) <= {
        "auto",
        "watch",
        "clarify",
    }
    fitted_router = router.set_params(policy__thresholds__1=math.inf).fit(X, y)
    table = fitted_router.explain_route(X)
    assert 1 not in table.label[table.route == "auto"]
    assert set(table.reason[(table.route != "auto") & (table.label == 1)]) <= {"never", "cost"}
