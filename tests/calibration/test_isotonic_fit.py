import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression

from skroute.calibration._isotonic_fit import TIE, isotonic_knots

# Distributions of scores: with ties, with ties of -0.0 and 0.0, closer than the tolerance, huge, and of all magnitudes.
DRAWS = {
    "normal": lambda rng, n: rng.normal(size=n),
    "uniform": lambda rng, n: rng.random(n),
    "rounded": lambda rng, n: rng.normal(size=n).round(1),
    "rounded below two": lambda rng, n: np.copysign(rng.random(n), rng.normal(size=n)).round(1).clip(-0.0) * 1.9,
    "nearly equal": lambda rng, n: 0.3 + rng.integers(0, 200, n) * 2.0**-53,
    "tiny": lambda rng, n: rng.random(n) * 1e-14,
    "tiny, both signs": lambda rng, n: rng.normal(size=n) * 10.0 ** rng.integers(-20, -12),
    "huge": lambda rng, n: rng.normal(size=n) * 1e300,
}


def draw(kind, n, *, seed, boolean=True, weights="unit"):
    rng = np.random.default_rng(seed)
    scores = DRAWS[kind](rng, n)
    target = rng.random(n) < 0.5 if boolean else rng.random(n)
    weight = {"unit": np.ones(n), "whole": rng.integers(1, 5, n) * 1.0, "real": rng.random(n) + 0.1}[weights]
    return scores, target, weight


def shrunk_by_definition(scores, target, weight, prior, shrinkage):
    """Pool violators one by one, shrink every block, and pool again; the value at each distinct score."""

    def pooled(blocks, value):
        done = []
        for block in blocks:
            done.append(block)
            while len(done) > 1 and value(done[-2]) >= value(done[-1]) - 1e-12:
                done[-2:] = [done[-2] + done[-1]]
        return done

    def mean(values, rows):
        return np.average(values[rows], weights=weight[rows])

    distinct = np.unique(scores)
    blocks = pooled([list(np.flatnonzero(scores == x)) for x in distinct], lambda rows: mean(target, rows))
    height = {}
    for rows in blocks:
        total = weight[rows].sum()
        value = (total * mean(target, rows) + shrinkage * mean(prior, rows)) / (total + shrinkage)
        height.update(dict.fromkeys(rows, value))
    by_row = np.array([height[row] for row in range(len(scores))])
    for rows in pooled(blocks, lambda rows: mean(by_row, rows)):
        height.update(dict.fromkeys(rows, mean(by_row, rows)))
    return distinct, np.array([height[np.flatnonzero(scores == x)[0]] for x in distinct])


@pytest.mark.parametrize("weights", ["unit", "whole", "real"])
@pytest.mark.parametrize("boolean", [True, False])
@pytest.mark.parametrize("kind", DRAWS)
def test_equals_scikit_learn_without_shrinkage(kind, boolean, weights):
    for seed in range(60):
        scores, target, weight = draw(kind, 1 + seed, seed=seed, boolean=boolean, weights=weights)
        x, y = isotonic_knots(scores, target, weight)
        theirs = IsotonicRegression(out_of_bounds="clip").fit(scores, target.astype(float), weight)
        # Knots instead of predictions: the nearly equal scores make the line between them too steep to compare.
        assert_array_equal(x, theirs.X_thresholds_)
        assert_allclose(y, theirs.y_thresholds_, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["uniform", "rounded below two", "normal"])
def test_equals_scikit_learn_on_many_rows(kind):
    scores, _, weight = draw(kind, 100_000, seed=0)
    target = np.random.default_rng(1).random(len(scores)) < scores / 2
    grid = np.append(scores, np.linspace(-5, 5, 1001))
    theirs = IsotonicRegression(out_of_bounds="clip").fit(scores, target.astype(float)).predict(grid)
    assert_allclose(np.interp(grid, *isotonic_knots(scores, target, weight)), theirs, rtol=0, atol=1e-12)


