import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from scipy.integrate import trapezoid
from strategies import levels, unhurried

from skroute.metrics import smooth_calibration_error


def error_at(bandwidth, residual, stated, weight, n_points=2001):
    """Integrate the absolute smoothed residual, with the kernel reflected at 0 and 1 as often as it matters."""
    t = np.linspace(0.0, 1.0, n_points)[:, np.newaxis]
    smoothed = np.zeros(n_points)
    for k in range(-3, 4):
        for image in (2 * k + stated, 2 * k - stated):
            kernel = np.exp(-0.5 * ((t - image) / bandwidth) ** 2) / (bandwidth * math.sqrt(2 * math.pi))
            smoothed += kernel @ (weight * residual)
    return trapezoid(np.abs(smoothed), t[:, 0]) / weight.sum()


def error_by_bisection(hits, stated, weight):
    """Halve the interval of the bandwidth until it equals its error."""
    low, high = 0.0, 1.0
    while high - low > 1e-8:
        middle = (low + high) / 2
        if error_at(middle, stated - hits, stated, weight) > middle:
            low = middle
        else:
            high = middle
    return high


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("weighted", [False, True])
def test_agrees_with_a_direct_sum_over_rows_and_reflections(log_of, seed, weighted):
    rng = np.random.default_rng(seed)
    stated = rng.beta(0.7, 0.5, size=60)
    hits = rng.random(60) < [stated**2, 1 - stated, 0.4 + 0.2 * stated, stated][seed]
    weight = rng.exponential(size=60) if weighted else np.ones(60)
    found = smooth_calibration_error(**log_of(hits, stated), sample_weight=weight if weighted else None)
    assert found == pytest.approx(error_by_bisection(hits, stated, weight), abs=1e-6)


@pytest.mark.parametrize("stated", [0.0, 1.0, 0.5, 1 / 4096, 0.9999])
def test_one_gap_is_the_error_wherever_it_stands(log_of, stated):
    hits = np.array([True] * 4 + [False] * 6)
    found = smooth_calibration_error(**log_of(hits, np.full(10, stated)))
    assert found == pytest.approx(abs(stated - 0.4), abs=1e-6)


@pytest.mark.parametrize("n", [1, 2, 7, 32, 33, 40, 49, 1000])
def test_an_error_of_one_is_found_whatever_the_rounding(log_of, n):
    # The shares of 33 weights can add to a little more than 1, so that a bandwidth of 1 was still too small.
    always_wrong = log_of(np.zeros(n, dtype=bool), np.ones(n))
    for weight in (None, np.full(n, 0.1)):
        found = smooth_calibration_error(**always_wrong, sample_weight=weight)
        assert found == pytest.approx(1.0, abs=1e-12)
        assert found <= 1.0


def test_true_promises_have_no_error(log_of):
    assert smooth_calibration_error(**log_of([True, True, False], [1.0, 1.0, 0.0])) == 0.0


@pytest.mark.parametrize("gap", [1e-4, 3e-4, 1e-3, 1e-2])
def test_tiny_errors_are_given_at_the_least_bandwidth(log_of, gap):
    hits = np.arange(10) < 5
    assert smooth_calibration_error(**log_of(hits, np.full(10, 0.5 + gap))) == pytest.approx(gap, rel=1e-6)


def test_it_is_continuous_where_bins_jump(log_of):
    hits = np.arange(40) % 2 == 0
    below, above = (smooth_calibration_error(**log_of(hits, np.where(hits, 0.4 + step, 0.4))) for step in (-1e-9, 1e-9))
    assert below == pytest.approx(above, abs=1e-7)
    assert below > 0.09


@unhurried
@given(hits=arrays(bool, 9), stated=arrays(float, 9, elements=levels))
def test_it_lies_between_the_mean_gap_and_the_mean_absolute_residual(hits, stated):
    log = {"y_true": hits, "y_pred": np.ones(9, dtype=bool), "confidence": stated, "classes": [False, True]}
    found = smooth_calibration_error(**log)
    residual = stated - hits
    assert abs(residual.mean()) - 1e-9 <= found <= np.abs(residual).mean() + 1e-9
