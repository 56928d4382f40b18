import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from skroute.calibration import BetaCalibrator
from skroute.calibration._beta import RIDGE


def draw(n, *, truth=(1.5, 0.6, -0.3), seed=0):
    rng = np.random.default_rng(seed)
    proba = rng.beta(0.6, 0.8, n)
    a, b, c = truth
    y = rng.random(n) < expit(a * np.log(proba) - b * np.log1p(-proba) + c)
    return proba, y.astype(int), rng.integers(0, 4, n).astype(float)


def parameters_of(calibrator):
    return np.array([calibrator.a_, calibrator.b_, calibrator.c_])


def objective(parameters, proba, y, weight):
    raw = parameters[0] * np.log(proba) - parameters[1] * np.log1p(-proba) + parameters[2]
    loss = weight @ np.logaddexp(0, np.where(y == 1, -raw, raw))
    return loss + RIDGE / 2 * ((parameters - [1, 1, 0]) ** 2).sum()


def bounded_by_scipy(proba, y, weight):
    best = minimize(
        objective,
        [1.0, 1.0, 0.0],
        args=(proba, y, weight),
        bounds=[(0, None), (0, None), (None, None)],
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 5000},
    )
    return best.x


TRUTHS = {
    "both slopes": (1.5, 0.6, -0.3),
    "inverse S": (0.3, 0.4, 0.1),
    "no a": (-0.5, 1.0, 0.2),
    "no b": (1.0, -0.6, 0.2),
    "neither": (-0.7, -0.8, 0.1),
    "no a, more b": (-2.0, 0.1, 0.0),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("truth", TRUTHS.values(), ids=TRUTHS)
def test_is_the_optimum_under_the_bounds(truth, weighted):
    proba, y, weight = draw(300, truth=truth)
    weight = weight if weighted else np.ones(300)
    found = parameters_of(BetaCalibrator().fit(proba, y, weight))
    expected = bounded_by_scipy(proba, y, weight)
    assert_allclose(found, expected, atol=2e-4)
    # The general optimiser stops earlier.
    assert objective(found, proba, y, weight) <= objective(expected, proba, y, weight) + 1e-9
    assert_array_equal(found[:2] == 0, expected[:2] < 1e-6)


@pytest.mark.parametrize("n", [2000, 50_000])
def test_equals_logistic_regression_on_the_two_logarithms(n):
    proba, y, _ = draw(n)
    features = np.column_stack([np.log(proba), -np.log1p(-proba)])
    model = LogisticRegression(C=1e12, tol=1e-10, solver="newton-cholesky", max_iter=1000).fit(features, y)
    found = BetaCalibrator().fit(proba, y)
    # Off by the ridge alone, which fades with the number of rows.
    assert_allclose(parameters_of(found), [*model.coef_[0], *model.intercept_], atol=1.0 / n)
    assert_allclose(found.predict(proba), model.predict_proba(features)[:, 1], atol=0.1 / n)


def test_a_negative_slope_is_refitted_as_zero_as_in_the_paper():
    proba, y, _ = draw(5000, truth=TRUTHS["no a"])
    features = -np.log1p(-proba)[:, None]
    model = LogisticRegression(C=1e12, tol=1e-10, solver="newton-cholesky", max_iter=1000).fit(features, y)
    found = BetaCalibrator().fit(proba, y)
    assert found.a_ == 0.0
    assert_allclose([found.b_, found.c_], [*model.coef_[0], *model.intercept_], atol=1e-4)


def test_prediction_is_the_stated_formula():
    calibrator = BetaCalibrator().fit(*draw(300)[:2])
    proba = np.array([0.01, 0.3, 0.99])
    raw = calibrator.a_ * np.log(proba) - calibrator.b_ * np.log(1 - proba) + calibrator.c_
    assert_allclose(calibrator.predict(proba), expit(raw))


def test_recovers_a_known_distortion():
    proba, y, _ = draw(200_000)
    assert_allclose(parameters_of(BetaCalibrator().fit(proba, y)), TRUTHS["both slopes"], atol=0.03)


def test_decision_values_go_through_the_logistic_function():
    proba, y, weight = draw(300)
    by_scores = BetaCalibrator().fit(logit(proba), y, weight)
    by_proba = BetaCalibrator().fit(proba, y, weight)
    assert (by_scores.from_proba_, by_proba.from_proba_) == (False, True)
    assert_allclose(parameters_of(by_scores), parameters_of(by_proba), rtol=1e-9)
    assert_allclose(by_scores.predict(logit(proba)), by_proba.predict(proba), rtol=1e-9)


def test_the_kind_of_score_can_be_told():
    proba, y, _ = draw(300)
    told = BetaCalibrator(kind="scores").fit(proba, y)
    assert not told.from_proba_
    assert_allclose(parameters_of(told), parameters_of(BetaCalibrator().fit(expit(proba), y)), rtol=1e-7)
    with pytest.raises(ValueError, match="'kind' parameter of BetaCalibrator"):
        BetaCalibrator(kind="odds").fit(proba, y)


@pytest.mark.parametrize("truth", TRUTHS.values(), ids=TRUTHS)
def test_integer_weights_are_repetitions(truth):
    proba, y, weight = draw(300, truth=truth)
    proba = proba.round(3).clip(0.001, 0.999)
    repeated = np.repeat(np.arange(300), weight.astype(int))
    by_weight = BetaCalibrator().fit(proba, y, weight)
    by_rows = BetaCalibrator().fit(proba[repeated], y[repeated])
    assert_allclose(parameters_of(by_weight), parameters_of(by_rows), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("weights", ["whole", "real", None])
def test_row_order_changes_no_bit(weights):
    proba, y, weight = draw(300)
    proba = proba.round(2)
    weight = {"whole": weight, "real": np.random.default_rng(2).random(300), None: np.ones(300)}[weights]
    order = np.random.default_rng(1).permutation(300)
    first = BetaCalibrator().fit(proba, y, weight)
    second = BetaCalibrator().fit(proba[order], y[order], weight[order])
    assert_array_equal(parameters_of(first), parameters_of(second))


def test_rows_without_weight_take_no_part():
    full = BetaCalibrator().fit([0.1, 0.5, 0.6, 99.0], [0, 1, 0, 0], [1, 1, 1, 0])
    assert_array_equal(parameters_of(full), parameters_of(BetaCalibrator().fit([0.1, 0.5, 0.6], [0, 1, 0])))


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.integers(1, 5)), min_size=1, max_size=25),
    st.sampled_from([1.0, 30.0, 1e6]),
)
def test_never_falls_and_never_fails(rows, scale):
    scores, y, weight = (np.array(part) for part in zip(*rows, strict=True))
    scores = scores if scale == 1.0 else (scores - 0.5) * scale
    calibrator = BetaCalibrator().fit(scores, y, weight)
    assert np.isfinite(parameters_of(calibrator)).all()
    assert calibrator.a_ >= 0
    assert calibrator.b_ >= 0
    grid = np.linspace(0, 1, 201) if calibrator.from_proba_ else np.linspace(-2 * scale, 2 * scale, 201)
    proba = calibrator.predict(np.append(grid, np.sort(scores)))
    assert ((proba >= 0) & (proba <= 1)).all()
    assert (np.diff(proba[:201]) >= -1e-12).all()
    assert (np.diff(proba[201:]) >= -1e-12).all()


