import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from strategies import unhurried

from skroute.policies._actions import cheapest_actions, least_confidence, review_price


@st.composite
def matrices(draw):
    n_classes = draw(st.integers(2, 4))
    costs = st.lists(st.integers(-3, 20), min_size=n_classes + 3, max_size=n_classes + 3)
    return np.array(draw(st.lists(costs, min_size=n_classes, max_size=n_classes)), dtype=float)


@unhurried
@given(matrices(), st.integers(0, 2**32 - 1))
def test_cheapest_actions_equal_the_expected_costs_written_out(matrix, seed):
    proba = np.random.default_rng(seed).dirichlet(np.full(len(matrix), 0.5), 7)
    cheapest = cheapest_actions(proba, matrix)
    for i, row in enumerate(proba):
        expected = [math.fsum(p * c for p, c in zip(row, column, strict=True)) for column in matrix.T]
        auto, persons = expected[: len(row)], expected[len(row) :]
        assert auto[cheapest.label[i]] == pytest.approx(min(auto), abs=1e-9)
        assert persons[cheapest.person[i]] == pytest.approx(min(persons), abs=1e-9)
        assert (cheapest.auto[i], cheapest.review[i]) == pytest.approx((min(auto), min(persons)), abs=1e-9)


def test_equal_costs_take_the_top_class_and_the_last_person():
    cheapest = cheapest_actions(np.array([[0.3, 0.7], [0.7, 0.3]]), np.zeros((2, 5)))
    assert cheapest.label.tolist() == [1, 0]
    assert cheapest.person.tolist() == [2, 2]


@settings(unhurried, max_examples=25)
@given(matrices())
def test_least_confidence_is_a_lower_bound_that_one_action_alone_attains(matrix):
    bounds = least_confidence(matrix)
    for c, bound in enumerate(bounds):
        loss = matrix[:, [c]] - np.delete(matrix, c, axis=1)
        simplex = {"A_eq": np.ones((1, len(matrix))), "b_eq": [1.0], "bounds": (0, 1)}
        aim = np.eye(len(matrix))[c]
        alone = [linprog(aim, A_ub=column[None], b_ub=[0.0], **simplex) for column in loss.T]
        exact = max(math.inf if result.x is None else result.x[c] for result in alone)
        assert bound == pytest.approx(exact, abs=1e-7)


def test_least_confidence_is_chows_rule():
    wrong, review = np.array([10.0, 50.0, 4.0]), 1.0
    # What a wrong route costs depends on the class that is routed to.
    matrix = np.hstack([wrong * (1 - np.eye(3)), np.full((3, 3), review)])
    np.testing.assert_allclose(least_confidence(matrix), 1 - review / wrong)


@unhurried
@given(st.lists(st.integers(-3, 6), min_size=1, max_size=12), st.integers(0, 12))
def test_price_reviews_as_many_as_the_bound_allows(gains, most):
    gains = np.array(gains, dtype=float)
    price = review_price(gains, np.ones(len(gains)), float(most), 1e-9)
    reviewed = gains >= price - 1e-9
    assert price >= 0
    assert reviewed.sum() <= most
    if price > 0:
        # One step down, and there would be too many.
        first_out = gains[~reviewed].max()
        assert (gains >= first_out).sum() > most
        assert price >= first_out
    else:
        assert np.array_equal(reviewed, gains >= -1e-9)
