from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skroute.calibration import _isotonic_labels
from skroute.calibration._isotonic_labels import CELL, points_of_labels


@pytest.fixture(params=[1, 10**9], ids=["by cells", "by runs"], autouse=True)
def many(request, monkeypatch):
    monkeypatch.setattr(_isotonic_labels, "MANY", request.param)


def block_starts(label):
    """Return where blocks of the isotonic fit begin, by pooling violators one by one with exact means."""
    blocks = []
    for row, one in enumerate(label):
        blocks.append((row, int(one), 1))
        while len(blocks) > 1 and Fraction(*blocks[-2][1:]) >= Fraction(*blocks[-1][1:]):
            (start, *sums), (_, *more) = blocks[-2:]
            blocks[-2:] = [(start, sums[0] + more[0], sums[1] + more[1])]
    return [start for start, *_ in blocks]


def assert_blocks_begin_at_points(label):
    edges, ones = points_of_labels(label)
    assert edges[0] == 0
    assert edges[-1] == len(label)
    starts = edges[:-1][np.diff(edges) > 0]
    assert (np.diff(edges) >= 0).all()
    assert_array_equal(ones, [label[a:b].sum() for a, b in pairwise(edges)])
    assert set(block_starts(label)) <= set(starts.tolist())


LABELS = {
    "rising": lambda rng, n: rng.random(n) < np.arange(n) / n,
    "even": lambda rng, n: rng.random(n) < 0.5,
    "rare": lambda rng, n: rng.random(n) < 0.02,
    "steps": lambda rng, n: rng.random(n) < np.floor(4 * np.arange(n) / n) / 4,
    "sorted": lambda rng, n: np.arange(n) >= rng.integers(n + 1),
    "falling": lambda rng, n: np.arange(n) < rng.integers(n + 1),
    "in turns": lambda rng, n: (np.arange(n) + rng.integers(2)) % 2 == 0,
    "zeros": lambda rng, n: np.zeros(n, dtype=bool),
    "ones": lambda rng, n: np.ones(n, dtype=bool),
}


@pytest.mark.parametrize("kind", LABELS)
def test_every_block_begins_where_a_point_does(kind):
    for seed, n in enumerate([1, 2, CELL - 1, CELL, CELL + 1, 2 * CELL, 3 * CELL - 1, 200, 1000, 50 * CELL, 3001]):
        assert_blocks_begin_at_points(LABELS[kind](np.random.default_rng(seed), n))


@given(st.lists(st.booleans(), min_size=1, max_size=100))
def test_so_it_is_for_any_labels(label):
    assert_blocks_begin_at_points(np.array(label))


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 40)), min_size=1, max_size=12))
def test_so_it_is_for_any_runs(runs):
    assert_blocks_begin_at_points(np.repeat(*np.array(runs).T).astype(bool))


def test_many_rows_are_few_points(many):
    rng = np.random.default_rng(0)
    n = 200_000
    edges, _ = points_of_labels(rng.random(n) < np.arange(n) / n)
    # Half of all rows and more where labels rise, if all are told apart.
    assert len(edges) < n * (0.05 if _isotonic_labels.MANY == 1 else 0.5)
