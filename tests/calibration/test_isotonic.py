import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.isotonic import IsotonicRegression

from skroute.calibration import IsotonicCalibrator


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("rounded", [False, True])
def test_equals_isotonic_regression(sample, weighted, rounded):
    scores, y, weight = sample(2)
    scores = np.round(scores[:, 1], 1) if rounded else scores[:, 1]
    weight = weight if weighted else None
    grid = np.linspace(-5, 5, 301)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(scores, y, weight).predict(grid)
    assert_allclose(IsotonicCalibrator().fit(scores, y, weight).predict(grid), theirs, atol=1e-12)


def test_equals_pooling_of_adjacent_violators_by_hand():
    # 0 | 1 0 | 1 -> means 0, 1/2, 1/2, 1; linear between the knots.
    calibrator = IsotonicCalibrator().fit([1.0, 2.0, 3.0, 4.0], [0, 1, 0, 1])
    assert_allclose(calibrator.predict([0.0, 1.0, 1.5, 2.0, 2.5, 3.5, 9.0]), [0, 0, 0.25, 0.5, 0.5, 0.75, 1])


def test_integer_weights_are_repetitions(sample):
    scores, y, weight = sample(2)
    repeated = np.repeat(np.arange(len(y)), weight.astype(int))
    grid = np.linspace(-5, 5, 301)
    by_weight = IsotonicCalibrator().fit(scores[:, 1], y, weight).predict(grid)
    assert_allclose(by_weight, IsotonicCalibrator().fit(scores[repeated, 1], y[repeated]).predict(grid), atol=1e-12)


def test_row_order_is_irrelevant(sample):
    scores, y, weight = sample(2)
    order = np.random.default_rng(1).permutation(len(y))
    first = IsotonicCalibrator().fit(scores[:, 1], y, weight).predict(scores[:, 1])
    second = IsotonicCalibrator().fit(scores[order, 1], y[order], weight[order]).predict(scores[:, 1])
    assert_allclose(first, second, atol=1e-12)


@pytest.mark.parametrize(
    ("scores", "y", "expected"),
    [
        ([2.0, 2.0, 2.0], [0, 1, 1], 2 / 3),
        ([1.0, 2.0], [1, 1], 1.0),
        ([1.0, 2.0], [0, 0], 0.0),
        ([5.0], [1], 1.0),
        ([1e6, -1e6], [0, 1], 0.5),
    ],
)
def test_degenerate_input_gives_the_observed_share(scores, y, expected):
    assert_allclose(IsotonicCalibrator().fit(scores, y).predict([-1e9, 1.5, 1e9]), expected)


def test_rows_without_weight_set_no_knot():
    calibrator = IsotonicCalibrator().fit([1.0, 2.0, 99.0], [0, 1, 0], [1, 1, 0])
    assert calibrator.scores_.max() == 2.0
    assert_array_equal(calibrator.predict([99.0]), [1.0])


def test_state_is_two_arrays_that_survive_pickling(sample):
    scores, y, _ = sample(2)
    calibrator = IsotonicCalibrator().fit(scores[:, 1], y)
    assert {type(value) for value in vars(calibrator).values()} == {np.ndarray}
    again = pickle.loads(pickle.dumps(calibrator))
    assert_array_equal(again.predict(scores[:, 1]), calibrator.predict(scores[:, 1]))


def test_prediction_needs_a_fit_and_finite_scores():
    with pytest.raises(NotFittedError):
        IsotonicCalibrator().predict([0.5])
    with pytest.raises(ValueError, match="finite; row 0"):
        IsotonicCalibrator().fit([0.0, 1.0], [0, 1]).predict([np.nan])