def test_separated_classes_stay_finite():
    proba = np.r_[np.linspace(0.1, 0.4, 20), np.linspace(0.6, 0.9, 20)]
    calibrated = BetaCalibrator().fit(proba, np.repeat([0, 1], 20)).predict(proba)
    assert 0.0 < calibrated.min() < 0.05
    assert 0.95 < calibrated.max() < 1.0


@pytest.mark.parametrize("score", [0.0, 1e-3, 0.4, 1.0, -2.0, 8.0])
def test_equal_scores_give_the_share(score):
    calibrator = BetaCalibrator().fit(np.full(400, score), np.arange(400) % 4 == 0)
    assert_allclose(calibrator.predict([score]), 0.25, atol=1e-3)


@pytest.mark.parametrize(("label", "bound"), [(1, 0.95), (0, 0.05)])
def test_a_single_label_goes_near_the_end_but_not_there(label, bound):
    proba = BetaCalibrator().fit([0.2, 0.3, 0.5], [label] * 3).predict([0.2, 0.3, 0.5])
    assert ((proba > bound) & (proba < 1)).all() if label else ((proba < bound) & (proba > 0)).all()


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("score", [0.0, 0.3, 1.0, -1e6, 1e6])
def test_one_row_is_enough(score, label):
    calibrator = BetaCalibrator().fit([score], [label])
    assert np.isfinite(parameters_of(calibrator)).all()
    assert abs(calibrator.predict([score])[0] - label) < 0.1


