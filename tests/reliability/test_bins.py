import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skroute.reliability._bins import FEW_BINS, assign_bins, quantile_edges, read_edges, uniform_edges

unit = st.floats(0, 1)


@given(st.lists(unit, min_size=1), st.integers(1, 2 * FEW_BINS))
def test_every_value_lies_in_its_left_closed_bin(values, n_bins):
    edges, values = uniform_edges(n_bins), np.array([*values, *uniform_edges(n_bins)])
    bins = assign_bins(values, edges)
    np.testing.assert_array_equal(bins, np.searchsorted(edges[1:-1], values, side="right"))
    assert (edges[bins] <= values).all()
    assert ((values < edges[bins + 1]) | (bins == n_bins - 1)).all()


@pytest.mark.parametrize("n_bins", [*range(1, 70), 100, 127, 128, 1000, 4095, 4096, 4097])
def test_values_around_every_edge_are_placed_as_by_searchsorted(n_bins):
    edges = uniform_edges(n_bins)
    steps = [edges]
    for _ in range(3):
        steps = [np.nextafter(steps[0], 0.0), *steps, np.nextafter(steps[-1], 1.0)]
    values = np.concatenate([*steps, edges * (1 - 2.0**-30), np.minimum(edges * (1 + 2.0**-30), 1.0), [5e-324, 1e-300]])
    expected = np.searchsorted(edges[1:-1], values, side="right")
    np.testing.assert_array_equal(assign_bins(values, edges), expected)
    # Alone, no neighbour sends a value to the exact comparison.
    alone = [assign_bins(values[[i]], edges)[0] for i in range(min(len(values), 500))]
    np.testing.assert_array_equal(alone, expected[:500])


@given(st.integers(2, 200), st.data())
def test_other_edges_are_never_taken_for_uniform_ones(n_bins, data):
    edges = uniform_edges(n_bins)
    moved = data.draw(st.integers(1, n_bins - 1))
    edges[moved] = np.nextafter(edges[moved], data.draw(st.sampled_from([0.0, 1.0])))
    values = np.array([uniform_edges(n_bins)[moved], edges[moved]])
    np.testing.assert_array_equal(assign_bins(values, edges), np.searchsorted(edges[1:-1], values, side="right"))


def test_bins_are_the_same_in_memory_that_is_handed_in():
    values = np.random.default_rng(0).random(500)
    room = np.empty(500, dtype=np.int32), np.empty(500, dtype=np.int32)
    bins = assign_bins(values, uniform_edges(15), room)
    assert bins is room[0]
    np.testing.assert_array_equal(bins, assign_bins(values, uniform_edges(15)))


def test_edges_open_their_own_bin_and_one_closes_the_last():
    edges = np.array([0.0, 0.25, 0.5, 1.0])
    values = np.array([0.0, np.nextafter(0.25, 0), 0.25, 0.5, 1.0])
    assert assign_bins(values, edges).tolist() == [0, 0, 1, 2, 2]


def test_quantile_bins_hold_equal_shares():
    values = np.random.default_rng(0).random(1000)
    counts = np.bincount(assign_bins(values, quantile_edges(values, 7)))
    assert len(counts) == 7
    assert counts.max() - counts.min() <= 1


def test_equal_values_share_one_quantile_bin():
    values = np.array([0.9] * 80 + [0.95] * 20)
    edges = quantile_edges(values, 10)
    assert edges.tolist() == [0.0, 0.9, 0.95, 1.0]
    assert quantile_edges(np.zeros(5), 3).tolist() == [0.0, 1.0]
    assert quantile_edges(np.ones(5), 3).tolist() == [0.0, 1.0]


@given(arrays(float, st.integers(1, 40), elements=unit), st.integers(1, 12), st.data())
def test_whole_weights_give_the_quantile_edges_of_repeated_rows(values, n_bins, data):
    weight = data.draw(arrays(int, len(values), elements=st.integers(1, 4)))
    repeated = quantile_edges(np.repeat(values, weight), n_bins)
    np.testing.assert_array_equal(quantile_edges(values, n_bins, weight.astype(float)), repeated)


@pytest.mark.parametrize(
    "bad", [[0.1, 1.0], [0.0, 0.9], [0.0, 0.5, 0.5, 1.0], [0.0, np.nan, 1.0], [1.0], 0, 2.5, "ten"]
)
def test_refuses_what_is_neither_a_count_nor_edges(bad):
    with pytest.raises(ValueError, match="'n_bins' parameter of door must be"):
        read_edges(bad, "door")


def test_reads_edges():
    assert read_edges(3, "door") == 3
    assert read_edges([0, 0.5, 1], "door").tolist() == [0.0, 0.5, 1.0]


def test_edges_are_numbers():
    with pytest.raises(ValueError, match="n_bins must hold real numbers, got <U3 values"):
        read_edges(["0", "0.5", "1"], "reliability_table")
