import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from skroute import RoutePolicy, RoutingClassifier
from skroute.metrics import RouteScorer, compare_policies, routing_cost
from skroute.policies import RoutingCosts

CLASSES = ["attack", "unlock", "vpn"]
COSTS = {
    "attack": {"attack": 0, "unlock": 50, "vpn": 45, "watch": 1, "escalate": 4, "clarify": 6},
    "unlock": {"attack": 7, "unlock": 0, "vpn": 3, "watch": 2.5, "escalate": 2, "clarify": 1},
    "vpn": {"attack": 8, "unlock": 5, "vpn": -0.5, "watch": 2.2, "escalate": 1.7, "clarify": 0.9},
}


@pytest.fixture
def routed():
    rng = np.random.default_rng(1)
    proba = rng.dirichlet([0.25, 0.4, 0.4], size=300)
    truth = np.array([rng.choice(CLASSES, p=row**0.6 / (row**0.6).sum()) for row in proba])
    table = RoutePolicy(watch={"attack": 0.3}).fit(proba, classes=CLASSES).explain(proba)
    assert set(table.route) == {"auto", "watch", "escalate", "clarify"}
    return truth, table, rng.integers(0, 4, size=300)


def cost_by_loop(truth, table, weight, costs):
    total = 0.0
    for true, route, label, w in zip(truth, table.route, table.label, weight, strict=True):
        total += w * costs[true][label if route == "auto" else route]
    return total / sum(weight)


def two_costs(wrong, review):
    people = dict.fromkeys(["watch", "escalate", "clarify"], review)
    return {true: {label: wrong * (label != true) for label in CLASSES} | people for true in CLASSES}


@pytest.mark.parametrize("weighted", [False, True])
def test_a_full_table_agrees_with_a_loop_over_rows(routed, weighted):
    truth, table, weight = routed
    expected = cost_by_loop(truth, table, weight if weighted else np.ones(300), COSTS)
    found = routing_cost(truth, table, costs=COSTS, sample_weight=weight if weighted else None)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("costs", [(10.0, 1.0), (3.0, 0.0), (0, 2), (np.float32(0.5), 7)])
def test_two_costs_are_a_table_in_short(routed, costs):
    truth, table, weight = routed
    wrong, review = costs
    found = routing_cost(truth, table, wrong_cost=wrong, review_cost=review, sample_weight=weight)
    assert found == pytest.approx(cost_by_loop(truth, table, weight, two_costs(wrong, review)), rel=1e-12)
    assert found == pytest.approx(
        routing_cost(truth, table, costs=two_costs(wrong, review), sample_weight=weight), rel=1e-12
    )


def test_a_wrong_row_costs_ten_reviews_by_default(routed):
    truth, table, _ = routed
    assert routing_cost(truth, table) == pytest.approx(cost_by_loop(truth, table, np.ones(300), two_costs(10, 1)))


@pytest.mark.parametrize("costs", [None, COSTS])
def test_whole_weights_are_repetitions(routed, costs):
    truth, table, weight = routed
    rows = np.repeat(np.arange(300), weight)
    by_weight = routing_cost(truth, table, costs=costs, sample_weight=weight)
    assert by_weight == pytest.approx(routing_cost(truth[rows], table[rows], costs=costs), rel=1e-12)
    assert by_weight != pytest.approx(routing_cost(truth, table, costs=costs))


def test_the_table_may_name_classes_and_actions_in_any_order_and_more_classes_than_occur(routed):
    truth, table, _ = routed
    shuffled = {true: dict(reversed(by_action.items())) for true, by_action in reversed(COSTS.items())}
    more = {true: by_action | {"mail": 9} for true, by_action in COSTS.items()}
    more["mail"] = dict.fromkeys(more["vpn"], 1)
    expected = routing_cost(truth, table, costs=COSTS)
    assert routing_cost(truth, table, costs=shuffled) == expected
    assert routing_cost(truth, table, costs=more) == expected


