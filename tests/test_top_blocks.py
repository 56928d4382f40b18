from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skroute._rows import WHOLE_COLUMNS, clean_blocks
from skroute._top_blocks import MANY_ROWS, MOST_COLUMNS, STRIP, borrowed_space, strip_length, top_blocks

LAYOUTS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "every other row": lambda values: np.repeat(values, 2, axis=0)[::2],
    "every other column": lambda values: np.repeat(values, 2, axis=1)[:, ::2],
    "columns backwards": lambda values: np.asfortranarray(values[:, ::-1])[:, ::-1],
    "backwards": lambda values: np.ascontiguousarray(values[::-1])[::-1],
}


def draw(n_rows, n_classes, dtype="f8", seed=0):
    """Return rows of which many are tied, one-hot, or hold zeros of either sign."""
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.full(n_classes, 0.5), n_rows)
    sort = rng.integers(0, 4, n_rows)
    proba[sort == 1] = np.eye(n_classes)[rng.integers(0, n_classes, (sort == 1).sum())]
    ties = rng.integers(0, 3, ((sort == 2).sum(), n_classes)) + 1e-300
    proba[sort == 2] = ties / ties.sum(axis=1, keepdims=True)
    return proba.astype(dtype)


def gathered(values, **options):
    blocks = list(top_blocks(values, "proba", **options))
    assert [block.rows.start for block in blocks[1:]] == [block.rows.stop for block in blocks[:-1]]
    assert (blocks[0].rows.start, blocks[-1].rows.stop) == (0, len(values))
    return blocks


def assert_same_as_plain(values, **options):
    """Assert every block to say what NumPy says of its rows."""
    for block in gathered(values, **options):
        rows = np.clip(values[block.rows], 0, 1)
        assert_array_equal(block.values, rows)
        assert_array_equal(block.confidence, rows.max(axis=1))
        assert block.confidence.dtype == values.dtype
        assert_array_equal(block.top, rows.argmax(axis=1))
        if block.columns is not None:
            strips = block.columns.reshape(-1, rows.shape[1], block.columns.shape[-1])
            assert_array_equal(np.concatenate(list(strips), axis=1), rows.T)
        assert_allclose(block.sums, rows.sum(axis=1), atol=rows.shape[1] * np.finfo(values.dtype).eps)
        for c in options.get("pick", []):
            assert_array_equal(block.column(c).reshape(-1), rows[:, c])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n_classes", [2, 3, 5, MOST_COLUMNS, MOST_COLUMNS + 1, 90, 300])
def test_blocks_say_what_numpy_says(layout, dtype, n_classes):
    values = LAYOUTS[layout](draw(1703, n_classes, dtype))
    before = values.copy()
    for n_rows in (None, STRIP, 1000):
        for whole in (True, False):
            assert_same_as_plain(values, n_rows=n_rows, pick=[n_classes - 1, 0], whole=whole)
    assert_same_as_plain(values[:9], n_rows=1)
    assert_same_as_plain(values[:40], n_rows=7)
    assert_array_equal(values, before)


@pytest.mark.parametrize("n_classes", [2, WHOLE_COLUMNS])
@pytest.mark.parametrize("n_rows", [1, 800, MANY_ROWS + 1, 100_001])
def test_few_columns_are_turned_in_one_piece(n_classes, n_rows):
    (block,) = top_blocks(draw(n_rows, n_classes), "proba", n_rows=n_rows)
    assert block.columns.shape == (n_classes, n_rows)
    assert block.columns.flags.c_contiguous


@pytest.mark.parametrize("n_classes", [5, 20])
@pytest.mark.parametrize("extra", [-1, 0, 1, None])
def test_many_rows_fill_strips_and_the_rest_follows(n_classes, extra):
    values = draw(MANY_ROWS + (strip_length(n_classes) if extra is None else extra), n_classes)
    assert_same_as_plain(values, n_rows=10**6)
    assert len(gathered(values, n_rows=10**6)) == (2 if extra == 1 else 1)


