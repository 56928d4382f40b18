import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from strategies import unhurried

from skroute.calibration import IsotonicCalibrator, PerClassCalibrator
from skroute.calibration._isotonic_table import FEW_COLUMNS, IsotonicTable, table_size

# Powers of two, their neighbours, the ends of cells, and what no cell can tell apart.
SPECIAL = [0.0, -0.0, 1.0, 0.5, 0.25, 2.0**-20, 2.0**-21, 2.0**-60, 5e-324, 1.0 - 2.0**-20, 1.0 - 2.0**-53, 0.75]
SPECIAL += [np.nextafter(value, towards) for value in (0.5, 0.25, 2.0**-20, 0.75) for towards in (0.0, 1.0)]


def draw_knots(rng, n_columns, n_knots, low=0.0, high=1.0, crowd=1.0):
    """Return knots of every column; the larger `crowd`, the closer most of them lie to the ends."""
    knots = []
    for _ in range(n_columns):
        x = rng.random(n_knots) ** crowd
        x = np.where(rng.random(n_knots) < 0.5, x, 1.0 - x)
        x = np.unique(low + (high - low) * np.append(x, rng.choice(SPECIAL, 3)))
        x = x[np.append(True, np.diff(x) >= 1e-15)]
        # Steps and slopes by turns, as pooled blocks leave them.
        y = np.sort(rng.choice(rng.random(max(len(x) // 2, 1)), len(x)))
        knots.append((x, y))
    return knots


def near(rng, knots, n_rows):
    """Return values on knots, one ulp beside them, between them, beyond them, and special ones."""
    columns = []
    for x, _ in knots:
        on = rng.choice(x, n_rows)
        beside = np.nextafter(on, rng.choice([-np.inf, np.inf], n_rows))
        reach = x[-1] - x[0] + 1.0
        between = rng.uniform(x[0] - 0.2 * reach, x[-1] + 0.2 * reach, n_rows)
        huge = rng.choice([-1e300, 1e300, -1e-300, 1e-300], n_rows)
        sort = rng.choice(5, n_rows, p=[0.25, 0.25, 0.4, 0.08, 0.02])
        columns.append(np.choose(sort, [on, beside, between, rng.choice(SPECIAL, n_rows), huge]))
    return np.stack(columns, axis=1)


def assert_interpolates(knots, values, n_rows=100_000):
    """Assert the table made for so many rows to give what a search gives."""
    table = IsotonicTable(knots, n_rows, *table_size(knots, n_rows))
    found = np.full(values.shape, np.nan)
    for start in range(0, len(values), 999):
        table.write(values[start : start + 999], found[start : start + 999])
    expected = np.stack([np.interp(values[:, k], x, y) for k, (x, y) in enumerate(knots)], axis=1)
    assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert found.min() >= min(y[0] for _, y in knots)
    assert found.max() <= max(y[-1] for _, y in knots)


@pytest.mark.parametrize("n_columns", [1, 3, FEW_COLUMNS, FEW_COLUMNS + 1, 30])
@pytest.mark.parametrize("ends", [(0.0, 1.0), (-4.0, 7.0), (0.0, 1e-9), (-1e6, 1e6), (0.3, 0.300001)], ids=str)
@pytest.mark.parametrize("n_knots", [1, 2, 40, 700])
def test_the_table_gives_what_a_search_gives(n_columns, ends, n_knots):
    rng = np.random.default_rng(n_columns)
    for crowd in (1.0, 12.0):
        knots = draw_knots(rng, n_columns, n_knots, *ends, crowd=crowd)
        values = near(rng, knots, 3000)
        for n_rows in (2000, 100_000, 10**7):
            assert_interpolates(knots, values, n_rows)


@unhurried
@given(
    x=st.lists(st.floats(0.0, 1.0) | st.sampled_from(SPECIAL), min_size=1, max_size=60),
    values=st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.floats(0.0, 1.0), min_size=1),
    signed=st.booleans(),
)
def test_the_table_gives_what_a_search_gives_for_any_knots(x, values, signed):
    x = np.unique(np.array(x) - (0.5 if signed else 0.0))
    x = x[np.append(True, np.diff(x) >= 1e-15)]
    y = np.linspace(0.1, 0.9, len(x)) ** 2
    values = np.concatenate([values, x, np.nextafter(x, -1), np.nextafter(x, 2)])[:, np.newaxis]
    assert_interpolates([(x, y)], values)


@pytest.mark.parametrize("n_classes", [2, 3, 12])
@pytest.mark.parametrize("order", "CF")
def test_many_rows_are_calibrated_like_one_at_a_time(n_classes, order):
    rng = np.random.default_rng(5)
    proba = rng.dirichlet(np.full(n_classes, 0.4), 30_000)
    y = (proba.cumsum(axis=1) < rng.random((len(proba), 1))).sum(axis=1)
    fitted = PerClassCalibrator("isotonic").fit(proba[:4000], y[:4000])
    fast = fitted.predict_proba(np.asarray(proba, order=order))
    slow = np.concatenate([fitted.predict_proba(proba[i : i + 1]) for i in range(0, 30_000, 100)])
    assert IsotonicTable.for_rows([(one.scores_, one.proba_) for one in fitted.calibrators_], len(proba)) is not None
    assert_allclose(fast[::100], slow, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_columns", [1, 3, 20])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_flat_cells_are_read_and_others_are_not(n_columns, scale):
    rng = np.random.default_rng(n_columns)
    knots = []
    for _ in range(n_columns):
        edges = np.sort(rng.permutation(1000)[:31] / 1000)
        # Flat, but for what lies between the end of one stretch and the start of the next.
        x = scale * np.column_stack([edges[:-1], edges[1:] - 1e-9]).ravel()
        knots.append((x, np.repeat(np.sort(rng.random(30)), 2)))
    sloped = [(x, np.linspace(0.1, 0.9, len(x))) for x, _ in knots]
    assert IsotonicTable.for_rows(knots, 100_000).value is not None
    assert IsotonicTable.for_rows(sloped, 100_000).value is None
    for functions in (knots, sloped):
        assert_interpolates(functions, near(rng, functions, 3000))


def test_few_rows_are_searched():
    fitted = [IsotonicCalibrator().fit([0.1, 0.4, 0.9], [0, 1, 1])]
    assert IsotonicTable.for_rows([(one.scores_, one.proba_) for one in fitted], 500) is None
