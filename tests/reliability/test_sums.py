from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from skroute.reliability._sums import GRID, block_sums, exact_ratio

rows = st.lists(st.tuples(st.integers(0, 2), st.floats(0, 1), st.booleans(), st.floats(1e-20, 1e20)), min_size=1)


def split(rows):
    code, confidence, right, weight = map(np.array, zip(*rows, strict=True))
    return code, confidence, right, weight


@given(rows)
def test_sums_are_exact(rows):
    code, confidence, right, weight = split(rows)
    sums = block_sums(code, confidence, right, weight, 3)
    for cell in range(3):
        mine = [row for row in rows if row[0] == cell]
        assert sums[0, cell] == len(mine)
        assert sums[1, cell] == sum(Fraction(w) for _, _, _, w in mine)
        assert sums[2, cell] == sum(Fraction(w * w) for _, _, _, w in mine)
        assert sums[3, cell] == sum(Fraction(w) for _, _, hit, w in mine if hit)
        exact = sum(Fraction(w) * Fraction(p) for _, p, _, w in mine)
        # Each confidence is rounded to the grid, and its product with the weight to a float64.
        assert abs(Fraction(sums[4, cell]) / GRID - exact) <= (Fraction(1, 2 * GRID) + Fraction(1e-15)) * sums[1, cell]


@given(rows, st.data())
def test_any_split_in_any_order_gives_the_same_sums(rows, data):
    shuffled = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(0, len(rows)))
    parts = [part for part in (shuffled[:cut], shuffled[cut:]) if part]
    whole = block_sums(*split(rows), 3)
    np.testing.assert_array_equal(sum(block_sums(*split(part), 3) for part in parts), whole)


@given(rows)
def test_unit_weights_are_no_weights(rows):
    code, confidence, right, _ = split(rows)
    np.testing.assert_array_equal(
        block_sums(code, confidence, right, np.ones(len(rows)), 3), block_sums(code, confidence, right, None, 3)
    )


@given(rows)
def test_without_weights_confidences_are_added_on_the_grid(rows):
    code, confidence, right, _ = split(rows)
    units = [round(Fraction(p) * GRID) for p in confidence.tolist()]
    sums = block_sums(code, confidence, right, None, 3)
    assert sums[4].tolist() == [sum(u for u, c in zip(units, code, strict=True) if c == cell) for cell in range(3)]


def test_a_full_block_of_the_largest_confidence_is_exact():
    confidence = np.full(2**16, 1 - 2**-41)
    sums = block_sums(np.zeros(2**16, dtype=int), confidence, confidence > 0, None, 1)
    assert sums[:, 0].tolist() == [2**16, 2**16, 2**16, 2**16, 2**16 * (GRID - 1)]


def test_ratios_without_rows_are_empty():
    none = np.array([0], dtype=object)
    assert np.isnan(exact_ratio(none, none)).all()
    assert exact_ratio(none, none, empty=0.0).tolist() == [0.0]