def test_the_largest_value_alone_needs_no_search_for_its_place():
    values = draw(900, 77)
    (block,) = top_blocks(values, "proba", pick=[5], whole=False)
    assert block.columns is None
    assert block.places is None


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("n_classes", [3, 30])
def test_values_beyond_the_ends_by_rounding_are_clipped(layout, n_classes):
    values = np.zeros((900, n_classes))
    values[:, 0] = 1.0
    # A sign alone has larger bits than any probability.
    values[:, 1] = np.resize([-0.0, -1e-9, 0.0], 900)
    values[450, [0, 2]] = [0.0, 1.0 + 1e-9]
    values = LAYOUTS[layout](values)
    before = values.copy()
    assert_same_as_plain(values)
    assert_array_equal(values, before)


@pytest.mark.parametrize("n_classes", [3, 30])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1.01, -0.01, 0.4])
def test_bad_rows_are_refused_in_the_words_of_the_plain_check(n_classes, bad):
    values = draw(1000, n_classes)
    values[777] = 0.0
    values[777, -1] = bad
    with pytest.raises(ValueError, match=r"row 777 (holds|sums to)") as plain:
        list(clean_blocks(values, "proba"))
    with pytest.raises(ValueError, match=r"row 777") as found:
        list(top_blocks(values, "proba"))
    assert str(found.value) == str(plain.value)


def test_no_rows_make_no_block():
    assert list(top_blocks(np.empty((0, 3)), "proba")) == []


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("n_classes", [2, 5, MOST_COLUMNS, MOST_COLUMNS + 1, 90])
def test_rows_that_are_known_are_neither_checked_nor_added_up(layout, n_classes):
    values = LAYOUTS[layout](draw(1703, n_classes, "f4"))
    assert_same_as_plain(values, pick=[1], known=True)
    # Nobody asks what they sum to.
    for block in gathered(values * np.float32(0.5), known=True):
        assert_array_equal(block.sums, 1.0)
        assert_array_equal(block.confidence, block.values.max(axis=1))


# Space that is lent


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("n_rows", "n_classes"), [(5, 3), (3_201, 3), (9_000, 20), (300_000, 2), (500, 77)])
def test_blocks_in_space_that_is_lent_are_the_same(n_rows, n_classes, dtype):
    values = draw(n_rows, n_classes, dtype)
    fresh = list(top_blocks(values, "proba", pick=[1]))
    with borrowed_space() as space:
        for block, expected in zip(top_blocks(values, "proba", pick=[1], space=space), fresh, strict=True):
            assert block.rows == expected.rows
            assert_array_equal(block.confidence, expected.confidence)
            assert_array_equal(block.top, expected.top)
            assert_array_equal(block.sums, expected.sums)
            assert_array_equal(block.column(1), expected.column(1))


def test_blocks_that_do_not_fit_get_memory_of_their_own():
    values = draw(9_000, 20, "f8")
    small = np.zeros(1000, dtype=np.uint8)
    assert_array_equal(
        np.concatenate([block.top for block in top_blocks(values, "proba", space=small)]), values.argmax(axis=1)
    )
    assert not small.any()


@pytest.mark.parametrize("n_classes", [3, 20, 77])
def test_what_is_left_of_the_space_is_lent_as_well(n_classes):
    with borrowed_space() as space:
        (block,) = top_blocks(draw(2_000, n_classes), "proba", n_rows=2_000, pick=[1], whole=False, space=space)
        lent = [block.room((100, n_classes), np.dtype("f4")), block.room((50,), np.dtype("f8"))]
        taken = [block.sums, block.confidence, block.column(1), *lent]
        assert all(np.may_share_memory(part, space) for part in taken)
        for i, part in enumerate(lent):
            assert not any(np.shares_memory(part, other) for j, other in enumerate(taken) if j != i + 3)
        assert not np.may_share_memory(block.room((len(space),), np.dtype("f8")), space)


def test_space_is_lent_to_one_at_a_time():
    with borrowed_space() as first:
        with borrowed_space() as second:
            assert not np.may_share_memory(first, second)
        with ThreadPoolExecutor(1) as pool:
            assert not np.may_share_memory(first, pool.submit(lambda: borrowed_space().__enter__()).result())
    with pytest.raises(RuntimeError), borrowed_space() as again:
        raise RuntimeError
    with borrowed_space() as after:
        assert np.may_share_memory(again, after)