@pytest.mark.parametrize("make", [list, pl.Series, lambda y: pd.Series(y, index=range(7, 307)), np.array])
@pytest.mark.parametrize("costs", [None, COSTS])
def test_the_truth_may_come_in_any_container(routed, make, costs):
    truth, table, _ = routed
    assert routing_cost(make(truth.tolist()), table, costs=costs) == routing_cost(truth, table, costs=costs)


@pytest.mark.parametrize("labels", [[False, True], [0, 1], [1.5, 2.5]], ids=["bool", "int", "float"])
def test_labels_of_any_type_have_their_costs(labels):
    proba = [[0.97, 0.03], [0.99, 0.01], [0.4, 0.6], [0.02, 0.98]]
    table = RoutePolicy().fit(proba, classes=labels).explain(proba)
    people = {"watch": 1, "escalate": 1, "clarify": 1}
    costs = {labels[0]: {labels[0]: 0, labels[1]: 4} | people, labels[1]: {labels[0]: 20, labels[1]: 0} | people}
    truth = [labels[0], labels[1], labels[1], labels[0]]
    assert routing_cost(truth, table, costs=costs) == (0 + 20 + 1 + 4) / 4
    assert routing_cost(truth, table) == (0 + 10 + 1 + 10) / 4


def without(action):
    return COSTS | {"vpn": {name: cost for name, cost in COSTS["vpn"].items() if name != action}}


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        (without("unlock"), r"costs\['vpn'\] must give a finite cost to the action 'unlock'"),
        (without("clarify"), r"costs\['vpn'\] must give a finite cost to the action 'clarify'"),
        (COSTS | {"vpn": COSTS["vpn"] | {"watch": np.nan}}, "finite cost to the action 'watch'"),
        (COSTS | {"vpn": COSTS["vpn"] | {"watch": np.inf}}, "finite cost to the action 'watch'"),
        (COSTS | {"vpn": COSTS["vpn"] | {"watch": None}}, "finite cost to the action 'watch'"),
        (COSTS | {"vpn": COSTS["vpn"] | {"escallate": 1}}, "escallate"),
        (COSTS | {"watch": COSTS["vpn"]}, "classes named like actions: watch"),
        (COSTS | {"vpn": 3}, r"costs\['vpn'\] must be a dict of action to cost, got 3"),
        ({name: COSTS[name] for name in ["attack", "unlock"]}, "a row for every class; vpn"),
        ({}, "not a class"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_tables_are_named(routed, costs, message):
    truth, table, _ = routed
    with pytest.raises(ValueError, match=message):
        routing_cost(truth, table, costs=costs)


@pytest.mark.parametrize("costs", [None, COSTS], ids=["two costs", "table"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: {"y_true": y[:3]}, "as many rows, at least one: 3 and 300"),
        (lambda y: {"y_true": np.column_stack([y, y])}, "one-dimensional"),
        (lambda y: {"y_true": np.append(y[1:].astype(object), None)}, "without missing values"),
        (lambda y: {"y_true": np.append(y[1:].astype(object), np.nan)}, "without missing values"),
        (lambda y: {"y_true": np.append(np.zeros(299), np.nan)}, "must not hold NaN; row 299 does"),
        (lambda y: {"sample_weight": np.ones(3)}, "300 rows, got 3 weights"),
        (lambda y: {"sample_weight": -np.ones(300)}, "not negative"),
        (lambda y: {"sample_weight": np.full(300, np.nan)}, "finite"),
        (lambda y: {"sample_weight": np.zeros(300)}, "positive in at least one row"),
    ],
)
def test_bad_input_is_named(routed, costs, change, message):
    truth, table, _ = routed
    with pytest.raises(ValueError, match=message):
        routing_cost(**({"y_true": truth, "routes": table} | change(truth)), costs=costs)


