import math

import numpy as np
import pytest
from scipy.stats import norm

from skroute.metrics import calibration_test
from skroute.metrics._calibration_test import _tail_of_largest, _tail_of_range

TESTS = ["spiegelhalter", "ks", "kuiper"]


def cdf_of_largest(x):
    """P(max |B| <= x) of a Brownian motion on [0, 1]: the series of eigenfunctions."""
    terms = [(-1) ** k / (2 * k + 1) * math.exp(-((2 * k + 1) ** 2) * math.pi**2 / (8 * x**2)) for k in range(200)]
    return 4 / math.pi * sum(terms)


def cdf_of_range(x):
    """P(max B - min B <= x) of a Brownian motion on [0, 1]: Feller's law as Tygert writes it."""
    halves = [k + 0.5 for k in range(200)]
    return sum((8 / x**2 + 2 / (h * math.pi) ** 2) * math.exp(-2 * (h * math.pi / x) ** 2) for h in halves)


def statistics_by_loop(hits, stated, weight):
    """Return the three statistics, row by row; equal forecasts enter the walk together."""
    lean = sum(w * (y - p) * (1 - 2 * p) for y, p, w in zip(hits, stated, weight, strict=True))
    leans = sum(w * (1 - 2 * p) ** 2 * p * (1 - p) for p, w in zip(stated, weight, strict=True))
    variance = sum(w * p * (1 - p) for p, w in zip(stated, weight, strict=True))
    walk = [0.0]
    for value in sorted(set(stated)):
        step = sum(w * (y - p) for y, p, w in zip(hits, stated, weight, strict=True) if p == value)
        walk.append(walk[-1] + step)
    scale = math.sqrt(variance)
    return {
        "spiegelhalter": lean / math.sqrt(leans),
        "ks": max(map(abs, walk)) / scale,
        "kuiper": (max(walk) - min(walk)) / scale,
    }


PVALUES = {
    "spiegelhalter": lambda z: math.erfc(abs(z) / math.sqrt(2)),
    "ks": lambda x: 1 - cdf_of_largest(x),
    "kuiper": lambda x: 1 - cdf_of_range(x),
}


@pytest.mark.parametrize("bend", [1.0, 1.1, 1.3, 0.8])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("test", TESTS)
def test_statistic_and_pvalue_agree_with_the_formulas(log_of, test, bend, weighted):
    rng = np.random.default_rng(7)
    stated = rng.beta(1.1, 0.8, size=400)
    stated[::3] = np.round(stated[::3], 1).clip(0.1, 0.9)
    hits, weight = rng.random(400) < stated**bend, rng.integers(1, 4, size=400)
    result = calibration_test(**log_of(hits, stated), test=test, sample_weight=weight if weighted else None)
    expected = statistics_by_loop(hits, stated, weight if weighted else np.ones(400))[test]
    assert result.statistic == pytest.approx(expected, rel=1e-9)
    assert result.pvalue == pytest.approx(PVALUES[test](expected), abs=1e-12)


@pytest.mark.parametrize("statistic", [0.01, 0.15, 0.21, 0.39, 0.41, 0.7, 1.0, 1.5, 2.5, 4.0, 5.9])
@pytest.mark.parametrize(("test", "tail"), [("ks", _tail_of_largest), ("kuiper", _tail_of_range)])
def test_the_tails_agree_with_another_series(test, tail, statistic):
    assert tail(statistic) == pytest.approx(PVALUES[test](statistic), abs=1e-12)
    assert 0.0 <= tail(statistic) <= 1.0


@pytest.mark.parametrize(("test", "factor"), [("spiegelhalter", 2), ("ks", 4), ("kuiper", 8)])
def test_tiny_pvalues_keep_their_digits(log_of, test, factor):
    result = calibration_test(**log_of(np.ones(100, dtype=bool), np.full(100, 0.4)), test=test)
    # The first term of each series is all that is left.
    assert result.pvalue == pytest.approx(factor * norm.sf(result.statistic), rel=1e-12)
    assert 0.0 < result.pvalue < 1e-30


