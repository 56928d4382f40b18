import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from strategies import WATCH_ORDERS, unhurried

from skroute import RoutePolicy, RoutingClassifier
from skroute.metrics import routing_cost
from skroute.policies import CostPolicy, RoutingCosts
from skroute.policies._cost_fit import OFF, GateSearch, Numbers, Rows
from skroute.routing._signals import measure

CLASSES = ["unlock", "vpn", "security"]
COSTS = RoutingCosts(
    {
        "unlock": {"unlock": 0, "vpn": 5, "security": 20, "watch": 4, "escalate": 8, "clarify": 3},
        "vpn": {"unlock": 5, "vpn": 0, "security": 20, "watch": 4, "escalate": 8, "clarify": 3},
        "security": {"unlock": 200, "vpn": 200, "security": 0, "watch": 5, "escalate": 1, "clarify": 60},
    }
)
MATRIX = COSTS.matrix(CLASSES)
RULES = ("bayes", "thresholds")
some = settings(unhurried, max_examples=40)


def draw(n, seed):
    """Calibrated rows: the labels are drawn from the probabilities."""
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet([0.6, 0.4, 0.06], n)
    y = (rng.random((n, 1)) > proba.cumsum(axis=1)).sum(axis=1)
    return proba, np.array(CLASSES)[y]


PROBA, Y = draw(1500, 0)


def fitted(proba=PROBA, **params):
    return CostPolicy(COSTS, **params).fit(proba, classes=CLASSES)


def expected(policy, proba):
    """The mean expected cost of the routes, written out."""
    table = policy.explain(proba)
    columns = [*CLASSES, "watch", "escalate", "clarify"]
    actions = [
        columns.index(label if route == "auto" else route)
        for label, route in zip(table.label, table.route, strict=True)
    ]
    return np.mean((proba @ MATRIX)[np.arange(len(proba)), actions])


def reviewed(policy, proba):
    return np.mean(policy.decide(proba) != "auto")


# What it costs


def test_bayes_takes_the_cheapest_action_of_every_row():
    policy = fitted()
    costs = PROBA @ MATRIX
    assert expected(policy, PROBA) == pytest.approx(costs.min(axis=1).mean())
    assert policy.expected_cost_ == pytest.approx(costs.min(axis=1).mean())
    assert policy.shadow_price_ == 0


def test_thresholds_cost_little_more_than_bayes_and_far_less_than_numbers_by_hand():
    new, _ = draw(20_000, 1)
    by_hand = RoutePolicy(watch={"security": 0.34}).fit(PROBA, classes=CLASSES)
    bayes, thresholds, hand = (expected(policy, new) for policy in (fitted(), fitted(rule="thresholds"), by_hand))
    assert bayes < thresholds < 1.05 * bayes
    assert hand > 1.2 * thresholds


@pytest.mark.parametrize("watch_order", WATCH_ORDERS)
@pytest.mark.parametrize("cost_source", ["proba", "labels"])
def test_fitted_cost_is_that_of_the_routes(watch_order, cost_source):
    policy = CostPolicy(COSTS, rule="thresholds", watch_order=watch_order, cost_source=cost_source)
    policy.fit(PROBA, Y, classes=CLASSES)
    truth = expected(policy, PROBA)
    if cost_source == "labels":
        truth = routing_cost(Y, policy.explain(PROBA), costs=COSTS)
    assert policy.expected_cost_ == pytest.approx(truth)


def test_thresholds_are_a_policy_that_gates_read():
    policy = fitted(rule="thresholds")
    names = ("thresholds", "watch", "margin", "max_entropy", "escalate_entropy", "watch_order")
    plain = RoutePolicy(**{name: getattr(policy, f"{name}_") for name in names}).fit(PROBA, classes=CLASSES)
    assert plain.decide(PROBA).tolist() == policy.decide(PROBA).tolist()
    assert set(policy.watch_) == {"security"}


def test_nothing_is_cheaper_near_the_thresholds_found():
    policy = fitted(rule="thresholds")
    for label in CLASSES:
        for level in (*np.linspace(0.3, 1, 8), math.inf):
            other = clone(policy).set_params(
                thresholds=policy.thresholds_ | {label: level},
                watch=policy.watch_ | {c: math.inf for c in CLASSES if c not in policy.watch_},
                margin=policy.margin_,
                max_entropy=policy.max_entropy_,
                escalate_entropy=policy.escalate_entropy_,
            )
            other.fit(PROBA, classes=CLASSES)
            assert other.thresholds_[label] == level
            assert other.expected_cost_ >= policy.expected_cost_ - 1e-12


