import math

import numpy as np
import pytest
from policies.cost_helpers import CLASSES, COSTS, MATRIX, PROBA, RULES, Y, draw, expected, fitted, reviewed
from sklearn.base import clone
from strategies import WATCH_ORDERS

from skroute import RoutePolicy
from skroute.metrics import routing_cost
from skroute.policies import CostPolicy, RoutingCosts

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


def test_large_fits_search_on_a_part_and_sweep_all():
    proba, _ = draw(30_000, 5)
    for rate in (None, 0.1):
        bayes, policy = (fitted(proba, rule=rule, max_review_rate=rate) for rule in RULES)
        assert bayes.expected_cost_ <= policy.expected_cost_ <= 1.05 * bayes.expected_cost_
        assert rate is None or 0.09 < reviewed(policy, proba) <= 0.1


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


def test_one_row_is_taken_off_the_bound_for_every_number_that_is_found():
    free = fitted(rule="thresholds")
    found = sum(np.isfinite(list(free.thresholds_.values()))) + len(free.watch_)
    found += sum(level is not None for level in (free.margin_, free.max_entropy_, free.escalate_entropy_))
    assert found >= 3
    for most in (150, 250):
        policy = fitted(rule="thresholds", max_review_rate=most / len(PROBA))
        assert round(reviewed(policy, PROBA) * len(PROBA)) <= most - found
        # Numbers that are given fit no rows.
        given = {"margin": None, "max_entropy": None, "escalate_entropy": None, "watch": dict.fromkeys(CLASSES, np.inf)}
        given["thresholds"] = {"unlock": 0.9, "vpn": 0.9, "security": 0.0}
        share = reviewed(fitted(rule="thresholds", **given), PROBA)
        assert reviewed(fitted(rule="thresholds", max_review_rate=share, **given), PROBA) == share


def test_a_share_that_lies_on_the_bound_meets_it_however_it_is_added_up():
    # Three of five rows less one for the threshold that is found: two of five, which one row of weight two is.
    costs = RoutingCosts.from_defaults(["a", "b"], wrong=10, review=1)
    off = {"margin": None, "max_entropy": None, "escalate_entropy": None, "watch": {"a": np.inf, "b": np.inf}}
    policy = CostPolicy(costs, rule="thresholds", max_review_rate=0.6, **off)
    proba, weight = np.array([[0.85, 0.15], [0.29, 0.71]]), [2, 3]
    weighted = clone(policy).fit(proba, classes=["a", "b"], sample_weight=weight)
    repeated = clone(policy).fit(np.repeat(proba, weight, axis=0), classes=["a", "b"])
    assert weighted.thresholds_ == repeated.thresholds_
    assert weighted.expected_cost_ == pytest.approx(repeated.expected_cost_)


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("rate", [0.05, 0.15])
def test_bound_holds_on_new_rows(rule, rate):
    new, _ = draw(20_000, 1)
    excess = [
        reviewed(fitted(draw(500, seed)[0], rule=rule, max_review_rate=rate), new) - rate for seed in range(100, 130)
    ]
    assert np.mean(excess) <= 2.5 * np.std(excess, ddof=1) / math.sqrt(len(excess))


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


@pytest.mark.parametrize("rule", RULES)
def test_labels_are_needed_only_where_they_count(rule):
    with pytest.raises(ValueError, match="needs the labels y"):
        fitted(rule=rule, cost_source="labels")
    with_y = CostPolicy(COSTS, rule=rule).fit(PROBA, Y, classes=CLASSES)
    assert with_y.thresholds_ == fitted(rule=rule).thresholds_


def test_expected_cost_by_labels_under_bayes():
    policy = CostPolicy(COSTS, cost_source="labels").fit(PROBA, Y, classes=CLASSES)
    assert policy.expected_cost_ == pytest.approx(routing_cost(Y, policy.explain(PROBA), costs=COSTS))


def test_numbers_that_are_given_are_kept():
    given = {"thresholds": {"vpn": 0.9}, "watch": {"unlock": 0.95}, "margin": 0.2, "escalate_entropy": None}
    policy = fitted(rule="thresholds", **given)
    assert (policy.thresholds_["vpn"], policy.watch_["unlock"]) == (0.9, 0.95)
    assert (policy.margin_, policy.escalate_entropy_) == (0.2, None)
    assert policy.thresholds_["unlock"] < 0.9
    # It stays unwatched where that is asked for, although watching it would be cheaper.
    assert fitted(rule="thresholds", watch={"security": math.inf}).watch_["security"] == math.inf