def test_spiegelhalters_statistic_is_negative_where_probabilities_are_too_timid(log_of):
    bold, timid = (calibration_test(**log_of(np.arange(100) < hits, np.full(100, 0.8))) for hits in (60, 95))
    assert timid.statistic < 0 < bold.statistic
    assert bold.pvalue < 1e-6
    assert timid.pvalue < 1e-3


def test_the_range_counts_from_the_start(log_of):
    # All steps go up: the range of the points alone would leave out the first one.
    result = calibration_test(**log_of([True, True], [0.2, 0.6]), test="kuiper")
    assert result.statistic == pytest.approx((0.8 + 0.4) / math.sqrt(0.16 + 0.24))


def test_departures_that_cancel_out_add_up_for_kuiper_only(log_of):
    hits, stated = np.arange(200) % 100 < 50, np.repeat([0.3, 0.7], 100)
    ks, kuiper = (calibration_test(**log_of(hits, stated), test=test).statistic for test in ("ks", "kuiper"))
    assert ks == pytest.approx(20 / math.sqrt(42))
    assert kuiper == pytest.approx(ks)
    there_and_back = np.concatenate([np.arange(100) < 10, np.arange(100) < 90, np.arange(100) < 50])
    stated = np.repeat([0.3, 0.5, 0.7], 100)
    ks, kuiper = (calibration_test(**log_of(there_and_back, stated), test=test).statistic for test in ("ks", "kuiper"))
    assert ks * math.sqrt(67) == pytest.approx(20)
    assert kuiper * math.sqrt(67) == pytest.approx(40)


@pytest.mark.parametrize("test", TESTS)
def test_kept_certainties_speak_for_the_null_and_a_broken_one_ends_it(log_of, test):
    kept = calibration_test(**log_of([True, False, True], [1.0, 0.0, 1.0]), test=test)
    broken = calibration_test(**log_of([False, False, True], [1.0, 0.0, 1.0]), test=test)
    assert (kept.statistic, kept.pvalue) == (0.0, 1.0)
    assert (abs(broken.statistic), broken.pvalue) == (math.inf, 0.0)


def test_a_half_tells_spiegelhalters_test_nothing(log_of):
    result = calibration_test(**log_of(np.ones(50, dtype=bool), np.full(50, 0.5)))
    assert (result.statistic, result.pvalue) == (0.0, 1.0)
    assert calibration_test(**log_of(np.ones(50, dtype=bool), np.full(50, 0.5)), test="ks").pvalue < 1e-6


def test_classwise_gives_one_pvalue_a_class():
    rng = np.random.default_rng(0)
    proba = rng.dirichlet([1.0, 1.0, 1.0], size=600)
    bad_last = proba + 0.5 * proba[:, 2:] * [1.0, 0.0, -1.0]
    y = (rng.random((600, 1)) > np.cumsum(bad_last, axis=1)[:, :2]).sum(axis=1)
    result = calibration_test(y, proba, classes=range(3), kind="classwise", test="kuiper")
    assert result.pvalue.shape == result.statistic.shape == (3,)
    assert result.pvalue[1] > 0.01
    assert max(result.pvalue[0], result.pvalue[2]) < 1e-6


def pvalues(log_of, draw, n_sets, n, test):
    """Return the p-values of many data sets; `draw` maps forecasts to the chance that they come true."""
    rng = np.random.default_rng(11)
    found = []
    for _ in range(n_sets):
        stated = rng.random(n)
        found.append(calibration_test(**log_of(rng.random(n) < draw(stated), stated), test=test).pvalue)
    return np.array(found)


def assert_uniform(found):
    for level in (0.05, 0.25, 0.5):
        error = math.sqrt(level * (1 - level) / len(found))
        assert abs(np.mean(found <= level) - level) < 3 * error, level


@pytest.mark.parametrize("test", TESTS)
def test_pvalues_are_uniform_where_probabilities_are_true(log_of, test):
    assert_uniform(pvalues(log_of, lambda stated: stated, 300, 2000, test))


