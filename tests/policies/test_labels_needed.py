import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from skroute.policies._binomial import most_errors, rows_needed
from skroute.policies._labels_needed import labels_needed

MOST = 20_000


@pytest.mark.parametrize("max_error", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.7])
@pytest.mark.parametrize("power", [0.3, 0.8, 0.95])
def test_is_the_number_from_which_on_the_power_suffices(max_error, confidence, share, power):
    error = share * max_error
    n = np.arange(1, MOST)
    most = most_errors(n, max_error, 1 - confidence)
    probability = np.where(most < 0, 0.0, binom.cdf(most, n, error))
    expected = int(np.flatnonzero(probability < power)[-1]) + 2 if (probability < power).any() else 1
    assert labels_needed(max_error, confidence=confidence, error=error, power=power) == expected


@given(st.integers(1, 60), st.sampled_from([0.8, 0.9, 0.95]))
def test_without_errors_the_fewest_rows_suffice(percent, confidence):
    needed = labels_needed(percent / 100, confidence=confidence)
    assert needed == rows_needed(percent / 100, 1 - confidence)
    assert isinstance(needed, int)


@given(st.integers(0, 4), st.sampled_from([0.5, 0.8, 0.9]), st.integers(0, 2000))
def test_rows_at_hand_count(percent, power, rows):
    needed = labels_needed(0.05, error=percent / 100, power=power)
    assert labels_needed(0.05, error=percent / 100, power=power, rows=rows) == max(0, needed - rows)


@given(st.floats(0, 0.04), st.floats(0, 0.04), st.floats(0.1, 0.9), st.floats(0.1, 0.9))
def test_more_errors_and_more_power_need_more_rows(error, other, power, another):
    (low, high), (weak, strong) = sorted((error, other)), sorted((power, another))
    assert labels_needed(0.05, error=low, power=weak) <= labels_needed(0.05, error=high, power=weak)
    assert labels_needed(0.05, error=low, power=weak) <= labels_needed(0.05, error=low, power=strong)


@pytest.mark.parametrize("error", [0.05, 0.2, 1.0, math.nextafter(0.05, 0.0)])
def test_no_labels_help_against_too_many_errors(error):
    assert labels_needed(0.05, error=error, rows=10**6) == math.inf


def test_nothing_is_certain_but_the_absence_of_errors():
    assert labels_needed(0.05, power=1.0) == 45
    assert labels_needed(0.05, error=0.01, power=1.0) == math.inf
    assert labels_needed(0.05, error=0.01, power=0.0) == 45


def test_close_to_the_target_it_is_many():
    needed = labels_needed(0.05, error=0.0499)
    # Two quantiles of the normal distribution over the distance, as for any test of a mean.
    assert needed == pytest.approx(0.05 * 0.95 * ((1.2816 + 0.8416) / 1e-4) ** 2, rel=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_error": 0.0}, "'max_error' parameter of labels_needed must be a number strictly"),
        ({"max_error": "0.1"}, "'max_error' parameter of labels_needed"),
        ({"max_error": 10**400}, "'max_error' parameter of labels_needed"),
        (
            {"max_error": 0.1, "confidence": 1.0},
            "'confidence' parameter of labels_needed must be a number strictly between",
        ),
        ({"max_error": 0.1, "confidence": 0.05}, "'confidence' parameter of labels_needed .* give 0.95"),
        ({"max_error": 0.1, "confidence": "0.9"}, "'confidence' parameter of labels_needed must be a number strictly"),
        ({"max_error": 0.1, "confidence": 90}, "90% is 0.9"),
        ({"max_error": 0.1, "error": -0.1}, "'error' parameter of labels_needed"),
        ({"max_error": 0.1, "power": 1.5}, "'power' parameter of labels_needed"),
        ({"max_error": 0.1, "rows": -1}, "'rows' parameter of labels_needed"),
    ],
)
def test_refuses_numbers_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        labels_needed(**arguments)
