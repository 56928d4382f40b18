import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import binom, binomtest
from strategies import unhurried

from skroute.policies import _binomial
from skroute.policies._binomial import fewest_rows, most_errors, p_value, passes, rows_needed, steps, upper_bound

rates = st.integers(1, 99).map(lambda i: i / 100)
risks = st.integers(1, 99).map(lambda i: i / 100)


@pytest.mark.parametrize(("max_error", "needed"), [(0.2, 11), (0.05, 45), (0.01, 230)])
def test_worked_numbers_of_rows(max_error, needed):
    assert rows_needed(max_error, 0.1) == rows_needed(max_error, 1 - 0.9) == needed


@given(st.integers(1, 90), risks)
def test_rows_needed_is_the_definition_in_decimal_numbers(percent, risk):
    right, limit = 1 - Fraction(percent, 100), Fraction(round(risk * 100), 100)
    n = rows_needed(percent / 100, risk)
    assert right**n <= limit
    assert n == 1 or right ** (n - 1) > limit


@pytest.mark.parametrize("power", range(1, 12))
@pytest.mark.parametrize("right", ["0.9", "0.8", "0.5", "0.7"])
def test_a_tie_is_reached_however_it_is_rounded(right, power):
    limit = float(Fraction(right) ** power)
    assert rows_needed(float(1 - Fraction(right)), limit) == power
    assert rows_needed(1.0 - float(right), limit) == power
    assert rows_needed(float(1 - Fraction(right)), 1.0 - (1.0 - limit)) == power


@unhurried
@given(st.integers(0, 300), st.integers(0, 300), rates)
def test_p_value_is_the_binomial_sum(one, other, max_error):
    """In fractions: of one in 1e293, scipy.stats.binom.cdf has eight digits."""
    errors, rows = sorted((one, other))
    wrong = Fraction(max_error)
    terms = [math.comb(rows, k) * wrong**k * (1 - wrong) ** (rows - k) for k in range(errors + 1)]
    # Near the least floats, older versions of scipy lose digits too.
    assert_allclose(p_value(errors, rows, max_error), float(sum(terms)), rtol=1e-9, atol=1e-290)


@given(st.integers(0, 300), st.integers(1, 300), rates)
def test_upper_bound_is_scipys_and_agrees_with_the_p_value(one, other, risk):
    errors, rows = sorted((one, other))
    expected = binomtest(errors, rows, alternative="less").proportion_ci(1 - risk, method="exact").high
    bound = upper_bound(errors, rows, risk)
    np.testing.assert_allclose(bound, expected, rtol=1e-9)
    if errors < rows:
        np.testing.assert_allclose(p_value(errors, rows, float(bound)), risk, rtol=1e-6)


def test_without_rows_nothing_is_shown():
    assert p_value(0, 0, 0.1) == upper_bound(0, 0, 0.1) == 1.0
    assert p_value(5, 5, 0.1) == upper_bound(5, 5, 0.1) == 1.0


def test_arrays_broadcast():
    assert p_value([[0], [1]], [5, 10, 20], 0.1).shape == upper_bound([[0], [1]], [5, 10, 20], 0.1).shape == (2, 3)


@given(rates, risks)
def test_most_errors_is_the_definition(max_error, risk):
    rows = np.arange(121)
    table = np.array([binom.cdf(np.arange(n + 1), n, max_error) for n in rows], dtype=object)
    expected = [int(np.sum(column <= risk * (1 + 1e-12))) - 1 for column in table]
    expected[0] = -1
    np.testing.assert_array_equal(most_errors(rows, max_error, risk), expected)


@pytest.mark.parametrize("max_error", [1e-4, 0.05, 0.3, 0.99])
@pytest.mark.parametrize("risk", [1e-12, 1e-3, 0.1, 0.9])
def test_large_tables_are_as_exact_as_small_ones(max_error, risk):
    rows = np.random.default_rng(0).integers(1, 10**6, size=2000)
    most = most_errors(np.append(rows, 10**6), max_error, risk)[:-1]
    some = most >= 0
    assert (p_value(most[some], rows[some], max_error) <= risk * (1 + 1e-9)).all()
    assert (p_value(most + 1, rows, max_error) > risk * (1 - 1e-9)).all()


@given(st.lists(st.integers(0, 2000), min_size=1, max_size=20), st.floats(0.01, 0.9), st.floats(1e-3, 0.5))
def test_without_a_table_the_answers_are_the_same(rows, max_error, risk):
    rows = np.array(rows)
    most = most_errors(rows, max_error, risk)
    errors = np.maximum(most + np.arange(len(rows)) % 3 - 1, 0).clip(0, rows)
    passed = passes(errors, rows, max_error, risk)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_binomial, "LARGEST", 0)
        assert_array_equal(most_errors(rows, max_error, risk), most)
        assert_array_equal(passes(errors, rows, max_error, risk), passed)
        assert steps(10, max_error, risk) is None


def test_huge_numbers_need_no_table():
    # The normal approximation is exact to many digits here.
    rows = 10**12
    expected = 0.05 * rows - 1.2815515655446004 * np.sqrt(rows * 0.05 * 0.95)
    assert_allclose(most_errors(rows, 0.05, 0.1), expected, rtol=1e-9)


def test_one_count_gives_one_number():
    assert most_errors(45, 0.05, 0.1) == 0
    assert most_errors(45, 0.05, 0.1).shape == ()
    assert most_errors([], 0.05, 0.1).shape == (0,)


@given(rates, risks)
def test_the_tests_agree_with_each_other(max_error, risk):
    needed = fewest_rows(np.arange(40), max_error, risk)
    assert needed[0] == rows_needed(max_error, risk)
    assert (np.diff(needed) >= 1).all()
    np.testing.assert_array_equal(most_errors(needed, max_error, risk), np.arange(40))
    np.testing.assert_array_equal(most_errors(needed - 1, max_error, risk), np.arange(40) - 1)
    assert passes(np.arange(40), needed, max_error, risk).all()
    assert not passes(np.arange(40), needed - 1, max_error, risk).any()


def test_errors_beyond_any_table_do_not_pass():
    np.testing.assert_array_equal(passes([10**6, 0], [10**6, 10**6], 0.05, 0.1), [False, True])


@given(rates, risks, st.integers(0, 50))
def test_a_stricter_target_needs_more_rows(max_error, risk, errors):
    rows = fewest_rows(errors, max_error, risk)
    assert fewest_rows(errors, max_error / 2, risk) >= rows
    assert fewest_rows(errors, max_error, risk / 2) >= rows
    assert fewest_rows(errors + 1, max_error, risk) > rows


@pytest.mark.parametrize("function", [lambda *a: rows_needed(*a), lambda *a: most_errors(5, *a)])
@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, np.nan])
def test_targets_must_be_possible(function, value):
    with pytest.raises(ValueError, match=r"max_error must lie in \(0, 1\)"):
        function(value, 0.1)
    with pytest.raises(ValueError, match=r"risk must lie in \[1e-12, 1\)"):
        function(0.1, value)