@st.composite
def searches(draw):
    seed, n_classes = draw(st.integers(0, 10**6)), draw(st.integers(2, 4))
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.full(n_classes, 0.7), 25).round(draw(st.sampled_from([1, 6])))
    proba /= proba.sum(axis=1, keepdims=True)
    weight = rng.integers(1, 4, 25) / 50.0
    costs = rng.normal(size=(4, 25)) * weight
    rows = Rows(measure(proba), proba, costs[0], costs[1:], weight / weight.sum())
    free = np.full(n_classes, np.nan)
    search = GateSearch(rows, Numbers(free, free), frozenset(set(OFF) - {"watch"}), draw(st.sampled_from(WATCH_ORDERS)))
    level = st.sampled_from([0.0, 0.1, 0.25, 0.4, 0.6, 0.9])
    watch = np.array(draw(st.lists(level | st.just(math.inf), min_size=n_classes, max_size=n_classes)))
    numbers = Numbers(free, watch, draw(level), draw(level), draw(level | st.just(math.inf)))
    return search, search.swept(numbers)


@some
@given(searches())
def test_search_counts_what_the_gates_decide(case):
    search, (cost, numbers) = case
    classes = range(len(numbers.watch))
    plain = RoutePolicy(
        thresholds=dict(enumerate(numbers.thresholds)),
        watch=dict(enumerate(numbers.watch)),
        margin=numbers.margin,
        max_entropy=numbers.max_entropy,
        escalate_entropy=None if math.isinf(numbers.escalate_entropy) else numbers.escalate_entropy,
        watch_order=search.watch_order,
    )
    plain = RoutePolicy.from_dict(plain.to_dict() | {"classes": list(classes)})
    routes = plain.decide(search.rows.proba)
    by_route = dict(
        zip(("auto", "watch", "escalate", "clarify"), [search.rows.auto, *search.rows.persons], strict=True)
    )
    assert cost == pytest.approx(sum(by_route[route][i] for i, route in enumerate(routes)), abs=1e-9)
    assert cost == pytest.approx(search.cost(numbers), abs=1e-9)
    assert search.reviewed(numbers) == pytest.approx(search.rows.weight[routes != "auto"].sum())


@some
@given(searches(), st.sampled_from(["margin", "max_entropy", "escalate_entropy", "watch"]))
def test_line_search_finds_the_best_of_all_values(case, name):
    search, (_, numbers) = case
    signals = search.rows.signals
    values = {
        "margin": signals.margin, "max_entropy": signals.entropy, "escalate_entropy": signals.entropy,
        "watch": search.rows.proba[:, 0],
    }[name]  # fmt: skip
    levels = [*values, *([math.inf] if name in ("escalate_entropy", "watch") else [])]
    if name == "watch" and search.watch_order == "flag":
        return
    found = search.cost(search.on_line(numbers, name, 0))
    least = min(search.cost(numbers.but(name, 0, level)) for level in levels)
    # Where it would be best to route nothing the gate is left to the thresholds.
    assert found <= least + 1e-9 or found == pytest.approx(search.cost(numbers))


@some
@given(searches())
def test_search_is_never_worse_than_thresholds_alone_by_more_than_it_spares_numbers(case):
    search, _ = case
    alone = search.swept(search.start())[0]
    assert search.search()[0] <= alone + 1e-9


# The bound on reviews


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("rate", [0.02, 0.05, 0.15])
def test_bound_on_reviews_is_met_and_used(rule, rate):
    policy = fitted(rule=rule, max_review_rate=rate)
    assert rate - 0.02 <= reviewed(policy, PROBA) <= rate
    assert policy.shadow_price_ > 0
    assert policy.expected_cost_ == pytest.approx(expected(policy, PROBA))
    new, _ = draw(20_000, 1)
    assert reviewed(policy, new) <= rate + 4 * math.sqrt(rate * (1 - rate) / len(PROBA))


@pytest.mark.parametrize("rule", RULES)
def test_bound_that_does_not_bind_changes_nothing(rule):
    free, bounded = fitted(rule=rule), fitted(rule=rule, max_review_rate=1.0)
    assert bounded.shadow_price_ == 0
    assert bounded.thresholds_ == free.thresholds_


