import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.utils.fixes import parse_version

from skroute.calibration import TemperatureCalibrator

OLD_SKLEARN = parse_version(sklearn.__version__) < parse_version("1.8")


def beta_by_scipy(logits, y, weight):
    def loss(log_beta):
        logs = log_softmax(np.exp(log_beta) * logits, axis=1)
        return -np.average(logs[np.arange(len(y)), y], weights=weight)

    return np.exp(minimize_scalar(loss, bounds=(-10, 10), method="bounded", options={"xatol": 1e-12}).x)


@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("kind", ["logits", "proba"])
@pytest.mark.parametrize("weighted", [False, True])
def test_temperature_minimises_the_log_loss(sample, n_classes, kind, weighted):
    scores, y, weight = sample(n_classes)
    weight = weight if weighted else None
    given = softmax(scores, axis=1) if kind == "proba" else scores
    assert_allclose(TemperatureCalibrator().fit(given, y, weight).beta_, beta_by_scipy(scores, y, weight), rtol=1e-6)


@pytest.mark.skipif(OLD_SKLEARN, reason="scikit-learn has temperature scaling since 1.8")
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("recorded", ["scores", "proba"])
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_scikit_learn(sample, sklearn_proba, n_classes, recorded, weighted):
    scores, y, weight = sample(n_classes)
    weight = weight if weighted else None
    if recorded == "proba":
        scores = softmax(scores, axis=1)
    elif n_classes == 2:
        # scikit-learn reads one decision value d as the pair (-d, d).
        scores[:, 0] = -scores[:, 1]
    ours = TemperatureCalibrator().fit(scores, y, weight).predict_proba(scores)
    theirs = sklearn_proba(scores, y, scores, method="temperature", recorded=recorded, sample_weight=weight)
    assert_allclose(ours, theirs, atol=1e-6)


def test_integer_weights_are_repetitions(sample):
    scores, y, weight = sample(3)
    repeated = np.repeat(np.arange(len(y)), weight.astype(int))
    by_rows = TemperatureCalibrator().fit(scores[repeated], y[repeated])
    assert_allclose(TemperatureCalibrator().fit(scores, y, weight).beta_, by_rows.beta_, rtol=1e-9)


def test_row_order_is_irrelevant(sample):
    scores, y, weight = sample(3)
    order = np.random.default_rng(1).permutation(len(y))
    second = TemperatureCalibrator().fit(scores[order], y[order], weight[order])
    assert_allclose(TemperatureCalibrator().fit(scores, y, weight).beta_, second.beta_, rtol=1e-9)


def test_labels_of_any_type_serve(sample):
    scores, y, _ = sample(3)
    named = np.array(["unlock", "vpn", "attack"])
    by_name = TemperatureCalibrator().fit(scores, named[y], classes=named)
    assert_array_equal(by_name.classes_, named)
    assert by_name.beta_ == TemperatureCalibrator().fit(scores, y).beta_


def test_always_right_sharpens_to_the_limit_and_always_wrong_flattens_to_the_other():
    scores = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert_allclose(TemperatureCalibrator().fit(scores, [0, 1]).beta_, np.exp(10))
    assert_allclose(TemperatureCalibrator().fit(scores, [1, 0]).beta_, np.exp(-10))


@pytest.mark.parametrize("scale", [1e3, 1e-3])
def test_the_scale_of_decision_values_does_not_matter(sample, scale):
    scores, y, _ = sample(3)
    expected = TemperatureCalibrator().fit(scores, y).predict_proba(scores)
    assert_allclose(TemperatureCalibrator().fit(scores * scale, y).predict_proba(scores * scale), expected, atol=1e-9)


@pytest.mark.parametrize("scale", [1e6, 1e-9])
def test_scores_beyond_the_range_of_temperatures_stay_finite_and_ordered(sample, scale):
    scores, y, _ = sample(3)
    proba = TemperatureCalibrator().fit(scores * scale, y).predict_proba(scores * scale)
    assert_allclose(proba.sum(axis=1), 1.0)
    assert_array_equal(proba.argmax(axis=1), scores.argmax(axis=1))


def test_exact_zeros_and_ones_stay_finite():
    proba = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.5, 0.5], [1.0, 0.0, 0.0]])
    calibrated = TemperatureCalibrator().fit(proba, [0, 1, 2, 1]).predict_proba(proba)
    assert np.isfinite(calibrated).all()
    assert_allclose(calibrated.sum(axis=1), 1.0)
    assert (calibrated > 0.0).all()


@pytest.mark.parametrize("scores", [[[0.5, 0.5], [0.5, 0.5]], [[3.0, 3.0], [3.0, 3.0]], [[0.0, 0.0], [0.0, 0.0]]])
def test_scores_that_say_nothing_leave_the_temperature_at_one(scores):
    calibrator = TemperatureCalibrator().fit(scores, [0, 1])
    assert calibrator.beta_ == 1.0
    assert_allclose(calibrator.predict_proba(scores), 0.5)


