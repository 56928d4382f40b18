import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import WATCH_ORDERS, gates, n_classes, plain_entropy, plain_route, rows, unhurried

from skroute.routing._gates import ROUTES, Gates

forms = {"dtype": st.sampled_from(["f4", "f8"]), "order": st.sampled_from("CF")}


def decide(proba, *, thresholds, watch, **numbers):
    decision = Gates(thresholds=np.array(thresholds), watch=np.array(watch), **numbers).decide(proba)
    return [ROUTES[route] for route in decision.route]


def lesson_gates(n_classes=3, **changes):
    defaults = {
        "thresholds": [0.80] * n_classes,
        "watch": [math.inf] * n_classes,
        "margin": 0.30,
        "max_entropy": 0.45,
        "escalate_entropy": 0.80,
        "watch_order": "before",
    }
    return defaults | changes


def lattice(n_classes, step):
    """Every row whose probabilities are multiples of 1 / step."""
    weights = [w for w in itertools.product(range(step + 1), repeat=n_classes) if sum(w) == step]
    return np.array(weights) / step


@unhurried
@given(data=st.data(), n_classes=n_classes, **forms)
def test_routes_equal_the_plain_definition(data, n_classes, dtype, order):
    proba = np.asarray(data.draw(rows(n_classes)), dtype=dtype, order=order)
    numbers = data.draw(gates(n_classes))
    assert decide(proba, **numbers) == [plain_route(row, **numbers) for row in proba.tolist()]


@unhurried
@given(data=st.data(), n_classes=n_classes, **forms)
def test_routes_equal_the_plain_definition_on_every_edge(data, n_classes, dtype, order):
    proba = np.asarray(data.draw(rows(n_classes, max_rows=2)), dtype=dtype, order=order)
    cells = [float(p) for p in proba.ravel()]
    tops = [sorted(row)[-2:] for row in proba.tolist()]
    exact = st.sampled_from(cells).flatmap(
        lambda p: st.sampled_from([p, math.nextafter(p, 2), max(math.nextafter(p, -1), 0)])
    )
    shift = st.sampled_from([0.0, 5e-13, -5e-13, 1e-9, -1e-9])

    def near(values):
        return st.builds(lambda value, d: value + d, st.sampled_from(values), shift)

    entropies = near([plain_entropy(row) for row in proba.tolist()])
    numbers = data.draw(gates(n_classes)) | {
        "thresholds": data.draw(st.lists(exact, min_size=n_classes, max_size=n_classes)),
        "watch": data.draw(st.lists(exact | st.just(math.inf), min_size=n_classes, max_size=n_classes)),
        "margin": data.draw(st.none() | near([first - second for second, first in tops])),
        "max_entropy": data.draw(st.none() | entropies),
        "escalate_entropy": data.draw(st.none() | entropies),
    }
    assert decide(proba, **numbers) == [plain_route(row, **numbers) for row in proba.tolist()]


def test_confidence_is_compared_without_slack():
    just_under = math.nextafter(0.8, 0)
    proba = np.array([[0.8, 0.2], [just_under, 1 - just_under]])
    numbers = lesson_gates(2, margin=None, max_entropy=None, escalate_entropy=None)
    assert decide(proba, **numbers) == ["auto", "clarify"]


def test_float32_confidence_is_compared_at_its_own_value():
    proba = np.array([[0.7, 0.3], [0.8, 0.2]], dtype=np.float32)
    numbers = lesson_gates(2, margin=None, max_entropy=None, escalate_entropy=None)
    # float32(0.7) lies under 0.7, float32(0.8) over 0.8.
    assert decide(proba, **numbers | {"thresholds": [0.7, 0.7]}) == ["clarify", "auto"]
    assert decide(proba, **numbers) == ["clarify", "auto"]


@pytest.mark.parametrize(("excess", "route"), [(1e-13, "auto"), (1e-11, "clarify")])
def test_margin_and_entropy_have_a_slack_of_1e_12(excess, route):
    proba = np.array([[0.9, 0.06, 0.04]])
    ungated = lesson_gates(margin=None, max_entropy=None)
    assert decide(proba, **ungated | {"margin": 0.84 + excess}) == [route]
    assert decide(proba, **ungated | {"max_entropy": plain_entropy([0.9, 0.06, 0.04]) - excess}) == [route]


