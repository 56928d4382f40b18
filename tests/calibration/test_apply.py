import numpy as np
import pytest
from numpy.testing import assert_array_equal

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
