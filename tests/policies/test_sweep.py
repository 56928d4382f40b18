import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import unhurried

from skroute.policies._sweep import best_thresholds, score_order


@st.composite
def problems(draw):
    """Rows with few scores, so that ties are common; whole costs, so that sums are exact; groups may be empty."""
    n_groups = draw(st.integers(1, 3))
    row = st.tuples(
        st.integers(0, n_groups - 1), st.integers(0, 4), st.integers(-5, 5), st.integers(0, 3), st.booleans()
    )
    rows = np.array(draw(st.lists(row, max_size=9)), dtype=float).reshape(-1, 5)
    group, score, cost, weight, gate = rows.T
    return n_groups, group.astype(int), score / 4, cost * weight * gate


@unhurried
@given(problems())
def test_sweep_equals_enumeration_of_all_thresholds(problem):
    n_groups, group, score, delta = problem
    found, change = best_thresholds(score_order(score, group, n_groups), delta)
    candidates = [[*np.unique(score[group == g]), math.inf] for g in range(n_groups)]
    totals = {taus: delta[score >= np.array(taus)[group]].sum() for taus in itertools.product(*candidates)}
    least = min(totals.values())
    assert change.sum() == least == delta[score >= found[group]].sum()
    # Of equal costs the largest thresholds; +inf where nothing is gained.
    assert tuple(found) == tuple(
        max(taus[g] for taus, total in totals.items() if total == least) for g in range(n_groups)
    )


@unhurried
@given(problems(), st.floats(1e-3, 1e3))
def test_scaled_costs_keep_the_thresholds(problem, scale):
    n_groups, group, score, delta = problem
    order = score_order(score, group, n_groups)
    assert best_thresholds(order, delta)[0].tolist() == best_thresholds(order, scale * delta)[0].tolist()


def test_costs_that_cancel_up_to_rounding_gain_nothing():
    order = score_order(np.array([0.9, 0.8, 0.7]))
    assert best_thresholds(order, np.array([0.1, 0.2, -0.3]))[0].tolist() == [math.inf]


@pytest.mark.parametrize("n_groups", [2, 300, 70_000])
def test_rows_are_ordered_by_group_and_falling_score(n_groups):
    rng = np.random.default_rng(0)
    group, score = rng.integers(0, n_groups, 500), rng.integers(0, 50, 500) / 50
    order = score_order(score, group, n_groups)
    assert sorted(order.rows) == list(range(500))
    keys = list(zip(group[order.rows], -score[order.rows], strict=True))
    assert keys == sorted(keys)
    assert keys[order.ends[-1]] == keys[-1]
    assert len(order.ends) == len(set(keys))