def test_escalation_has_a_slack_of_1e_12():
    row = [0.5, 0.3, 0.2]
    on_the_edge = [plain_entropy(row) + excess for excess in (1e-13, 1e-11)]
    routes = [decide(np.array([row]), **lesson_gates(escalate_entropy=level)) for level in on_the_edge]
    assert routes == [["escalate"], ["clarify"]]


@unhurried
@given(data=st.data(), n_classes=n_classes)
def test_before_never_auto_routes_under_a_watch_for_another_class(data, n_classes):
    proba = data.draw(rows(n_classes))
    numbers = data.draw(gates(n_classes)) | {"watch_order": "before"}
    for row, route in zip(proba, decide(proba, **numbers), strict=True):
        others = [c for c in range(n_classes) if c != np.argmax(row)]
        if any(row[c] >= numbers["watch"][c] for c in others):
            assert route == "watch"


@unhurried
@given(data=st.data(), n_classes=n_classes)
def test_watches_in_flag_order_change_no_route(data, n_classes):
    proba = data.draw(rows(n_classes))
    numbers = data.draw(gates(n_classes)) | {"watch_order": "flag"}
    assert decide(proba, **numbers) == decide(proba, **numbers | {"watch": [math.inf] * n_classes})


def test_before_and_after_agree_on_every_row_at_the_lessons_numbers():
    proba = lattice(3, 200)
    for level in (0.34, 0.38):
        numbers = lesson_gates(watch=[math.inf, math.inf, level])
        before, after = (decide(proba, **numbers | {"watch_order": order}) for order in ("before", "after"))
        assert before == after
        assert set(before) == set(ROUTES)


def test_before_and_after_differ_where_an_auto_row_is_watched():
    proba = np.array([[0.85, 0.0, 0.15]])
    routes = [
        decide(proba, **lesson_gates(watch=[math.inf, math.inf, 0.15], watch_order=order)) for order in WATCH_ORDERS
    ]
    assert routes == [["watch"], ["auto"], ["auto"], ["auto"]]


@pytest.mark.parametrize("watch_order", WATCH_ORDERS)
def test_a_watch_for_the_top_class_does_not_stop_an_auto_row(watch_order):
    numbers = lesson_gates(watch=[0.5, math.inf, math.inf], watch_order=watch_order)
    assert decide(np.array([[0.95, 0.03, 0.02]]), **numbers) == ["auto"]


def test_every_fired_watch_is_reported_whatever_the_order():
    proba = np.array([[0.95, 0.03, 0.02], [0.50, 0.30, 0.20], [0.34, 0.33, 0.33]])
    levels = np.array([np.inf, 0.25, 0.15])
    for order in WATCH_ORDERS:
        policy = Gates(**lesson_gates(thresholds=np.full(3, 0.8), watch=levels, watch_order=order))
        # 0.30 and 0.20 both exceed their levels by 0.05 but for rounding; 0.33 is 0.08 and 0.18 over.
        assert policy.decide(proba).watch.tolist()[::2] == [-1, 2]
        assert policy.decide(proba).watch[1] in (1, 2)


def test_the_larger_excess_is_reported_not_the_larger_probability():
    policy = Gates(**lesson_gates(thresholds=np.full(3, 0.8), watch=np.array([np.inf, 0.30, 0.10])))
    assert policy.decide(np.array([[0.45, 0.32, 0.23]])).watch.tolist() == [2]


def test_a_gate_that_is_off_passes_every_row():
    decision = Gates(
        **lesson_gates(thresholds=np.zeros(3), watch=np.full(3, np.inf), margin=None, max_entropy=None)
    ).decide(lattice(3, 10))
    assert decision.passed_margin.all()
    assert decision.passed_entropy.all()
    assert {ROUTES[route] for route in decision.route} == {"auto"}


def test_an_infinite_threshold_never_auto_routes():
    numbers = lesson_gates(thresholds=[math.inf, 0.8, 0.8])
    assert decide(np.eye(3), **numbers) == ["clarify", "auto", "auto"]


@pytest.mark.parametrize("watch_order", WATCH_ORDERS)
def test_no_rows_have_no_routes(watch_order):
    numbers = lesson_gates(watch=[0.3, math.inf, math.inf], watch_order=watch_order)
    assert decide(np.empty((0, 3)), **numbers) == []
