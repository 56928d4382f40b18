import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_array_equal

from skroute.calibration import _isotonic_keys
from skroute.calibration._isotonic_keys import LIMIT, pack

# The least and largest numbers that are packed one way or another, and their neighbours.
EDGES = [0.0, -0.0, 5e-324, 2.3e-308, 1.0, np.nextafter(1.0, 0.0), np.nextafter(LIMIT, 0.0), LIMIT, 2.0, 3.0, 1e300]
EDGES += [-edge for edge in EDGES]


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(_isotonic_keys, "FEW", 1)


def rows(elements):
    """Draw scores and labels."""
    return st.integers(1, 40).flatmap(lambda n: st.tuples(arrays(float, n, elements=elements), arrays(bool, n)))


def assert_packed(packed, scores, label):
    order = np.lexsort((label, scores))
    found = packed.scores()
    assert_array_equal(found, scores[order])
    assert not np.signbit(found[found == 0.0]).any()
    assert_array_equal(packed.label, label[order])
    assert_array_equal(packed.scores(np.array([len(scores) - 1, 0])), scores[order][[-1, 0]])
    assert_array_equal(packed.scores(slice(1, None, 3)), scores[order][1::3])


@pytest.mark.parametrize("as_floats", [False, True])
@given(drawn=rows(st.floats(-1e3, 1e3) | st.sampled_from(EDGES)))
def test_rows_come_back_in_order_to_the_last_bit_or_not_at_all(as_floats, drawn):
    scores, label = drawn
    packed = pack(scores, label, as_floats=as_floats)
    size = np.abs(scores[scores != 0.0])
    if packed is not None:
        assert_packed(packed, scores, label)
    else:
        # Divided by a power of two that is above the largest, at most twice as large, the least would be subnormal.
        assert size.max() >= 1.0
        assert size.min() < 2.0**-1021 * size.max()


@pytest.mark.parametrize("as_floats", [False, True])
@given(drawn=rows(st.floats(0.0, LIMIT, exclude_max=True)))
def test_probabilities_are_always_packed(as_floats, drawn):
    assert_packed(pack(*drawn, as_floats=as_floats), *drawn)


@pytest.mark.parametrize("reach", [1e-200, 1.0, 40.0, 1e200])
def test_decision_values_of_many_rows_are_packed(reach):
    rng = np.random.default_rng(0)
    scores = np.round(rng.normal(size=100_000), 4) * reach
    label = rng.random(len(scores)) < 0.3
    assert_packed(pack(scores, label, as_floats=True), scores, label)


def test_digits_are_not_lost():
    label = np.zeros(2, dtype=bool)
    assert pack(np.array([2.0, 5e-324]), label, as_floats=True) is None
    assert pack(np.array([-1.7e308, 1.0]), label, as_floats=True) is None
    assert_packed(pack(np.array([2.0, 2.0**-1020]), label, as_floats=True), np.array([2.0, 2.0**-1020]), label)


def test_few_rows_with_signs_are_left_to_others(monkeypatch):
    monkeypatch.setattr(_isotonic_keys, "FEW", 3)
    label = np.zeros(3, dtype=bool)
    assert pack(np.array([-1.0, 1.0]), label[:2], as_floats=True) is None
    assert pack(np.array([0.5, 1.0]), label[:2], as_floats=True) is not None
    assert pack(np.array([-1.0, 1.0, 2.0]), label, as_floats=True) is not None
