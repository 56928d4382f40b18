import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skroute.calibration import PerClassCalibrator
from skroute.calibration._apply import LONG_ROW, ByColumn


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("n_columns", [1, 2, 3, 77, LONG_ROW + 1])
@pytest.mark.parametrize("n_rows", [0, 1, 2, 7, 5000])
def test_numbers_of_columns_are_combined_as_numpy_does(n_rows, n_columns, order):
    n_rows = min(n_rows, 200_000 // n_columns)
    rng = np.random.default_rng(0)
    values, numbers = np.asarray(rng.normal(size=(n_rows, n_columns)), order=order), rng.normal(size=n_columns)
    before = values.copy()
    # Fewer rows than were announced, and more.
    for announced in (1, n_rows // 2, n_rows, 3 * n_rows):
        combine = ByColumn(numbers, announced)
        for out in (
            np.empty(values.shape),
            np.empty(values.shape, order="F"),
            np.empty((n_rows, 2 * n_columns))[:, ::2],
        ):
            combine(np.subtract, values, out)
            assert_array_equal(out, values - numbers)
        assert_array_equal(values, before)
        in_place = values.copy(order="K")
        combine(np.multiply, in_place, in_place)
        assert_array_equal(in_place, values * numbers)


@pytest.mark.parametrize("n_classes", [2, 3, 20])
def test_a_product_beyond_all_floats_moves_no_bit_of_other_rows(n_classes):
    rng = np.random.default_rng(0)
    scores, y = rng.normal(size=(8000, n_classes)), np.arange(8000) % n_classes
    scores[np.arange(8000), y] += 1.0
    calibrator = PerClassCalibrator("sigmoid").fit(scores, y)
    for one in calibrator.calibrators_:
        one.a_ = 2.0 * np.sign(one.a_)
    expected = calibrator.predict_proba(scores)
    scores[-1, -1] = 1.7e308
    with np.errstate(over="ignore"):
        found, by_parts = calibrator.predict_proba(scores), [*calibrator.predict_blocks(scores, 1600)]
    assert_array_equal(found[:-1], expected[:-1])
    assert_array_equal(np.concatenate(by_parts), found)
    assert found[-1, -1] > 0.3


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "beta", "none"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf, 1.7e308, -1.7e308])
def test_a_strange_score_changes_no_other_row(method, n_classes, strange):
    rng = np.random.default_rng(0)
    scores, y = rng.normal(size=(5000, n_classes)), np.arange(5000) % n_classes
    scores[np.arange(5000), y] += 1.0
    calibrator = PerClassCalibrator(method).fit(scores, y)
    expected, changed = calibrator.predict_proba(scores), scores.copy()
    for place in (0, 2500, 4999):
        changed[place, n_classes - 1] = strange
    if np.isinf(strange):
        with pytest.raises(ValueError, match="row 0"):
            calibrator.predict_proba(changed)
        return
    found, others = calibrator.predict_proba(changed), np.delete(np.arange(5000), [0, 2500, 4999])
    assert_allclose(found[others], expected[others], rtol=0, atol=1e-15)
    assert_allclose(found.sum(axis=1), 1.0)
    # A class that was not scored has nothing.
    strange_ones = found[[0, 2500, 4999], n_classes - 1]
    assert (strange_ones > 0.3).all() if strange > 0.0 else (strange_ones < 0.2).all()
