import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from routing.hard_cases import lesson_gates

from skroute.calibration import PerClassCalibrator, SigmoidCalibrator, TemperatureCalibrator
from skroute.calibration._rough import LEAST_VALUES, estimates_of
from skroute.calibration._softmax import pass_rows
from skroute.routing._rough_routes import rough_routes

SIZES = [3, 18, 20, 77, 1000]


def rows_of(n_classes, seed=0, n_rows=None):
    """Return rows of all sorts: flat, peaked, one-hot, uniform, with tiny values and with exact zeros."""
    rng = np.random.default_rng(seed)
    n_rows = n_rows or 3 * pass_rows(n_classes)
    proba = rng.dirichlet(np.full(n_classes, 1.0), n_rows) ** rng.choice([0.1, 1.0, 3.0, 20.0], (n_rows, 1))
    proba[rng.random(proba.shape) < 0.1] = 0.0
    proba[rng.random(proba.shape) < 0.02] *= 1e-200
    proba[::50] = np.eye(n_classes)[np.arange(len(proba[::50])) % n_classes]
    proba[1::50] = 1.0
    proba[proba.sum(axis=1) == 0.0] = 1.0
    return proba / proba.sum(axis=1, keepdims=True)


def tempered(beta=1.0, floor=1e-12, n_classes=20):
    calibrator = TemperatureCalibrator(floor=floor)
    calibrator.beta_, calibrator.from_proba_, calibrator.classes_ = beta, True, np.arange(n_classes)
    return calibrator


def sigmoids(a, b, n_classes=20):
    calibrator = PerClassCalibrator("sigmoid")
    calibrator.calibrators_, calibrator.classes_ = [SigmoidCalibrator() for _ in range(n_classes)], np.arange(n_classes)
    for one, slope, intercept in zip(calibrator.calibrators_, a, b, strict=True):
        one.a_, one.b_ = float(slope), float(intercept)
    return calibrator


def random_sigmoids(n_classes, seed=0, size=20.0):
    rng = np.random.default_rng(seed)
    return sigmoids(-rng.uniform(0, size, n_classes), rng.uniform(-size, size, n_classes), n_classes)


def assert_within(calibrator, proba):
    """Assert that estimates are off by no more than they say, and that they do not say so of anything."""
    size = pass_rows(proba.shape[1])
    estimates = estimates_of(calibrator, proba, 2 * size)
    *parts, tail = estimates.parts()
    assert [part.stop - part.start for part in parts] == [2 * size]
    assert (tail.start, tail.stop) == (2 * size, len(proba))
    assert estimates.estimate(tail) is None
    exact, found = calibrator.predict_proba(proba)[parts[0]], estimates.estimate(parts[0])
    assert found.dtype == np.float32
    off = (np.abs(found - exact) / exact).max()
    assert estimates.error / 500 < off < estimates.error


@pytest.mark.parametrize("n_classes", SIZES)
@pytest.mark.parametrize("beta", [0.01, 0.3, 1.0, 2.4])
def test_rough_powers_keep_within_their_bound(beta, n_classes):
    for floor in (1e-12, 1e-3):
        assert_within(tempered(beta, floor, n_classes), rows_of(n_classes))


@pytest.mark.parametrize(("beta", "floor"), [(95.0, 1.0), (75.0, 0.7), (1.0, 1e-30), (28.0, 0.1)])
def test_rough_powers_keep_within_their_bound_where_they_are_small_or_large(beta, floor):
    assert_within(tempered(beta, floor, 77), rows_of(77))


@pytest.mark.parametrize("n_classes", SIZES)
@pytest.mark.parametrize("size", [0.1, 5.0, 30.0])
def test_rough_sigmoids_keep_within_their_bound(size, n_classes):
    for seed in range(3):
        assert_within(random_sigmoids(n_classes, seed, size), rows_of(n_classes))


