import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose
from sklearn.base import clone
from strategies import unhurried

from skroute.calibration import (
    IsotonicCalibrator,
    MatrixCalibrator,
    PerClassCalibrator,
    PooledCalibrator,
    TemperatureCalibrator,
    VectorCalibrator,
)
from skroute.calibration._joint import JointCalibrator
from skroute.calibration._one_row import MOST_SCALED, MOST_TEMPERED, finite_row, on_curve

CALIBRATORS = {
    "sigmoid": PerClassCalibrator(),
    "isotonic": PerClassCalibrator("isotonic"),
    "shrunk": PerClassCalibrator(IsotonicCalibrator(shrinkage=5.0)),
    "beta": PerClassCalibrator("beta"),
    "none": PerClassCalibrator("none"),
    "mixed": PerClassCalibrator({0: "isotonic", 1: "beta", "*": "sigmoid"}),
    "temperature": TemperatureCalibrator(),
    "temperature without floor": TemperatureCalibrator(floor=0.0),
    "vector": VectorCalibrator(),
    "matrix": MatrixCalibrator(),
    "auto": PooledCalibrator(),
}


def make_scores(kind, n_rows, n_classes, seed=0):
    """Return labels, and scores that say something of them, some of them far out."""
    rng = np.random.default_rng(seed)
    y = np.append(np.arange(n_classes), rng.integers(0, n_classes, n_rows - n_classes))
    margins = rng.normal(size=(n_rows, n_classes))
    margins[np.arange(n_rows), y] += 2.0
    margins[::7] *= 30.0
    if kind == "margins":
        return y, margins
    proba = np.exp(margins - margins.max(axis=1, keepdims=True))
    proba[::5][proba[::5] < 0.01] = 0.0
    return y, proba / proba.sum(axis=1, keepdims=True)


def assert_one_by_one(calibrator, scores):
    """Assert rows by themselves to have the probabilities that they have together."""
    alone = np.concatenate([calibrator.predict_proba(row[np.newaxis]) for row in scores])
    # A curve of the pool reads what the vector says, and may all but jump between neighbouring floats.
    rtol = 1e-6 if isinstance(calibrator, PooledCalibrator) else 1e-11
    assert_allclose(alone, calibrator.predict_proba(scores), rtol=rtol, atol=1e-300)


@pytest.mark.parametrize("kind", ["proba", "margins"])
@pytest.mark.parametrize("n_classes", [2, 3, MOST_TEMPERED, MOST_SCALED, MOST_SCALED + 1])
@pytest.mark.parametrize("name", CALIBRATORS)
def test_a_row_has_the_probabilities_that_it_has_among_others(name, n_classes, kind):
    y, scores = make_scores(kind, 12 * n_classes + 100, n_classes)
    calibrator = CALIBRATORS[name].fit(scores, y)
    assert_one_by_one(calibrator, make_scores(kind, 200, n_classes, seed=1)[1])


@pytest.mark.parametrize("name", CALIBRATORS)
def test_rows_far_from_those_of_the_fit_have_them_too(name):
    y, scores = make_scores("margins", 300, 3)
    calibrator = CALIBRATORS[name].fit(scores, y)
    far = [
        [1e308, -1e308, 0.0],
        [1e308, 1e308, 1e308],
        [-1e308] * 3,
        [800.0, -800.0, 3.0],
        [0.0] * 3,
        [-0.0, 5e-324, 1.0],
    ]
    assert_one_by_one(calibrator, np.array(far))


@pytest.mark.parametrize("name", CALIBRATORS)
def test_rows_that_no_probability_should_be_have_them_too(name):
    y, scores = make_scores("proba", 300, 3)
    calibrator = clone(CALIBRATORS[name]).set_params(kind="proba").fit(scores, y)
    assert_one_by_one(calibrator, np.array([[0.0, 0.0, 1.0], [-1e-7, 0.5, 0.5], [1.5, -0.2, 0.1], [1.0, 1.0, 1.0]]))


