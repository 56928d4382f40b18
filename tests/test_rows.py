import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skroute._rows import MANY_FLAGS, check_rows, column_sums, places_of, reduce_columns, row_sums


@pytest.mark.parametrize("n", [0, 1, 800, MANY_FLAGS, MANY_FLAGS + 3])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.06, 0.3, 1.0])
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


@pytest.mark.parametrize("n_columns", [2, 3, 8, 9, 17, 18, 77, 5000])
@pytest.mark.parametrize("order", ["C", "F"])
def test_sums_of_float32_near_the_tolerance_are_those_of_float64(n_columns, order):
    """In float32 such a sum may be off by as much as would let a row pass, or not."""
    proba = np.random.default_rng(n_columns).dirichlet(np.ones(n_columns), 50)
    for least, largest in [(0.994, 0.996), (1.004, 1.006), (0.9985, 0.9995)]:
        values = np.asarray(proba * np.linspace(least, largest, 50)[:, np.newaxis], dtype=np.float32, order=order)
        assert_allclose(row_sums(values), values.sum(axis=1, dtype=np.float64), rtol=1e-14)
        turned = np.ascontiguousarray(values.reshape(5, 10, n_columns).transpose(0, 2, 1))
        sums = np.empty(50)
        column_sums(turned, values, sums)
        assert_allclose(sums, values.sum(axis=1, dtype=np.float64), rtol=1e-14)


@pytest.mark.parametrize("n_columns", [2, 3, 8, 9, 17, 18, 77, 5000])
@pytest.mark.parametrize("order", ["C", "F"])
def test_sums_of_float32_close_to_one_are_close_to_those_of_float64(n_columns, order):
    values = np.random.default_rng(n_columns).dirichlet(np.ones(n_columns), 50).astype(np.float32, order=order)
    assert_allclose(row_sums(values), values.sum(axis=1, dtype=np.float64), atol=n_columns * 2.0**-24)
    values[7, 1] = np.nan
    assert np.isnan(row_sums(values)[7])


@pytest.mark.parametrize("combine", [np.add, np.maximum])
@pytest.mark.parametrize("n_columns", [1, 2, 3, 4, 5, 40])
@pytest.mark.parametrize("backwards", [False, True])
def test_columns_are_combined_wherever_they_lie(combine, n_columns, backwards):
    columns = np.random.default_rng(0).random((n_columns, 700))
    columns = columns[::-1].copy()[::-1] if backwards else columns
    out = np.empty(700)
    reduce_columns(combine, columns, out)
    assert_allclose(out, combine.reduce(columns, axis=0), rtol=1e-14)


PERCENT, SCORES, ROUNDED = "; these look like percentages", "; these look like scores", "; divide each row by its sum"


@pytest.mark.parametrize(
    ("values", "place", "hint"),
    [
        ([[50, 50], [37.2, 62.8]], "row 0 holds 50.0 in column 0", PERCENT),
        ([[1, 0], [33, 67.5], [34, 65]], "row 1 holds 33.0 in column 0", PERCENT),
        ([[100, 0], [30, 20]], "row 0 holds 100.0 in column 0", SCORES),
        ([[130, -30], [120, -20]], "row 0 holds 130.0 in column 0", SCORES),
        ([[0.2, 0.8], [2.5, -1.5], [-0.5, 0.1]], "row 1 holds 2.5 in column 0", SCORES),
        ([[1e308, 1e308], [-1, 2]], "row 0 holds 1e+308 in column 0", ""),
        ([[-np.inf, 0], [-2, -1]], "row 0 holds -inf in column 0", ""),
        ([[np.nan, 50], [50, 50]], "row 0 holds nan in column 0", ""),
        ([[0.2, 0.8], [1.2, -0.2], [0.3, 0.7]], "row 1 holds 1.2 in column 0", ""),
        ([[0.2, 0.8], [0.5, 0.41]], "row 1 sums to 0.91", ROUNDED),
        ([[0.2, 0.8], [0.6, 0.49]], "row 1 sums to 1.09", ROUNDED),
        ([[0.2, 0.8], [0.5, 0.3]], "row 1 sums to 0.8", ""),
        ([[0.9, 0.9], [0.8, 0.7]], "row 0 sums to 1.8", ""),
    ],
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_refused_rows_are_told_what_they_look_like_where_that_is_clear(values, place, hint, order):
    with pytest.raises(ValueError, match=r"^(proba|The rows of proba) must ") as caught:
        check_rows(np.array(values, dtype=float, order=order), "proba")
    assert re.search(rf"{re.escape(place + hint)}{'.+' if hint else ''}\.$", str(caught.value))


def test_the_advice_for_percentages_and_rounded_rows_helps():
    percent = np.array([[37.2, 62.8], [50.1, 49.9]])
    assert_array_equal(check_rows(percent / 100, "proba"), percent / 100)
    rounded = np.array([[0.3, 0.3, 0.3], [0.5, 0.2, 0.4]])
    check_rows(rounded / rounded.sum(axis=1, keepdims=True), "proba")