@pytest.mark.parametrize("rule", RULES)
def test_no_reviews_at_all(rule):
    assert reviewed(fitted(rule=rule, max_review_rate=0), PROBA) == 0


def test_shadow_price_is_what_one_more_review_saves():
    policies = [fitted(max_review_rate=k / len(PROBA)) for k in (150, 151)]
    saved = (policies[0].expected_cost_ - policies[1].expected_cost_) * len(PROBA)
    assert policies[1].shadow_price_ <= saved <= policies[0].shadow_price_


def test_bound_counts_weights():
    weight = np.random.default_rng(0).integers(0, 4, len(PROBA))
    for rule in RULES:
        policy = CostPolicy(COSTS, rule=rule, max_review_rate=0.1).fit(PROBA, classes=CLASSES, sample_weight=weight)
        assert 0.08 <= np.average(policy.decide(PROBA) != "auto", weights=weight) <= 0.1 + 1e-12


@pytest.mark.parametrize("rule", RULES)
def test_rows_that_are_all_alike_are_reviewed_all_or_not_at_all(rule):
    alike = np.full((40, 3), [0.5, 0.45, 0.05])
    assert reviewed(fitted(alike, rule=rule), alike) == 1
    assert reviewed(fitted(alike, rule=rule, max_review_rate=0.5), alike) == 0


@pytest.mark.parametrize("rule", RULES)
def test_bound_that_given_numbers_rule_out_is_refused(rule):
    with pytest.raises(ValueError, match=r"max_review_rate=0\.1 cannot be met.*given"):
        fitted(rule=rule, max_review_rate=0.1, margin=0.99)


# Weights, labels, given numbers


@pytest.mark.parametrize("rule", RULES)
def test_weights_are_repetitions(rule):
    weight = np.random.default_rng(1).integers(0, 4, 400)
    params = {"rule": rule, "max_review_rate": 0.2}
    weighted = CostPolicy(COSTS, **params).fit(PROBA[:400], classes=CLASSES, sample_weight=weight)
    repeated = CostPolicy(COSTS, **params).fit(np.repeat(PROBA[:400], weight, axis=0), classes=CLASSES)
    assert weighted.thresholds_ == pytest.approx(repeated.thresholds_)
    assert weighted.expected_cost_ == pytest.approx(repeated.expected_cost_)
    assert weighted.watch_ == repeated.watch_


def test_numbers_that_are_given_are_kept():
    given = {"thresholds": {"vpn": 0.9}, "watch": {"unlock": 0.95}, "margin": 0.2, "escalate_entropy": None}
    policy = fitted(rule="thresholds", **given)
    assert (policy.thresholds_["vpn"], policy.watch_["unlock"]) == (0.9, 0.95)
    assert (policy.margin_, policy.escalate_entropy_) == (0.2, None)
    assert policy.thresholds_["unlock"] < 0.9
    # It stays unwatched where that is asked for, although watching it would be cheaper.
    assert fitted(rule="thresholds", watch={"security": math.inf}).watch_["security"] == math.inf


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
    assert (table.route[0], table.label[0], table.reason[0]) == ("auto", "security", "passed")
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


@pytest.mark.parametrize("rule", RULES)
def test_labels_are_needed_only_where_they_count(rule):
    with pytest.raises(ValueError, match="needs the labels y"):
        fitted(rule=rule, cost_source="labels")
    with_y = CostPolicy(COSTS, rule=rule).fit(PROBA, Y, classes=CLASSES)
    assert with_y.thresholds_ == fitted(rule=rule).thresholds_


def test_expected_cost_by_labels_under_bayes():
    policy = CostPolicy(COSTS, cost_source="labels").fit(PROBA, Y, classes=CLASSES)
    assert policy.expected_cost_ == pytest.approx(routing_cost(Y, policy.explain(PROBA), costs=COSTS))


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


def test_large_fits_search_on_a_part_and_sweep_all():
    proba, _ = draw(30_000, 5)
    for rate in (None, 0.1):
        bayes, policy = (fitted(proba, rule=rule, max_review_rate=rate) for rule in RULES)
        assert bayes.expected_cost_ <= policy.expected_cost_ <= 1.05 * bayes.expected_cost_
        assert rate is None or 0.09 < reviewed(policy, proba) <= 0.1


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