@unhurried
@given(scores=arrays("f8", (5, 4), elements=st.floats(-50.0, 50.0)), name=st.sampled_from(sorted(CALIBRATORS)))
def test_any_row_has_them(fitted, scores, name):
    assert_one_by_one(fitted[name], scores)


@pytest.fixture(scope="module")
def fitted():
    y, scores = make_scores("margins", 300, 4)
    return {name: calibrator.fit(scores, y) for name, calibrator in CALIBRATORS.items()}


@pytest.mark.parametrize("name", CALIBRATORS)
def test_a_row_with_a_missing_score_has_them_too(name):
    y, scores = make_scores("margins", 300, 3)
    calibrator = CALIBRATORS[name].fit(scores, y)
    proba = calibrator.predict_proba([[1.0, np.nan, 0.5]])
    assert proba[0, 1] == 0.0
    assert_allclose(proba, calibrator.predict_proba([[1.0, np.nan, 0.5], [0.0, 1.0, 2.0]])[:1], rtol=1e-11)


@pytest.mark.parametrize("name", CALIBRATORS)
def test_a_row_that_is_not_finite_is_refused_as_among_others(name):
    y, scores = make_scores("margins", 300, 3)
    calibrator = CALIBRATORS[name].fit(scores, y)
    with pytest.raises(ValueError, match="finite"):
        calibrator.predict_proba([[1.0, np.inf, 0.5]])


class Squared(IsotonicCalibrator):
    """Somebody's own, derived from one of ours."""

    def apply(self, values):
        return super().apply(values) ** 2


@pytest.mark.parametrize("methods", [Squared(), {0: Squared(), "*": "sigmoid"}, {0: "isotonic", "*": Squared()}])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_what_is_derived_from_ours_is_asked_for_one_row_as_for_many(methods, n_classes):
    y, scores = make_scores("proba", 300, n_classes)
    assert_one_by_one(PerClassCalibrator(methods).fit(scores, y), scores[:20])


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_a_floor_of_few_digits_is_the_number_that_it_is(kind):
    y, scores = make_scores("proba", 300, 3)
    assert_one_by_one(TemperatureCalibrator(floor=kind(0.1)).fit(scores, y), scores[:20])


def test_what_is_derived_without_a_way_for_one_row_has_that_for_many():
    class Derived(JointCalibrator):
        def _predict(self, scores):
            return np.full(scores.shape, 1.0 / scores.shape[1])

    calibrator = Derived()
    calibrator.kind = "auto"
    calibrator.classes_, calibrator.from_proba_, calibrator.unit_ = np.arange(2), True, 1.0
    assert calibrator.predict_proba([[0.2, 0.8]]).tolist() == [[0.5, 0.5]]


def test_what_a_single_row_is():
    assert finite_row(np.array([[1.0, 2.0]]), most=2) == [1.0, 2.0]
    assert finite_row(np.ones((2, 2)), most=2) is None
    assert finite_row(np.ones((0, 2)), most=2) is None
    assert finite_row(np.ones((1, 3)), most=2) is None
    assert finite_row(np.array([[1.0, np.nan]]), most=2) is None
    assert finite_row(np.array([[np.inf, -np.inf]]), most=2) is None


@unhurried
@given(st.data())
def test_a_value_on_a_curve_is_that_of_numpy(data):
    score = st.floats(-1e308, 1e308) | st.floats(-2.0, 2.0) | st.integers(-3, 3).map(float)
    x = np.array(sorted(data.draw(st.sets(score, min_size=1, max_size=9))))
    y = np.sort(data.draw(arrays(float, len(x), elements=st.floats(0.0, 1.0))))
    for value in [*x.tolist(), data.draw(score), -1.7e308, 1.7e308]:
        assert_allclose(on_curve(value, x, y), np.interp(value, x, y), rtol=0.0, atol=1e-15)
        assert type(on_curve(value, x, y)) is float
