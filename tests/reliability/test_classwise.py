"""The fast sums of all classes, held against the plain ones column by column."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import rows, unhurried

from skroute.reliability import ReliabilityTable, _classwise, reliability_table
from skroute.reliability._bins import assign_bins, quantile_edges, uniform_edges
from skroute.reliability._classwise import classwise_sums
from skroute.reliability._sums import block_sums


def plain(values, truth, edges):
    """Return the sums of every column by the definition in `block_sums`."""
    parts = [
        block_sums(assign_bins(p.astype(float), edges), p.astype(float), truth == c, None, len(edges) - 1)
        for c, p in enumerate(values.T)
    ]
    return np.stack(parts, axis=1)


def generated(n_rows, n_classes, sharp=1.0, seed=0):
    rng = np.random.default_rng(seed)
    weight = rng.exponential(size=(n_rows, n_classes)) ** sharp
    return weight / weight.sum(axis=1, keepdims=True), rng.integers(0, n_classes, n_rows)


@unhurried
@given(st.data(), st.integers(2, 5), st.integers(1, 64))
def test_sums_are_those_of_single_columns(data, n_classes, n_bins):
    values = data.draw(rows(n_classes, max_rows=80))
    truth = np.array(data.draw(st.lists(st.integers(0, n_classes - 1), min_size=len(values), max_size=len(values))))
    edges = uniform_edges(n_bins)
    np.testing.assert_array_equal(classwise_sums(values, truth, edges), plain(values, truth, edges))


@pytest.mark.parametrize("block", [2**8, 2**13, 2**17])
@pytest.mark.parametrize(("n_classes", "sharp"), [(2, 1.0), (3, 4.0), (24, 1.0), (25, 6.0), (40, 1.0), (90, 8.0)])
def test_dense_and_sparse_blocks_of_any_size_agree(n_classes, sharp, block, monkeypatch):
    monkeypatch.setattr(_classwise, "BLOCK", block)
    monkeypatch.setattr(_classwise, "SPARSE_BLOCK", 8 * block)
    monkeypatch.setattr(_classwise, "SPARSE_PART", 2 * block)
    values, truth = generated(9000 if n_classes < 4 else 700, n_classes, sharp)
    for edges in (uniform_edges(1), uniform_edges(15), quantile_edges(values.ravel(), 10)):
        expected = plain(values, truth, edges)
        for share in (0.0, 1.0):
            monkeypatch.setattr(_classwise, "SPARSE_SHARE", share)
            np.testing.assert_array_equal(classwise_sums(values, truth, edges), expected)


@pytest.mark.parametrize("n_classes", [2, 30])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0, 1 - 2.0**-41])
def test_the_fullest_cells_are_exact(n_classes, value):
    """All rows in one cell is what comes closest to the limits of the packed sums."""
    values = np.zeros((70_000, n_classes))
    values[:, 0], values[:, 1] = value, 1.0 - value
    truth = np.zeros(70_000, dtype=int)
    np.testing.assert_array_equal(classwise_sums(values, truth, uniform_edges(4)), plain_in_parts(values, truth))


def plain_in_parts(values, truth):
    parts = [plain(values[i : i + 2**15], truth[i : i + 2**15], uniform_edges(4)) for i in range(0, len(values), 2**15)]
    return sum(parts)


def test_chunks_do_not_show(monkeypatch):
    values, truth = generated(1000, 3)
    whole = classwise_sums(values, truth, uniform_edges(10))
    monkeypatch.setattr(_classwise, "CHUNK", 300)
    np.testing.assert_array_equal(classwise_sums(values, truth, uniform_edges(10)), whole)


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda p: p[:, ::-1], lambda p: p.astype(np.float32)])
def test_any_layout_and_precision_is_read(layout):
    values, truth = generated(500, 30)
    edges = uniform_edges(10)
    np.testing.assert_array_equal(classwise_sums(layout(values), truth, edges), plain(layout(values), truth, edges))


@unhurried
@given(st.data(), st.sampled_from(["top-label", "classwise"]), st.sampled_from([3, 30]))
def test_any_split_in_any_order_gives_the_table_of_the_whole(data, kind, n_classes):
    values, truth = generated(200, n_classes, 2.0)
    order = np.random.default_rng(data.draw(st.integers(0, 99))).permutation(200)
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, 199), max_size=4))), 200]

    def table(which):
        return reliability_table(truth[which], values[which], kind=kind, classes=list(range(n_classes)))

    parts = [table(order[a:b]) for a, b in pairwise(cuts)]
    total = parts[0]
    for part in parts[1:]:
        total = total + ReliabilityTable.from_dict(part.to_dict())
    assert total == table(slice(None))


@pytest.mark.parametrize("n_bins", [1, 2, 10])
@pytest.mark.parametrize("n_classes", [3, 30])
@pytest.mark.parametrize(
    "bad", [(1.1, -0.1), (1.004, 0.0), (-0.1, 1.1), (np.nan, 1.0), (0.5, 0.4), (np.inf, -np.inf)], ids=str
)
def test_a_row_that_is_no_probability_is_named(n_classes, bad, n_bins):
    proba = np.eye(n_classes)[np.arange(9000) % n_classes]
    proba[8765] = 0.0
    proba[8765, [0, 2]] = bad
    with pytest.raises(ValueError, match=r"y_prob .*row 8765 "):
        reliability_table(np.arange(9000) % n_classes, proba, kind="classwise", n_bins=n_bins)


@pytest.mark.parametrize("n_classes", [3, 17, 30])
def test_a_negative_zero_is_zero(n_classes):
    y = np.arange(900) % n_classes
    proba = np.eye(n_classes)[y]
    signed = np.where(proba == 0.0, -0.0, proba)
    signed[::2] = proba[::2]
    clean, found = (reliability_table(y, values, kind="classwise") for values in (proba, signed))
    assert found.to_dict() == clean.to_dict()


@pytest.mark.parametrize("n_bins", [1, 10])
@pytest.mark.parametrize("n_classes", [3, 30])
def test_values_outside_by_rounding_count_as_the_ends(n_classes, n_bins):
    y = np.arange(900) % n_classes
    proba = np.eye(n_classes)[y]
    off = proba.copy()
    # Few, so that most cells of many columns are still left to the first bin.
    off[:40] = np.where(proba[:40] == 1.0, 1.0 + 1e-9, -1e-9)
    before = off.copy()
    clean, found = (reliability_table(y, values, kind="classwise", n_bins=n_bins) for values in (proba, off))
    assert found.to_dict() == clean.to_dict()
    np.testing.assert_array_equal(off, before)
