import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.isotonic import IsotonicRegression

from skroute.calibration import IdentityCalibrator, IsotonicCalibrator, PerClassCalibrator, SigmoidCalibrator

CLASSES = np.array(["attack", "unlock", "vpn"])


class Share(BaseEstimator):
    """A calibrator of one class that knows no weights and no scores: the share of the class."""

    def fit(self, scores, y):
        self.share_ = np.mean(y)
        return self

    def predict(self, scores):
        return np.full(len(scores), self.share_)


def normalised(columns):
    proba = np.column_stack(columns)
    return proba / proba.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_scikit_learn(sample, sklearn_proba, method, n_classes, weighted):
    scores, y, weight = sample(n_classes)
    weight = weight if weighted else None
    ours = PerClassCalibrator(method).fit(scores, y, weight).predict_proba(scores)
    assert_allclose(ours, sklearn_proba(scores, y, scores, method=method, sample_weight=weight), atol=1e-6)


def test_each_class_gets_the_method_that_the_dict_names(sample):
    scores, y, weight = sample(3)
    methods = {"attack": "isotonic", "vpn": "none", "*": "sigmoid"}
    proba = PerClassCalibrator(methods).fit(scores, CLASSES[y], weight).predict_proba(scores)
    isotonic = IsotonicRegression(out_of_bounds="clip").fit(scores[:, 0], y == 0, weight)
    sigmoid = SigmoidCalibrator().fit(scores[:, 1], y == 1, weight)
    expected = [isotonic.predict(scores[:, 0]), sigmoid.predict(scores[:, 1]), expit(scores[:, 2])]
    assert_allclose(proba, normalised(expected), atol=1e-12)


@pytest.mark.parametrize(
    ("methods", "kinds"),
    [
        ({"vpn": "isotonic"}, [SigmoidCalibrator, SigmoidCalibrator, IsotonicCalibrator]),
        ({"*": "none"}, [IdentityCalibrator] * 3),
        ({"*": "isotonic", "unlock": "sigmoid"}, [IsotonicCalibrator, SigmoidCalibrator, IsotonicCalibrator]),
        ({"attack": Share(), "*": IsotonicRegression()}, [Share, IsotonicRegression, IsotonicRegression]),
        ({}, [SigmoidCalibrator] * 3),
    ],
)
def test_the_star_stands_for_the_classes_not_named_and_sigmoid_for_the_star(sample, methods, kinds):
    scores, y, _ = sample(3)
    given = dict(methods)
    fitted = PerClassCalibrator(methods).fit(scores, CLASSES[y])
    assert [type(calibrator) for calibrator in fitted.calibrators_] == kinds
    assert methods == given


@pytest.mark.parametrize(("labels", "key"), [([0, 1, 2], "1"), ([False, True], "True"), (["0", "1"], 1)])
def test_labels_match_by_their_text(sample, labels, key):
    scores, y, _ = sample(len(labels))
    fitted = PerClassCalibrator({key: "isotonic"}).fit(scores, np.array(labels)[y])
    assert [type(calibrator) for calibrator in fitted.calibrators_].index(IsotonicCalibrator) == 1


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"atack": "sigmoid"}, "Did you mean 'attack'"),
        ({"attack": "platt"}, "one of 'sigmoid', 'isotonic', 'beta', 'none' or an object .* Got 'platt'"),
        ({"attack": "temperature"}, "Got 'temperature'"),
        ({"*": None}, "Got None"),
        ({"vpn": SigmoidCalibrator}, "Got <class"),
        ("platt", "Got 'platt'"),
    ],
)
def test_wrong_names_and_methods_are_refused(sample, methods, message):
    scores, y, _ = sample(3)
    with pytest.raises(ValueError, match=message):
        PerClassCalibrator(methods).fit(scores, CLASSES[y])


def test_a_class_named_twice_is_refused(sample):
    scores, y, _ = sample(3)
    with pytest.raises(ValueError, match="twice"):
        PerClassCalibrator({1: "sigmoid", "1": "isotonic"}).fit(scores, y)


def test_isotonic_regression_of_scikit_learn_serves_as_it_is(sample):
    scores, y, weight = sample(3)
    theirs = IsotonicRegression(out_of_bounds="clip")
    proba = PerClassCalibrator(theirs).fit(scores, y, weight).predict_proba(scores)
    assert_allclose(proba, PerClassCalibrator("isotonic").fit(scores, y, weight).predict_proba(scores), atol=1e-12)
    assert not hasattr(theirs, "X_thresholds_")


def test_a_calibrator_that_takes_no_weights_is_fitted_without_them(sample):
    scores, y, weight = sample(3)
    proba = PerClassCalibrator(Share()).fit(scores, y, weight).predict_proba(scores)
    used = y[weight > 0]
    assert_allclose(proba, np.tile([np.mean(used == i) for i in range(3)], (len(y), 1)))


def test_two_classes_share_a_calibrator_only_where_it_is_the_same(sample):
    scores, y, _ = sample(2)
    shared = PerClassCalibrator({0: "isotonic", 1: "isotonic"}).fit(scores, y)
    own = PerClassCalibrator({0: "isotonic", 1: "sigmoid"}).fit(scores, y)
    expected = [
        IsotonicRegression(out_of_bounds="clip").fit(scores[:, 0], y == 0).predict(scores[:, 0]),
        SigmoidCalibrator().fit(scores[:, 1], y == 1).predict(scores[:, 1]),
    ]
    assert (len(shared.calibrators_), len(own.calibrators_)) == (1, 2)
    assert_allclose(own.predict_proba(scores), normalised(expected), atol=1e-12)


