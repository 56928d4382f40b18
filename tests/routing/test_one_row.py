import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from routing.hard_cases import hard_gates, hard_rows, lesson_gates
from strategies import WATCH_ORDERS, gates, n_classes, rows, unhurried

from skroute import RoutePolicy
from skroute._rows import check_rows
from skroute.routing._gates import ROUTES, Gates
from skroute.routing._one_row import MOST_CLASSES, NOISE, route_of_row
from skroute.routing._signals import measure


def route_by(gates, row):
    """Return what a policy with these numbers finds, which knows them by class."""
    names = [f"class {c}" for c in range(len(gates.thresholds))]
    watch = {name: level for name, level in zip(names, gates.watch.tolist(), strict=True) if level < math.inf}
    policy = SimpleNamespace(
        classes_=np.array(names), thresholds_=dict(zip(names, gates.thresholds.tolist(), strict=True)), watch_=watch,
        margin_=gates.margin, max_entropy_=gates.max_entropy, escalate_entropy_=gates.escalate_entropy,
        watch_order_=gates.watch_order,
    )  # fmt: skip
    return route_of_row(policy, row.tolist())


def assert_same_route(policy, proba):
    """Assert the route of each row to be that of the plain code, or to be left to it; return the share that is."""
    left = 0
    for row in proba:
        found = route_by(policy, row)
        left += found is None
        expected = policy.decide(check_rows(row[np.newaxis], "proba")).route[0]
        assert found is None or found == expected, (policy, row.tolist())
    return left / len(proba)


@unhurried
@given(data=st.data(), n_classes=n_classes, dtype=st.sampled_from(["f4", "f8"]))
def test_the_route_is_that_of_the_plain_code(data, n_classes, dtype):
    numbers = data.draw(gates(n_classes))
    numbers |= {name: np.array(numbers[name]) for name in ("thresholds", "watch")}
    assert_same_route(Gates(**numbers), np.asarray(data.draw(rows(n_classes)), dtype=dtype))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n_classes", [2, 3, 10, MOST_CLASSES])
def test_the_route_is_that_of_the_plain_code_on_hard_rows(n_classes, dtype):
    rng = np.random.default_rng(n_classes)
    for _ in range(4):
        proba = hard_rows(n_classes, rng).astype(dtype)
        assert_same_route(hard_gates(proba, rng), proba)
        assert_same_route(lesson_gates(n_classes, watch_order=str(rng.choice(WATCH_ORDERS))), proba)


def test_few_rows_are_left_to_the_plain_code():
    proba = np.random.default_rng(0).dirichlet(np.full(10, 0.3), 500)
    assert assert_same_route(lesson_gates(10), proba) == 0.0


@pytest.mark.parametrize("name", ["max_entropy", "escalate_entropy"])
def test_a_row_on_the_level_of_an_entropy_is_left_to_the_plain_code(name):
    row = np.array([[0.6, 0.3, 0.1]])
    level = float(measure(row).entropy[0])
    ungated = {"thresholds": np.zeros(3), "watch": np.full(3, np.inf), "margin": None, "watch_order": "before"}
    off = {"thresholds": np.full(3, np.inf)} if name == "escalate_entropy" else {}
    for distance, left in ((0.0, True), (0.5 * NOISE, True), (2.0 * NOISE, False)):
        numbers = {"max_entropy": None, "escalate_entropy": None, name: level + distance}
        assert (route_by(Gates(**ungated | numbers | off), row[0]) is None) == left


@pytest.mark.parametrize(
    "row", [[0.5, math.nan], [math.nan, 0.5], [1.5, -0.5], [0.5, 0.4], [math.inf, 0.0], [1e-9, 1.0]]
)
def test_what_is_no_probability_is_left_to_the_plain_code(row):
    found = route_by(lesson_gates(2), np.array(row))
    assert (found is None) == (row != [1e-9, 1.0])


@pytest.mark.parametrize("n_classes", [2, 10, MOST_CLASSES, MOST_CLASSES + 1])
def test_a_policy_routes_one_row_as_it_routes_many(n_classes):
    proba = hard_rows(n_classes, np.random.default_rng(1))
    policy = RoutePolicy(watch={0: 0.3}).fit(proba)
    proba = np.concatenate([proba, proba[:40]])
    one_by_one = np.concatenate([policy.decide(row[np.newaxis]) for row in proba])
    assert one_by_one.dtype == np.array(ROUTES).dtype
    np.testing.assert_array_equal(one_by_one, policy.decide(proba))
    for n_rows in range(2, 20):
        np.testing.assert_array_equal(one_by_one[:n_rows], policy.decide(proba[:n_rows]))
    # What is returned is the caller's own.
    policy.decide(proba[:1])[:] = "other"
    assert policy.decide(proba[:1]) == one_by_one[:1]


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_numbers_that_were_put_in_are_of_any_type(kind):
    """A Python float is compared with a float32 in float32, an array of floats is not."""
    rows = np.array([[0.6, 0.3, 0.1]] * 40)
    off = {"margin": None, "max_entropy": None, "escalate_entropy": None}
    for name, level in (("thresholds_", 0.6), ("watch_", 0.3)):
        policy = RoutePolicy(threshold=0.5, **off).fit(rows, classes=["a", "b", "c"])
        getattr(policy, name)["a" if name == "thresholds_" else "b"] = kind(level)
        assert policy.decide(rows[:1]).tolist() * 40 == policy.decide(rows).tolist()


def test_a_watch_that_was_put_in_for_no_class_is_none():
    rows = np.array([[0.6, 0.3, 0.1]] * 40)
    policy = RoutePolicy().fit(rows, classes=["a", "b", "c"])
    policy.watch_["d"] = 0.2
    assert policy.decide(rows[:1]).tolist() * 40 == policy.decide(rows).tolist()
