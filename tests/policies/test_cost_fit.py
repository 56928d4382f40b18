import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import WATCH_ORDERS, unhurried

from skroute import RoutePolicy
from skroute.policies._cost_fit import OFF, GateSearch, Numbers, Rows
from skroute.routing._signals import measure

some = settings(unhurried, max_examples=40)


@st.composite
def searches(draw):
    seed, n_classes = draw(st.integers(0, 10**6)), draw(st.integers(2, 4))
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.full(n_classes, 0.7), 25).round(draw(st.sampled_from([1, 6])))
    proba /= proba.sum(axis=1, keepdims=True)
    weight = rng.integers(1, 4, 25) / 50.0
    costs = rng.normal(size=(4, 25)) * weight
    rows = Rows(measure(proba), proba, costs[0], costs[1:], weight / weight.sum(), float(len(proba)))
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