@pytest.mark.parametrize("n_classes", SIZES)
@pytest.mark.parametrize("make", [tempered, lambda n_classes: random_sigmoids(n_classes)], ids=["powers", "sigmoids"])
def test_rows_that_are_asked_for_are_to_the_last_bit_those_of_all(make, n_classes):
    calibrator, size = make(n_classes=n_classes), pass_rows(n_classes)
    rng = np.random.default_rng(0)
    for extra in (0, 1, 2, 50, size - 1):
        proba = rows_of(n_classes, n_rows=max(4 * size, -(-LEAST_VALUES // n_classes)) + extra)
        whole, estimates = calibrator.predict_proba(proba), estimates_of(calibrator, proba, 2 * size)
        for part in estimates.parts():
            assert_array_equal(estimates.exact(part), whole[part])
        for n_rows in (1, 2, 3, 15, 16, 60, size - 1, size, size + 1, size + 3, 2 * size + 2):
            some = rng.integers(0, estimates.n_estimated, n_rows)
            assert_array_equal(estimates.exact(some), whole[some])


@pytest.mark.parametrize("value", [-1e-30, -0.0, 1.0 + 1e-15, np.nan, np.inf])
def test_scores_that_are_no_probabilities_are_not_estimated(value):
    proba = rows_of(20)
    proba[7, 3] = value
    estimates = estimates_of(tempered(), proba, pass_rows(20))
    first, second, _ = estimates.parts()
    assert estimates.estimate(first) is None
    assert estimates.estimate(second) is not None


def test_what_is_not_quicker_or_not_good_enough_is_not_estimated():
    proba, size = rows_of(20), pass_rows(20)
    assert estimates_of(tempered(), proba, size) is not None
    assert estimates_of(tempered(), proba[: LEAST_VALUES // 20], size) is None
    for some in (4, 17):
        # The last bit of their sums depends on the rows beside them.
        assert estimates_of(tempered(n_classes=some), rows_of(some), pass_rows(some)) is None
    assert estimates_of(tempered(n_classes=2), rows_of(2), pass_rows(2)) is not None
    assert estimates_of(tempered(beta=3.0), proba, size) is None
    assert estimates_of(tempered(floor=0.0), proba, size) is None
    # Neither the powers nor their inverses leave the range of float32, but their shares do.
    assert estimates_of(tempered(beta=130.0, floor=0.7), proba, size) is None
    for beta in (np.nan, -0.1):
        assert estimates_of(tempered(beta=beta), proba, size) is None
    of_scores = tempered()
    of_scores.from_proba_ = False
    assert estimates_of(of_scores, proba, size) is None
    assert estimates_of(random_sigmoids(20), proba, size) is not None
    for b in (200.0, np.nan, np.inf):
        assert estimates_of(sigmoids(np.ones(20), np.full(20, b)), proba, size) is None


@pytest.mark.parametrize("settings", [{"all": "raise"}, {"under": "raise"}, {"under": "warn"}], ids=str)
def test_what_is_too_small_for_float32_is_nobodys_business(settings):
    proba = rows_of(20)
    proba[proba == 0.0] = 1e-300
    for calibrator in (tempered(), random_sigmoids(20)):
        estimates = estimates_of(calibrator, proba, pass_rows(20))
        part = next(estimates.parts())
        with np.errstate(**settings):
            rough_routes(lesson_gates(20), estimates)
        assert_allclose(estimates.estimate(part), calibrator.predict_proba(proba)[part], atol=1e-5)


def test_only_calibrators_of_ours_are_estimated():
    class Derived(TemperatureCalibrator):
        pass

    class DerivedSigmoid(SigmoidCalibrator):
        pass

    proba, size = rows_of(20), pass_rows(20)
    derived = Derived()
    vars(derived).update(vars(tempered()))
    assert estimates_of(derived, proba, size) is None
    mixed = random_sigmoids(20)
    mixed.calibrators_[3] = DerivedSigmoid()
    assert estimates_of(mixed, proba, size) is None
    y = np.arange(len(proba)) % 20
    assert estimates_of(PerClassCalibrator("isotonic").fit(proba, y), proba, size) is None