def test_a_label_outside_the_table_of_costs_is_refused(routed):
    truth, table, _ = routed
    with pytest.raises(ValueError, match="y_true names 'mail', which is not a class"):
        routing_cost(np.where(truth == "vpn", "mail", truth), table, costs=COSTS)


def test_no_rows_are_refused(routed):
    truth, table, _ = routed
    with pytest.raises(ValueError, match="at least one: 0 and 0"):
        routing_cost(truth[:0], table[:0])


@pytest.mark.parametrize("name", ["wrong_cost", "review_cost"])
@pytest.mark.parametrize("cost", [-1.0, np.nan, np.inf, "high", None, [1.0], 1j, True])
def test_costs_are_numbers_of_at_least_zero(routed, name, cost):
    truth, table, _ = routed
    with pytest.raises(ValueError, match=f"'{name}' parameter"):
        routing_cost(truth, table, **{name: cost})


def test_a_full_table_leaves_the_routes_as_they_are():
    proba = [[0.97, 0.03], [0.4, 0.6]]
    routes = RoutePolicy().fit(proba, classes=[0, 1]).explain(proba)
    table = {y: {0: 1, 1: 1, "watch": 1, "escalate": 1, "clarify": 1} for y in (0, 1)}
    assert routing_cost([0, 1], routes, costs=table) == 1.0
    assert routes.label.tolist() == [0, 1]


@pytest.mark.parametrize("costs", [[1], "x", 3])
def test_costs_are_a_dict(routed, costs):
    truth, table, _ = routed
    with pytest.raises(ValueError, match="'costs' parameter of routing_cost must be a dict"):
        routing_cost(truth, table, costs=costs)


@pytest.mark.parametrize("cost", ["x", "3", True, 1j])
def test_a_cost_in_the_table_is_a_number(routed, cost):
    truth, table, _ = routed
    with pytest.raises(ValueError, match="finite cost to the action 'watch'"):
        routing_cost(truth, table, costs=COSTS | {"vpn": COSTS["vpn"] | {"watch": cost}})


FRAME = pd.DataFrame.from_dict(COSTS, orient="index")


@pytest.mark.parametrize(
    "frame", [FRAME, FRAME.T, pl.DataFrame(FRAME.reset_index().to_dict("list"))], ids=["rows", "turned", "polars"]
)
def test_a_frame_is_told_to_become_a_table_of_costs_and_not_shown(routed, frame):
    truth, table, _ = routed
    demand = "must be a dict of true class to dict of action to cost, got a DataFrame; pass "
    with pytest.raises(ValueError, match=demand) as caught:
        routing_cost(truth, table, costs=frame)
    assert str(caught.value).endswith("pass skroute.policies.RoutingCosts(frame).")
    assert len(str(caught.value)) < 200
    policy = RoutePolicy().fit(np.eye(3), classes=CLASSES)
    with pytest.raises(ValueError, match=demand):
        compare_policies({"policy": policy}, np.eye(3), CLASSES, costs=frame)
    router = RoutingClassifier(LogisticRegression()).fit(np.eye(3)[[0, 1, 2] * 8], CLASSES * 8)
    with pytest.raises(ValueError, match=demand):
        RouteScorer(costs=frame)(router, np.eye(3), CLASSES)


def test_the_advice_for_a_frame_helps(routed):
    truth, table, _ = routed
    assert routing_cost(truth, table, costs=RoutingCosts(FRAME)) == routing_cost(truth, table, costs=COSTS)


def test_rows_of_a_frame_are_not_shown(routed):
    truth, table, _ = routed
    with pytest.raises(ValueError, match=r"costs\['attack'\] must be a dict of action to cost, got a Series\.$"):
        routing_cost(truth, table, costs=FRAME.T.to_dict("series"))


def test_a_turned_dict_is_named(routed):
    truth, table, _ = routed
    with pytest.raises(ValueError, match="the table looks transposed, its keys must be the true classes"):
        routing_cost(truth, table, costs=FRAME.to_dict())
