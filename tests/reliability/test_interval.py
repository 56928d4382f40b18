import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from skroute.reliability import exact_interval


@pytest.mark.parametrize(("hits", "low", "high"), [(156, 0.462, 0.578), (247, 0.775, 0.865)])
def test_worked_examples(hits, low, high):
    np.testing.assert_allclose(exact_interval(hits, 300), (low, high), atol=5e-4)


@given(st.integers(1, 2000), st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_agrees_with_scipy(n, share, level):
    hits = round(share * n)
    expected = binomtest(hits, n).proportion_ci(confidence_level=level, method="exact")
    np.testing.assert_allclose(exact_interval(hits, n, confidence_level=level), expected, rtol=1e-9, atol=1e-12)


def test_covers_the_true_proportion_at_least_as_often_as_promised():
    hits = np.arange(31)
    low, high = exact_interval(hits, 30, confidence_level=0.9)
    for truth in np.linspace(0.001, 0.999, 97):
        assert binom.pmf(hits, 30, truth)[(low <= truth) & (truth <= high)].sum() >= 0.9


def test_arrays_broadcast():
    low, high = exact_interval([[0], [5]], [5, 10])
    assert low.shape == high.shape == (2, 2)
    assert low[1, 1] == exact_interval(5, 10)[0]
    np.testing.assert_array_equal(low[0], 0.0)
    assert high[1, 0] == 1.0


def test_no_rows_give_nan():
    np.testing.assert_array_equal(exact_interval([0, 0], [0, 0]), np.full((2, 2), np.nan))


def test_effective_numbers_lie_between_whole_ones():
    low, _ = exact_interval([10, 10.5, 11], 20)
    assert low[0] < low[1] < low[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((4, 3), r"successes must lie in \[0, n\], got 4 of n = 3"),
        ((-1, 3), "successes must lie in"),
        ((np.nan, 3), "successes must be finite, got nan"),
        ((1, np.inf), "n must be finite, got inf"),
    ],
)
def test_refuses_what_is_no_count(arguments, message):
    with pytest.raises(ValueError, match=message):
        exact_interval(*arguments)


def test_refuses_a_level_outside_the_unit_interval():
    with pytest.raises(ValueError, match="'confidence_level' parameter of exact_interval"):
        exact_interval(1, 2, confidence_level=95)


@pytest.mark.parametrize("number", ["1", 1 + 0j, np.timedelta64(1, "s"), np.array("1", dtype=object)])
def test_only_real_numbers_have_an_interval(number):
    with pytest.raises(ValueError, match="successes must hold real numbers, got"):
        exact_interval(number, 2)