def test_a_class_that_was_not_scored_gets_probability_zero_and_teaches_nothing(sample):
    scores, y, weight = sample(3)
    unknown = np.vstack([scores, [[5.0, -5.0, np.nan]]])
    calibrator = TemperatureCalibrator().fit(unknown, np.append(y, 2), np.append(weight, 1e3))
    assert_allclose(calibrator.beta_, TemperatureCalibrator().fit(scores, y, weight).beta_)
    proba = calibrator.predict_proba([[1.0, 0.0, np.nan]])
    assert_allclose(proba, [[*softmax([calibrator.beta_, 0.0]), 0.0]])


def test_a_fit_without_a_row_to_learn_from_leaves_the_temperature_at_one():
    assert TemperatureCalibrator().fit([[1.0, np.nan]], [1], classes=[0, 1]).beta_ == 1.0
    assert TemperatureCalibrator().fit([[1.0, 0.0], [0.0, 1.0]], [0, 1], [0, 0]).beta_ == 1.0


def test_one_row_and_an_absent_class_are_enough():
    proba = (
        TemperatureCalibrator().fit([[0.6, 0.3, 0.1]], ["a"], classes=["a", "b", "c"]).predict_proba([[0.6, 0.3, 0.1]])
    )
    assert np.isfinite(proba).all()
    assert_allclose(proba.sum(), 1.0)


@pytest.mark.parametrize("floor", [-0.1, 2.0, "a", None, np.nan])
def test_floor_must_lie_in_zero_to_one(floor):
    with pytest.raises(ValueError, match="'floor' parameter of TemperatureCalibrator"):
        TemperatureCalibrator(floor=floor).fit([[0.5, 0.5]], [0], classes=[0, 1])


def test_without_a_floor_exact_zeros_keep_probability_zero():
    proba = np.array([[1.0, 0.0], [0.0, 1.0], [0.7, 0.3], [0.3, 0.7], [0.6, 0.4]])
    calibrated = TemperatureCalibrator(floor=0.0).fit(proba, [0, 1, 1, 1, 0]).predict_proba(proba)
    assert_array_equal(calibrated[:2], [[1.0, 0.0], [0.0, 1.0]])
    assert_allclose(calibrated.sum(axis=1), 1.0)


@pytest.mark.parametrize(
    ("floor", "row", "beta"),
    [
        (0.0, [0.6, 5e-324], 1e-3),
        (0.0, [0.6, 1e-310], 0.01),
        (1e-300, [1e300, 0.0], 1e-3),
        (1.0, [1.0, 0.0], 6389.0),
        (1e-12, [0.3, 0.7], 2e4),
    ],
)
def test_one_row_and_many_rows_agree_at_the_ends_of_floats(floor, row, beta):
    calibrator = TemperatureCalibrator(floor=floor, kind="proba").fit([[0.6, 0.4], [0.4, 0.6], [0.3, 0.7]], [0, 1, 0])
    calibrator.beta_ = beta
    with np.errstate(divide="ignore"):
        expected = softmax(beta * np.log(np.array(row) + floor))
    for n_rows in (1, 3):
        assert_allclose(calibrator.predict_proba([row] * n_rows), [expected] * n_rows, atol=1e-10)


def test_decision_values_at_the_ends_of_floats_give_no_warning():
    calibrator = TemperatureCalibrator(kind="scores").fit([[1.0, 0.0], [0.0, 1.0], [0.5, 0.0]], [0, 1, 0])
    calibrator.beta_ = 10.0
    expected = [[1.0, 0.0], [0.0, 1.0]]
    assert_allclose(calibrator.predict_proba([[1e308, -1e307], [-1e308, 1e308]]), expected, atol=1e-12)


@pytest.mark.parametrize("floor", [0.0, 1e-3])
@pytest.mark.parametrize("n_rows", [1, 5])
def test_rows_that_are_no_probabilities_have_some_all_the_same(sample, floor, n_rows):
    scores, y, _ = sample(3)
    calibrator = TemperatureCalibrator(floor=floor, kind="proba").fit(softmax(scores, axis=1), y)
    calibrator.beta_ = 50.0
    for row, expected in (([0.0, 0.0, 0.0], [1 / 3] * 3), ([1e300, 1.0, 0.0], [1.0, 0.0, 0.0])):
        assert_allclose(calibrator.predict_proba([row] * n_rows), [expected] * n_rows, atol=1e-12)


