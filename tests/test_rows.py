import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skroute._rows import places_of, row_sums


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 800, 803])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 1.0])
@pytest.mark.parametrize("offset", [0, 3])
def test_flags_are_found_wherever_they_are(n, share, offset):
    flags = (np.random.default_rng(0).random(n + offset) < share)[offset:]
    places = places_of(flags)
    assert_array_equal(places, np.flatnonzero(flags))
    assert places.dtype == np.intp


@pytest.mark.parametrize("n_columns", [1, 2, 3, 8, 17, 18, 77])
@pytest.mark.parametrize("n_rows", [0, 1, 2, 3, 101])
@pytest.mark.parametrize("layout", ["C", "F", "every other row", "float32"])
def test_row_sums_are_sums_of_rows(n_columns, n_rows, layout):
    values = np.random.default_rng(0).random((2 * n_rows, n_columns))
    values = {
        "C": values[:n_rows],
        "F": np.asfortranarray(values[:n_rows]),
        "every other row": values[::2],
        "float32": values[:n_rows].astype(np.float32),
    }[layout]
    assert_allclose(row_sums(values), values.sum(axis=1, dtype=np.float64), rtol=1e-14)