def test_is_the_least_squares_fit_under_the_constraint():
    scores, target, weight = draw("uniform", 12, seed=3, boolean=False, weights="real")
    order = np.argsort(scores)
    found = minimize(
        lambda fit: weight[order] @ (fit - target[order]) ** 2,
        np.linspace(0.4, 0.6, 12),
        constraints={"type": "ineq", "fun": np.diff},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    assert_allclose(np.interp(scores[order], *isotonic_knots(scores, target, weight)), found.x, atol=1e-5)


@pytest.mark.parametrize("shrinkage", [0.0, 1e-6, 0.5, 5.0, 1e6])
@pytest.mark.parametrize("kind", ["normal", "uniform", "rounded"])
def test_equals_the_plain_definition(kind, shrinkage):
    for seed in range(25):
        scores, target, weight = draw(kind, 1 + seed, seed=seed, weights=["unit", "whole", "real"][seed % 3])
        prior = np.random.default_rng(seed + 99).random(len(scores))
        x, y = isotonic_knots(scores, target, weight, prior=prior, shrinkage=shrinkage)
        distinct, expected = shrunk_by_definition(scores, target, weight, prior, shrinkage)
        assert_allclose(np.interp(distinct, x, y), expected, rtol=0, atol=1e-12)


def test_shrinkage_by_hand():
    # Blocks 0 | 1 0 | 1 with means 0, 1/2, 1 and prior 0.5: two rows for one block, one row each for the others.
    scores, target = np.array([1.0, 2.0, 3.0, 4.0]), np.array([False, True, False, True])
    x, y = isotonic_knots(scores, target, np.ones(4), prior=np.full(4, 0.5), shrinkage=2.0)
    assert_array_equal(x, scores)
    assert_allclose(y, [1 / 3, 1 / 2, 1 / 2, 2 / 3])


def test_blocks_that_the_prior_puts_out_of_order_are_pooled_by_weight():
    prior = np.array([1.0, 0.0, 0.0])
    x, y = isotonic_knots(
        np.arange(3.0), np.array([0.0, 1.0, 1.0]), np.array([1.0, 1.0, 2.0]), prior=prior, shrinkage=9
    )
    # (0 + 9) / 10 with weight 1, then (3 + 0) / 12 with weight 3.
    assert_array_equal(x, [0.0, 2.0])
    assert_allclose(y, (0.9 + 3 * 0.25) / 4)


@pytest.mark.parametrize("shrinkage", [0.0, 3.0])
@pytest.mark.parametrize("weights", ["unit", "whole"])
@pytest.mark.parametrize("boolean", [True, False])
@pytest.mark.parametrize("kind", DRAWS)
def test_row_order_changes_no_bit(kind, boolean, weights, shrinkage):
    scores, target, weight = draw(kind, 300, seed=7, boolean=boolean, weights=weights)
    prior = np.random.default_rng(5).random(300)
    order = np.random.default_rng(6).permutation(300)
    first = isotonic_knots(scores, target, weight, prior=prior, shrinkage=shrinkage)
    second = isotonic_knots(scores[order], target[order], weight[order], prior=prior[order], shrinkage=shrinkage)
    assert_array_equal(first[0], second[0])
    assert_array_equal(first[1], second[1])


@pytest.mark.parametrize("shrinkage", [0.0, 3.0])
@pytest.mark.parametrize("boolean", [True, False])
@pytest.mark.parametrize("kind", DRAWS)
def test_whole_weights_are_repetitions(kind, boolean, shrinkage):
    scores, target, weight = draw(kind, 300, seed=8, boolean=boolean, weights="whole")
    prior = np.random.default_rng(5).random(300)
    again = np.repeat(np.arange(300), weight.astype(int))
    x, y = isotonic_knots(scores, target, weight, prior=prior, shrinkage=shrinkage)
    by_rows = isotonic_knots(scores[again], target[again], np.ones(len(again)), prior=prior[again], shrinkage=shrinkage)
    assert_array_equal(x, by_rows[0])
    assert_allclose(y, by_rows[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_scores_packed_with_their_labels_lose_nothing(n):
    # The largest score below two, the least above zero, both zeros, and their neighbours.
    edge = np.array([0.0, -0.0, 5e-324, np.nextafter(2.0, 0.0), 1.0, np.nextafter(1.0, 0.0), np.nextafter(1.0, 2.0)])
    for seed in range(40):
        rng = np.random.default_rng(seed)
        scores, target = rng.choice(edge, n), rng.random(n) < 0.5
        packed, general = (isotonic_knots(scores, labels, np.ones(n)) for labels in (target, target.astype(float)))
        assert_array_equal(packed[0], general[0])
        assert_array_equal(packed[1], general[1])


@pytest.mark.parametrize("weights", ["unit", "whole"])
@pytest.mark.parametrize("kind", DRAWS)
def test_values_of_labels_are_quotients_of_whole_numbers(kind, weights):
    for seed in range(20):
        scores, target, weight = draw(kind, 200, seed=seed, weights=weights)
        # No row of the class in the lower half, so that the function begins with an exact 0.
        target &= scores > np.median(scores)
        x, y = isotonic_knots(scores, target, weight)
        at = np.searchsorted(x, scores, side="right") - 1
        # A group that counts as equal has one knot, below the rest of it.
        value = y[at]
        for block in np.unique(value):
            rows = value == block
            assert block == (weight * target)[rows].sum() / weight[rows].sum()


def test_near_ties_form_groups_from_the_least_score_on():
    # The third score is within the tolerance of the second, but not of the first, which makes the group.
    x, _ = isotonic_knots(np.array([0.0, 0.6, 1.2, 1.8]) * TIE, np.array([0.0, 0.0, 1.0, 1.0]), np.ones(4))
    assert_allclose(x, [0.0, 1.2 * TIE])


def test_the_caller_keeps_his_arrays():
    given_arrays = draw("uniform", 30, seed=1)
    before = [part.copy() for part in given_arrays]
    isotonic_knots(*given_arrays)
    isotonic_knots(*given_arrays, prior=given_arrays[0], shrinkage=1.0)
    for part, was in zip(given_arrays, before, strict=True):
        assert_array_equal(part, was)


@given(st.data())
def test_knots_rise_and_stay_within_target_and_prior(data):
    n = data.draw(st.integers(1, 30))
    unit = st.floats(0, 1)
    scores = data.draw(arrays(float, n, elements=st.floats(-1e308, 1e308) | st.sampled_from([0.0, 0.5, 1.0])))
    target, prior = (data.draw(arrays(float, n, elements=unit)) for _ in range(2))
    weight = data.draw(arrays(float, n, elements=st.floats(1e-20, 1e20)))
    shrinkage = data.draw(st.sampled_from([0.0, 1e-300, 1.0, 1e300]))
    x, y = isotonic_knots(scores, target, weight, prior=prior, shrinkage=shrinkage)
    assert (x[1:] > x[:-1]).all()
    assert (np.diff(y) >= 0).all()
    assert ((y >= -1e-12) & (y <= 1 + 1e-12)).all()
    assert x[0] == scores.min()
    # Between knots of one value there is none.
    assert not ((y[2:] == y[1:-1]) & (y[1:-1] == y[:-2])).any()


@pytest.mark.parametrize("kind", ["uniform", "rounded", "near ties", "with zeros"])
@pytest.mark.parametrize("n", [1, 2, 40, 3000])
def test_a_prior_that_is_the_score_takes_one_sort_to_the_same_function(kind, n):
    rng = np.random.default_rng(n)
    scores = rng.random(n)
    if kind == "rounded":
        scores = scores.round(2)
    elif kind == "near ties":
        scores = scores.round(2) + rng.integers(0, 9, n) * 2e-16
    elif kind == "with zeros":
        scores = np.where(rng.random(n) < 0.3, rng.choice([0.0, -0.0, 5e-324], n), scores)
    own = rng.random(n) < scores
    expected = isotonic_knots(scores, own, prior=scores.copy(), shrinkage=5.0)
    x, y = isotonic_knots(scores, own, prior=scores, shrinkage=5.0)
    assert_array_equal(x, expected[0])
    assert_allclose(y, expected[1], rtol=1e-12)
    order = rng.permutation(n)
    shuffled = scores[order]
    assert_array_equal(isotonic_knots(shuffled, own[order], prior=shuffled, shrinkage=5.0), (x, y))


def test_shrinkage_needs_something_to_shrink_to():
    with pytest.raises(ValueError, match="prior must be given"):
        isotonic_knots(*draw("uniform", 5, seed=0), shrinkage=1.0)