@pytest.mark.slow
@pytest.mark.parametrize("test", TESTS)
def test_pvalues_of_many_data_sets_are_uniform_where_probabilities_are_true(log_of, test):
    # The walk has steps, so its largest value falls short of that of a Brownian motion by about 0.58 / sqrt(rows).
    assert_uniform(pvalues(log_of, lambda stated: stated, 2000, 10_000, test))


@pytest.mark.parametrize(("test", "least", "most"), [("spiegelhalter", 0.0, 0.2), ("ks", 0.95, 1), ("kuiper", 0.95, 1)])
def test_an_s_shape_is_seen_by_the_cumulative_tests_and_not_by_spiegelhalters(log_of, test, least, most):
    def s_shape(stated):
        # Legendre's third polynomial: on the whole it has no slope.
        x = 2 * stated - 1
        return stated - 0.15 * (5 * x**3 - 3 * x)

    assert least <= np.mean(pvalues(log_of, s_shape, 60, 5000, test) <= 0.05) <= most


def test_a_common_boldness_is_seen_by_spiegelhalters_test_first(log_of):
    def sober(stated):
        # What was stated had been sharpened with temperature 0.7.
        odds = (stated / (1 - stated)) ** 0.7
        return odds / (1 + odds)

    power = {test: np.mean(pvalues(log_of, sober, 60, 500, test) <= 0.05) for test in TESTS}
    assert power["spiegelhalter"] > 0.95
    assert power["spiegelhalter"] > power["kuiper"] > 0.05


def test_other_tests_are_refused(log_of):
    with pytest.raises(ValueError, match="'test' parameter"):
        calibration_test(**log_of([True, False], [0.5, 0.4]), test="hosmer-lemeshow")


def weighted_pvalues(log_of, n_sets, test):
    """Return p-values where probabilities are true and rows have importances that differ widely."""
    rng = np.random.default_rng(11)
    found = []
    for _ in range(n_sets):
        stated, weight = rng.random(10_000), rng.exponential(size=10_000) ** 2
        log = log_of(rng.random(10_000) < stated, stated)
        found.append(calibration_test(**log, test=test, sample_weight=weight).pvalue)
    return np.array(found)


@pytest.mark.parametrize("test", TESTS)
def test_importances_keep_the_level(log_of, test):
    # As if they counted rows, more than a third of these data sets would be rejected.
    assert abs(np.mean(weighted_pvalues(log_of, 300, test) <= 0.05) - 0.05) < 3 * math.sqrt(0.05 * 0.95 / 300)


@pytest.mark.slow
@pytest.mark.parametrize("test", TESTS)
def test_importances_keep_the_level_over_many_data_sets(log_of, test):
    assert abs(np.mean(weighted_pvalues(log_of, 2000, test) <= 0.05) - 0.05) < 3 * math.sqrt(0.05 * 0.95 / 2000)


@pytest.mark.parametrize("test", TESTS)
def test_the_scale_of_importances_does_not_matter(forecasts, log_of, test):
    hits, stated, _ = forecasts
    log = log_of(hits, stated)
    plain = calibration_test(**log, test=test)
    assert calibration_test(**log, test=test, sample_weight=np.full(400, 1 / 400)) == plain
    assert calibration_test(**log, test=test, sample_weight=np.full(400, 3), weights="importance") == plain
    assert calibration_test(**log, test=test, sample_weight=np.full(400, 3)).pvalue < plain.pvalue
    weight = np.random.default_rng(0).exponential(size=400)
    small, large = (calibration_test(**log, test=test, sample_weight=weight * scale) for scale in (1e-9, 7e9))
    assert (small.statistic, small.pvalue) == pytest.approx((large.statistic, large.pvalue), rel=1e-9)


def test_importances_count_squared_in_the_variance(log_of):
    log = log_of([True, False, True], [0.9, 0.6, 0.2])
    weight, stated, hits = np.array([0.5, 2.0, 1.5]), np.array([0.9, 0.6, 0.2]), np.array([1, 0, 1])
    lean = 1 - 2 * stated
    expected = (weight * (hits - stated) * lean).sum() / math.sqrt((weight**2 * lean**2 * stated * (1 - stated)).sum())
    assert calibration_test(**log, sample_weight=weight).statistic == pytest.approx(expected, rel=1e-12)