@pytest.mark.parametrize("scale", [1e6, 1e150, 1e308])
def test_huge_scores_count_by_their_sign(scale):
    scores = np.array([-1.0, -0.5, 0.5, 1.0] * 50)
    calibrator = BetaCalibrator().fit(scores * scale, (scores > 0) ^ (np.arange(200) < 20))
    # In either half, 10 of 100 labels are turned round.
    assert_allclose(calibrator.predict([-scale, scale]), [0.1, 0.9], atol=1e-3)


def test_exact_zeros_and_ones_are_kept_finite():
    proba = np.repeat([0.0, 0.5, 1.0], 40)
    y = np.arange(120) % 4 < np.repeat([1, 2, 3], 40)
    calibrator = BetaCalibrator().fit(proba, y)
    assert_allclose(calibrator.predict([0.0, 0.5, 1.0]), [0.25, 0.5, 0.75], atol=1e-3)


def test_state_survives_cloning_and_pickling():
    proba, y, _ = draw(300)
    calibrator = BetaCalibrator(kind="proba").fit(proba, y)
    assert clone(calibrator).get_params() == {"kind": "proba"}
    assert_array_equal(pickle.loads(pickle.dumps(calibrator)).predict(proba), calibrator.predict(proba))


@pytest.mark.parametrize(
    ("scores", "y", "weight", "message"),
    [
        ([], [], None, "at least one"),
        ([0.1, 0.2], [1], None, "as many rows"),
        ([0.1, np.nan], [0, 1], None, "finite; row 1"),
        ([0.1, 0.2], [0, 1], [1.0, -1.0], "not negative"),
        ([0.1, 0.2], [0, 1], [0.0, 0.0], "positive in at least one row"),
    ],
)
def test_bad_input_is_named(scores, y, weight, message):
    with pytest.raises(ValueError, match=message):
        BetaCalibrator().fit(scores, y, weight)


def test_prediction_needs_a_fit_and_finite_scores():
    with pytest.raises(NotFittedError):
        BetaCalibrator().predict([0.5])
    with pytest.raises(ValueError, match="finite; row 0"):
        BetaCalibrator().fit([0.2, 0.7], [0, 1]).predict([np.inf])


@pytest.mark.parametrize("weight", [1e9, 1e12, 1e14, 1e18])
def test_heavy_weights_have_the_same_optimum_among_many_rows_as_among_few(weight):
    rng = np.random.default_rng(0)
    scores = rng.random(3000)
    y = (scores > 0.5).astype(int)
    few = slice(None, None, 2)
    assert_allclose(
        [BetaCalibrator().fit(scores, y, np.full(3000, weight)).predict([0.1, 0.9])],
        [BetaCalibrator().fit(scores[few], y[few], np.full(1500, weight)).predict([0.1, 0.9])],
        atol=1e-6,
    )


def test_many_rows_have_the_optimum_that_a_general_search_finds():
    rng = np.random.default_rng(1)
    scores = rng.beta(0.5, 0.5, 5000).clip(1e-6, 1 - 1e-6)
    y = rng.random(5000) < scores**1.5
    design = np.column_stack([np.log(scores), -np.log1p(-scores), np.ones(5000)])

    def loss(parameters):
        raw = design @ parameters
        ridge = 0.5 * RIDGE * ((parameters - [1.0, 1.0, 0.0]) ** 2).sum()
        return np.logaddexp(0.0, np.where(y, -raw, raw)).sum() + ridge

    fitted = BetaCalibrator().fit(scores, y)
    best = minimize(loss, [1.0, 1.0, 0.0], method="BFGS", options={"gtol": 1e-8})
    assert loss(np.array([fitted.a_, fitted.b_, fitted.c_])) <= best.fun * (1.0 + 1e-12)


@pytest.mark.parametrize("weight", [[1e15, 1, 1], [1e17, 1, 1], [1e20, 1, 1], [1, 1e20, 1e-19], [1e20] * 3])
def test_weights_of_any_size_are_fitted(weight):
    found = BetaCalibrator().fit([0.2, 0.7, 0.4], [0, 1, 1], weight)
    proba = found.predict([0.2, 0.4, 0.7])
    assert np.isfinite(proba).all()
    assert (np.diff(proba) >= 0.0).all()
    assert BetaCalibrator().fit([0.2], [1], [1e20]).predict([0.2])[0] > 0.99