@pytest.mark.parametrize(
    ("scores", "y", "classes", "message"),
    [
        ([[0.5, 0.5]], [0], None, "Pass classes="),
        ([[0.5, 0.5]], [0, 1], None, "as many rows"),
        ([[0.5, np.inf], [0.5, 0.5]], [0, 1], None, "finite; row 0"),
        ([[0.5, 0.5], [np.nan, np.nan]], [0, 1], None, "row 1 holds only NaN"),
        ([[0.5], [0.5]], [0, 1], None, "n_classes >= 2"),
        ([[0.5, 0.5]], ["atack"], ["attack", "unlock"], "Did you mean 'attack'"),
        ([[0.5, 0.5]], ["a"], ["a", "a"], "distinct"),
    ],
)
def test_bad_input_is_named(scores, y, classes, message):
    with pytest.raises(ValueError, match=message):
        TemperatureCalibrator().fit(scores, y, classes=classes)


@pytest.mark.parametrize("beta", [0.5, 20.0, 22.0, 1e3, 22026.0])
@pytest.mark.parametrize("n_rows", [1, 2000])
def test_powers_too_small_for_a_float_leave_the_shares_of_a_row_as_they_are(beta, n_rows):
    proba = np.tile([[0.36, 0.33, 0.31, 0.0], [0.0, 0.0, 0.0, 1.0]], (n_rows, 1))
    calibrator = TemperatureCalibrator().fit(proba[:2], [0, 3], classes=range(4))
    calibrator.beta_ = beta
    expected = softmax(beta * np.log(proba + 1e-12), axis=1)
    assert_allclose(calibrator.predict_proba(proba), expected, rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize("n_classes", [2, 3, 12])
@pytest.mark.parametrize("kind", ["scores", "proba"])
def test_many_rows_have_the_minimum_of_a_general_search(n_classes, kind):
    rng = np.random.default_rng(0)
    scores = 2.0 * rng.normal(size=(70_000, n_classes))
    y = (softmax(0.6 * scores, axis=1).cumsum(axis=1) < rng.random((len(scores), 1))).sum(axis=1)
    given = softmax(scores, axis=1) if kind == "proba" else scores
    expected = beta_by_scipy(np.log(given + 1e-12) if kind == "proba" else scores, y, np.ones(len(y)))
    assert_allclose(TemperatureCalibrator().fit(given, y).beta_, expected, rtol=1e-7)


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, np.int64])
def test_labels_of_any_whole_number_type_keep_it(dtype):
    labels = np.array([0, 7, 100], dtype=dtype)
    scores = np.random.default_rng(0).normal(size=(30, 3))
    calibrator = TemperatureCalibrator().fit(scores, labels[np.arange(30) % 3])
    assert calibrator.classes_.dtype == dtype
    assert_array_equal(calibrator.classes_, labels)


@pytest.mark.parametrize("labels", [[-128, 0, 127], [0, 2**40, 2**62], [2**63, 2**63 + 1, 2**64 - 1]])
def test_labels_that_cannot_be_counted_are_sorted(labels):
    labels = np.array(labels)
    scores = np.random.default_rng(0).normal(size=(30, 3))
    assert_array_equal(TemperatureCalibrator().fit(scores, labels[np.arange(30) % 3]).classes_, labels)


def test_the_caller_keeps_his_arrays(sample):
    scores, y, weight = sample(3)
    proba = softmax(scores, axis=1)
    for given in (scores, proba, np.asfortranarray(scores)):
        before = given.copy()
        TemperatureCalibrator().fit(given, y, weight)
        assert_array_equal(given, before)


@pytest.mark.parametrize("strange", [-0.0, -1e-13, -1e-7, 1.0 + 2.0**-52, 1.0 + 1e-7, 2.5])
@pytest.mark.parametrize("place", [0, 2999, 3000, 7999])
def test_what_is_no_probability_is_calibrated_as_scikit_learn_would_wherever_it_stands(strange, place):
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.ones(5), 8000)
    calibrator = TemperatureCalibrator(kind="proba").fit(proba, rng.integers(0, 5, 8000))
    expected, proba[place, 3] = calibrator.predict_proba(proba), strange
    found = calibrator.predict_proba(proba)
    others = np.arange(8000) != place
    assert_allclose(found[others], expected[others], rtol=0, atol=1e-15)
    logits = np.log(np.maximum(proba[place], 0.0) + calibrator.floor)
    assert_allclose(found[place], softmax(calibrator.beta_ * logits), rtol=0, atol=1e-12)


@pytest.mark.parametrize("place", [0, 2999, 3000, 7999])
@pytest.mark.parametrize("strange", [np.inf, -np.inf])
def test_infinite_scores_are_refused_wherever_they_stand(strange, place):
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.ones(5), 8000)
    calibrator = TemperatureCalibrator().fit(proba, rng.integers(0, 5, 8000))
    proba[place, 3] = strange
    with pytest.raises(ValueError, match=f"row {place}"):
        calibrator.predict_proba(proba)