def test_integer_weights_are_repetitions(sample):
    scores, y, weight = sample(4)
    repeated = np.repeat(np.arange(len(y)), weight.astype(int))
    methods = {0: "isotonic", 1: "none", "*": "sigmoid"}
    by_weight = PerClassCalibrator(methods).fit(scores, y, weight).predict_proba(scores)
    by_rows = PerClassCalibrator(methods).fit(scores[repeated], y[repeated]).predict_proba(scores)
    assert_allclose(by_weight, by_rows, atol=1e-9)


def test_row_order_is_irrelevant(sample):
    scores, y, weight = sample(4)
    order = np.random.default_rng(1).permutation(len(y))
    methods = {0: "isotonic", "*": "sigmoid"}
    first = PerClassCalibrator(methods).fit(scores, y, weight).predict_proba(scores)
    second = PerClassCalibrator(methods).fit(scores[order], y[order], weight[order]).predict_proba(scores)
    assert_allclose(first, second, atol=1e-9)


def test_a_row_where_every_class_gets_zero_becomes_uniform():
    scores = np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]])
    calibrator = PerClassCalibrator("isotonic").fit(scores, [0, 1, 2])
    assert_allclose(calibrator.predict_proba([[-1.0, -1.0, -1.0]]), [[1 / 3] * 3])


def test_unscored_cells_are_left_out_of_the_fit_of_their_class_only(sample):
    scores, y, weight = sample(3)
    holes = scores.copy()
    holes[:50, 2] = np.nan
    calibrator = PerClassCalibrator("sigmoid").fit(holes, y, weight)
    whole = PerClassCalibrator("sigmoid").fit(scores, y, weight)
    alone = SigmoidCalibrator().fit(scores[50:, 2], y[50:] == 2, weight[50:])
    assert calibrator.calibrators_[0].a_ == whole.calibrators_[0].a_
    assert_allclose([calibrator.calibrators_[2].a_, calibrator.calibrators_[2].b_], [alone.a_, alone.b_])


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "none"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_an_unscored_cell_gets_probability_zero(sample, method, n_classes):
    scores, y, _ = sample(n_classes)
    calibrator = PerClassCalibrator(method).fit(scores, y)
    for unknown in range(n_classes):
        row = np.where(np.arange(n_classes) == unknown, np.nan, 0.3)[None]
        proba = calibrator.predict_proba(row)
        assert proba[0, unknown] == 0.0
        assert_allclose(proba.sum(), 1.0)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "none"])
@pytest.mark.parametrize(
    ("scores", "y"),
    [
        ([[0.2, 0.5, 0.3]], ["vpn"]),
        ([[1e6, -1e6, 0.0], [-1e6, 1e6, 0.0]], ["attack", "unlock"]),
        ([[1.0, 1.0, 1.0]] * 4, ["attack", "unlock", "unlock", "vpn"]),
        ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], ["unlock", "attack"]),
        ([[3.0, 1.0, np.nan], [2.0, 4.0, np.nan]], ["attack", "unlock"]),
        ([[3.0, 1.0, 2.0], [2.0, 4.0, 1.0]], ["attack", "attack"]),
    ],
    ids=["one row", "huge", "constant", "exact zeros and ones", "class never scored", "single label"],
)
def test_degenerate_input_gives_finite_rows_that_sum_to_one(method, scores, y):
    proba = PerClassCalibrator(method).fit(scores, y, classes=CLASSES).predict_proba(scores)
    assert np.isfinite(proba).all()
    assert_allclose(proba.sum(axis=1), 1.0)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_fit_without_any_weight_knows_nothing(sample, n_classes):
    scores, y, weight = sample(n_classes)
    proba = PerClassCalibrator("sigmoid").fit(scores, y, 0 * weight).predict_proba(scores)
    assert_array_equal(proba, np.full(scores.shape, 1 / n_classes))


def test_prediction_needs_a_fit_and_the_columns_of_the_fit(sample):
    scores, y, _ = sample(3)
    with pytest.raises(NotFittedError):
        PerClassCalibrator().predict_proba(scores)
    with pytest.raises(ValueError, match=r"shape \(n_samples, 3\)"):
        PerClassCalibrator().fit(scores, y).predict_proba(scores[:, :2])


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_many_rows_are_fitted_as_single_columns_are(method, order):
    rng = np.random.default_rng(0)
    scores = np.asarray(rng.normal(size=(20_000, 3)), order=order)
    y = (scores + rng.normal(size=scores.shape)).argmax(axis=1)
    before = scores.copy()
    fitted = PerClassCalibrator(method).fit(scores, y)
    grid = np.linspace(-3, 3, 50)
    for k, one in enumerate(fitted.calibrators_):
        alone = type(one)().fit(scores[:, k].copy(), y == k)
        np.testing.assert_allclose(one.predict(grid), alone.predict(grid), rtol=1e-12)
    np.testing.assert_array_equal(scores, before)
