import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.isotonic import IsotonicRegression

from skroute.calibration import IsotonicCalibrator, SigmoidCalibrator
from skroute.calibration._isotonic_fit import isotonic_knots


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
    learned = {name: value for name, value in vars(calibrator).items() if name.endswith("_")}
    assert {name: type(value) for name, value in learned.items()} == {"scores_": np.ndarray, "proba_": np.ndarray}
    again = pickle.loads(pickle.dumps(calibrator))
    assert_array_equal(again.predict(scores[:, 1]), calibrator.predict(scores[:, 1]))


def test_prediction_needs_a_fit_and_finite_scores():
    with pytest.raises(NotFittedError):
        IsotonicCalibrator().predict([0.5])
    with pytest.raises(ValueError, match="finite; row 0"):
        IsotonicCalibrator().fit([0.0, 1.0], [0, 1]).predict([np.nan])


def test_shrinkage_keeps_blocks_of_few_rows_off_zero_and_one():
    scores = np.linspace(0.05, 0.95, 10)
    y = np.repeat([0, 1], 5)
    assert set(IsotonicCalibrator().fit(scores, y).proba_) == {0.0, 1.0}
    # Means of the scores of either block: 0.25 and 0.75.
    assert_allclose(IsotonicCalibrator(shrinkage=5).fit(scores, y).predict([0.0, 1.0]), [0.125, 0.875])


def test_shrinkage_goes_from_the_share_to_the_belief():
    scores, y = np.array([0.2, 0.4, 0.9]), np.array([0, 1, 1])
    assert_allclose(IsotonicCalibrator(shrinkage=1e-9).fit(scores, y).predict(scores), [0, 1, 1], atol=1e-8)
    assert_allclose(IsotonicCalibrator(shrinkage=1e9).fit(scores, y).predict(scores), [0.2, 0.65, 0.65], atol=1e-8)


def test_decision_values_are_shrunk_towards_platts_sigmoid(sample):
    scores, y, weight = sample(2)
    values = scores[weight > 0, 1]
    platt = SigmoidCalibrator().fit(scores[:, 1], y, weight).predict(values)
    x, proba = isotonic_knots(values, y[weight > 0] == 1, weight[weight > 0], prior=platt, shrinkage=5.0)
    calibrator = IsotonicCalibrator(shrinkage=5.0).fit(scores[:, 1], y, weight)
    assert_allclose(calibrator.scores_, x)
    assert_allclose(calibrator.proba_, proba, atol=1e-12)
    assert 0 < proba.min() < proba.max() < 1


def test_integer_weights_are_repetitions_with_shrinkage(sample):
    scores, y, weight = sample(2)
    repeated = np.repeat(np.arange(len(y)), weight.astype(int))
    grid = np.linspace(-5, 5, 301)
    by_weight = IsotonicCalibrator(shrinkage=5.0).fit(scores[:, 1], y, weight).predict(grid)
    by_rows = IsotonicCalibrator(shrinkage=5.0).fit(scores[repeated, 1], y[repeated]).predict(grid)
    assert_allclose(by_weight, by_rows, atol=1e-10)


@pytest.mark.parametrize(
    ("scores", "y"),
    [([0.3], [1]), ([5.0], [0]), ([1.0, 2.0], [1, 1]), ([7.0, 7.0, 7.0], [0, 1, 1]), ([1e6, -1e6], [0, 1])],
)
def test_degenerate_input_stays_inside_with_shrinkage(scores, y):
    proba = IsotonicCalibrator(shrinkage=2.0).fit(scores, y).predict([-1e9, 0.5, 1e9])
    assert ((proba > 0) & (proba < 1)).all()
    assert (np.diff(proba) >= 0).all()


def test_exact_zeros_and_ones_are_beliefs_too():
    calibrator = IsotonicCalibrator(shrinkage=1.0).fit([0.0, 0.0, 1.0, 1.0], [0, 0, 1, 0])
    assert_allclose(calibrator.predict([0.0, 1.0]), [0.0, 2 / 3])


@pytest.mark.parametrize("shrinkage", [-1, np.nan, np.inf, "5", None, True])
def test_shrinkage_must_be_a_finite_amount(shrinkage):
    with pytest.raises(ValueError, match=r"'shrinkage' parameter of IsotonicCalibrator must be a finite number of at"):
        IsotonicCalibrator(shrinkage=shrinkage).fit([0.0, 1.0], [0, 1])


def test_a_failed_fit_leaves_the_object_as_it_was():
    calibrator = IsotonicCalibrator().fit([0.0, 1.0], [0, 1])
    with pytest.raises(ValueError, match="as many rows"):
        calibrator.fit([0.0, 1.0, 2.0], [0, 1])
    assert_array_equal(calibrator.scores_, [0.0, 1.0])
