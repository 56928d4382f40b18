import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.special import expit

from skroute.calibration import SigmoidCalibrator


def platt_by_scipy(scores, y, weight):
    """Minimise the log loss against Platt's smoothed targets by a general optimiser."""
    n_positive, n_negative = weight[y == 1].sum(), weight[y == 0].sum()
    target = np.where(y == 1, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))

    def loss(parameters):
        raw = parameters[0] * scores + parameters[1]
        return weight @ (target * np.logaddexp(0, -raw) + (1 - target) * np.logaddexp(0, raw)) / weight.sum()

    best = minimize(loss, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-15, "maxiter": 4000})
    return -best.x


@pytest.mark.parametrize("weighted", [False, True])
def test_slope_and_intercept_minimise_platts_loss(sample, weighted):
    scores, y, weight = sample(2)
    weight = weight if weighted else np.ones(len(y))
    calibrator = SigmoidCalibrator().fit(scores[:, 1], y, weight)
    assert_allclose([calibrator.a_, calibrator.b_], platt_by_scipy(scores[:, 1], y, weight), atol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e4])
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_scikit_learn_at_any_scale(sample, sklearn_proba, scale, weighted):
    scores, y, weight = sample(2)
    scores *= scale
    weight = weight if weighted else None
    grid = np.column_stack([np.zeros(50), np.linspace(-4, 4, 50) * scale])
    ours = SigmoidCalibrator().fit(scores[:, 1], y, weight).predict(grid[:, 1])
    theirs = sklearn_proba(scores, y, grid, method="sigmoid", sample_weight=weight)
    assert_allclose(ours, theirs[:, 1], atol=1e-5 if scale < 1 else 1e-6)


def test_prediction_is_the_stated_formula():
    calibrator = SigmoidCalibrator().fit([-2.0, -1.0, 0.5, 3.0], [0, 0, 1, 1])
    scores = np.array([-5.0, 0.0, 7.0])
    assert_allclose(calibrator.predict(scores), expit(-(calibrator.a_ * scores + calibrator.b_)))


def test_integer_weights_are_repetitions(sample):
    scores, y, weight = sample(2)
    repeated = np.repeat(np.arange(len(y)), weight.astype(int))
    by_weight = SigmoidCalibrator().fit(scores[:, 1], y, weight)
    by_rows = SigmoidCalibrator().fit(scores[repeated, 1], y[repeated])
    assert_allclose([by_weight.a_, by_weight.b_], [by_rows.a_, by_rows.b_], rtol=1e-9)


def test_row_order_is_irrelevant(sample):
    scores, y, weight = sample(2)
    order = np.random.default_rng(1).permutation(len(y))
    first = SigmoidCalibrator().fit(scores[:, 1], y, weight)
    second = SigmoidCalibrator().fit(scores[order, 1], y[order], weight[order])
    assert_allclose([first.a_, first.b_], [second.a_, second.b_], rtol=1e-9)


def test_equal_scores_give_the_smoothed_share():
    # The optimum is flat in the slope; the mean target is (3 * 4/5 + 1 * 1/3) / 4.
    calibrator = SigmoidCalibrator().fit([7.0, 7.0, 7.0, 7.0], [1, 1, 1, 0])
    assert calibrator.a_ == 0.0
    assert_allclose(calibrator.predict([-100.0, 100.0]), (3 * 4 / 5 + 1 / 3) / 4)


@pytest.mark.parametrize(("label", "expected"), [(1, 4 / 5), (0, 1 / 5)])
def test_a_single_label_gives_platts_prior(label, expected):
    calibrator = SigmoidCalibrator().fit([1.0, 2.0, 5.0], [label] * 3)
    assert_allclose(calibrator.predict([-1.0, 2.0, 9.0]), expected, atol=1e-9)


def test_one_row_is_enough():
    assert_allclose(SigmoidCalibrator().fit([3.0], [1]).predict([0.0, 3.0]), 2 / 3)


@pytest.mark.parametrize("scale", [1e6, 1e150, 1e-150])
def test_huge_and_tiny_scores_stay_finite_and_ordered(scale):
    scores = np.array([-3.0, -1.0, 1.0, 2.0]) * scale
    proba = SigmoidCalibrator().fit(scores, [0, 1, 0, 1]).predict(scores)
    assert_allclose(proba, SigmoidCalibrator().fit(scores / scale, [0, 1, 0, 1]).predict(scores / scale), atol=1e-9)


def test_separated_classes_keep_a_finite_slope(sklearn_proba):
    scores = np.column_stack([np.zeros(40), np.r_[np.linspace(-2, -1, 20), np.linspace(1, 2, 20)]])
    y = np.repeat([0, 1], 20)
    proba = SigmoidCalibrator().fit(scores[:, 1], y).predict(scores[:, 1])
    assert_allclose(proba, sklearn_proba(scores, y, scores, method="sigmoid")[:, 1], atol=1e-5)
    assert 0.0 < proba.min() < proba.max() < 1.0


def test_rows_without_weight_take_no_part():
    full = SigmoidCalibrator().fit([1.0, 2.0, 3.0, 1e9], [0, 1, 1, 0], [1, 1, 1, 0])
    cut = SigmoidCalibrator().fit([1.0, 2.0, 3.0], [0, 1, 1])
    assert_allclose([full.a_, full.b_], [cut.a_, cut.b_])


@pytest.mark.parametrize(
    ("scores", "y", "weight", "message"),
    [
        ([], [], None, "at least one"),
        ([1.0, 2.0], [1], None, "as many rows"),
        ([1.0, np.nan], [0, 1], None, "finite; row 1"),
        ([1.0, np.inf], [0, 1], None, "finite; row 1"),
        ([1.0, 2.0], [0, 1], [1.0, -1.0], "not negative"),
        ([1.0, 2.0], [0, 1], [1.0], "one value a row"),
        ([1.0, 2.0], [0, 1], [0.0, 0.0], "positive in at least one row"),
        ([[1.0, 2.0]], [0], None, "one-dimensional"),
    ],
)
def test_bad_input_is_named(scores, y, weight, message):
    with pytest.raises(ValueError, match=message):
        SigmoidCalibrator().fit(scores, y, weight)
