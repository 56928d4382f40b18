import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from routing.hard_cases import hard_gates, hard_rows, lesson_gates
from strategies import WATCH_ORDERS, gates, n_classes, rows, unhurried

from skroute._estimates import MOST_ERROR, Estimates
from skroute.routing import _rough_routes
from skroute.routing._gates import ROUTES, Gates
from skroute.routing._rough_routes import rough_routes

ERRORS = (MOST_ERROR, 1e-5, 1e-7)


def off_by(proba, error, rng):
    """Return what is off by up to a share of itself, often by all of it, and the larger values the same way or not."""
    share = rng.choice([-1.0, 1.0, 0.0, rng.uniform(-1, 1)], proba.shape, p=[0.4, 0.4, 0.1, 0.1])
    # As float32 rounds by more than the least of the errors leaves.
    return (proba * (1.0 + (error - 6e-8) * share)).astype(np.float32)


def estimates_of(proba, error, rng, n_rows=50, n_tail=2):
    n_estimated = max(len(proba) - n_tail, 0)
    asked = []

    def estimate(rows):
        return off_by(proba[rows], error, rng) if rows.stop <= n_estimated else None

    def exact(rows):
        asked.append(np.arange(len(proba))[rows])
        return proba[rows]

    return Estimates(len(proba), n_estimated, n_rows, error, estimate, exact), asked


def assert_same_routes(policy, proba, rng, **options):
    # Exact rows sum to one.
    proba = proba / proba.sum(axis=1, keepdims=True)
    expected = np.array(ROUTES)[policy.decide(proba).route]
    for error in ERRORS:
        found = rough_routes(policy, estimates_of(proba, error, rng, **options)[0])
        assert found.dtype == expected.dtype
        assert_array_equal(found, expected)


@unhurried
@given(data=st.data(), n_classes=n_classes, seed=st.integers(0, 2**32 - 1))
def test_routes_are_those_of_the_exact_rows(data, n_classes, seed):
    proba = np.asarray(data.draw(rows(n_classes)))
    numbers = data.draw(gates(n_classes))
    numbers |= {name: np.array(numbers[name]) for name in ("thresholds", "watch")}
    assert_same_routes(Gates(**numbers), proba, np.random.default_rng(seed))


@pytest.mark.parametrize("n_classes", [2, 3, 9, 18, 20, 26, 30, 77, 300])
def test_routes_of_hard_rows_are_those_of_the_exact_rows(n_classes):
    rng = np.random.default_rng(n_classes)
    for _ in range(25):
        proba = hard_rows(n_classes, rng)
        assert_same_routes(hard_gates(proba / proba.sum(axis=1, keepdims=True), rng), proba, rng)
        order = str(rng.choice(WATCH_ORDERS))
        assert_same_routes(lesson_gates(n_classes, watch_order=order), proba, rng, n_rows=1000)
        levels = rng.choice([0.3, 0.45, 0.6, 0.8, np.inf], n_classes)
        watch = np.where(rng.random(n_classes) < rng.choice([0.1, 1.0]), rng.choice([0.05, 0.3, 0.45]), np.inf)
        every = lesson_gates(n_classes, thresholds=levels, watch=watch, watch_order=order, margin=0.05)
        assert_same_routes(every, proba, rng, n_rows=1000)


@pytest.mark.parametrize("n_classes", [3, 9, 20, 30])
def test_routes_are_right_where_few_thresholds_differ(n_classes):
    rng = np.random.default_rng(n_classes)
    for common, *others in [(0.8, 0.6, 0.95), (0.6, 0.55, np.inf), (0.8, 0.45, 0.34), (0.3, 0.9, 0)]:
        thresholds = np.full(n_classes, common)
        thresholds[rng.choice(n_classes, 2, replace=False)] = others
        proba = hard_rows(n_classes, rng, (0.3, 0.34, 0.45, *thresholds[(thresholds > 0) & (thresholds < 1)]))
        for order in WATCH_ORDERS:
            assert_same_routes(lesson_gates(n_classes, thresholds=thresholds, watch_order=order), proba, rng)
        assert_same_routes(lesson_gates(n_classes, thresholds=thresholds, margin=None, max_entropy=None), proba, rng)


def test_few_rows_are_asked_for():
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.full(20, 0.1), 5000)
    for order in WATCH_ORDERS:
        estimates, asked = estimates_of(proba, 1e-5, rng, n_rows=5000)
        rough_routes(lesson_gates(20, watch_order=order), estimates)
        # Those that cannot be estimated come by themselves.
        *doubtful, tail = asked if len(asked[-1]) == 2 else asked[::-1]
        assert_array_equal(tail, [4998, 4999])
        assert sum(map(len, doubtful)) < 20


def test_rows_that_all_lie_on_a_level_are_asked_for_at_once():
    rng = np.random.default_rng(0)
    proba = np.full((500, 20), 0.2 / 19)
    proba[:, 3] = 0.8
    proba /= proba.sum(axis=1, keepdims=True)
    estimates, asked = estimates_of(proba, 1e-5, rng)
    policy = lesson_gates(20, thresholds=np.full(20, proba[0, 3]))
    assert_array_equal(rough_routes(policy, estimates), np.array(ROUTES)[policy.decide(proba).route])
    # The first part was estimated in vain, and all the others are asked for part by part.
    assert sorted(map(len, asked)) == [2, 48, *[50] * 9]
    assert_array_equal(np.sort(np.concatenate(asked)), np.arange(500))


def test_doubtful_rows_are_asked_for_before_they_take_more_room_than_a_part(monkeypatch):
    monkeypatch.setattr(_rough_routes, "MOST_DOUBTFUL", 1.0)
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.full(20, 0.1), 1000)
    level = 0.6
    proba[::2] = 0.0
    proba[::2, :2] = level, 1.0 - level
    policy = lesson_gates(20, thresholds=np.full(20, level), margin=None, max_entropy=None)
    estimates, asked = estimates_of(proba, 1e-5, rng)
    assert_array_equal(rough_routes(policy, estimates), np.array(ROUTES)[policy.decide(proba).route])
    assert len(asked) > 5
    assert max(map(len, asked)) < 100


@pytest.mark.parametrize("place", [0, 60, 499])
def test_what_cannot_be_estimated_is_asked_for(place):
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.full(20, 0.1), 500)
    estimates, asked = estimates_of(proba, 1e-5, rng)
    whole = estimates.estimate
    object.__setattr__(estimates, "estimate", lambda rows: None if rows.start <= place < rows.stop else whole(rows))
    policy = lesson_gates(20)
    assert_array_equal(rough_routes(policy, estimates), np.array(ROUTES)[policy.decide(proba).route])
    assert any(place in rows for rows in asked)
