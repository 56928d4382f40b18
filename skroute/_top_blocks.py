"""The largest value of every row of a matrix of probabilities, found together with the check of the rows."""

import math
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._rows import (
    WHOLE_COLUMNS,
    bits_of,
    block_length,
    checked,
    column_sums,
    long_sums,
    reduce_columns,
    row_sums,
)

__all__ = [
    "MANY_ROWS",
    "MOST_PICKED",
    "TopBlock",
    "are_reduced_in_place",
    "borrowed_space",
    "strip_length",
    "top_blocks",
]

# Up to so many columns, rows are turned into columns before their largest value is sought: NumPy's reductions of short
# rows pay for every row. That is done in strips of so many rows, which fit into the nearest cache; as no power of two
# its columns do not compete for the same places there.
MOST_COLUMNS, STRIP = 24, 400
# Up to so many, these columns are what is added; more of them are read faster where they lie.
FEW_COLUMNS = 8
# From so many rows on, those that no strip is filled with are worth a block of their own.
MANY_ROWS = 8 * STRIP
# Values that are turned into columns, and bytes of rows that stay rows: as many as stay in the cache, while they are
# looked at several times in turn.
SHORT_PART, LONG_PART = 2**17, 2**19
# Rows of a part of columns: fewer of them leave too little to be read in one go.
LEAST_PART = 2048
# Bytes that are lent: as many as the columns of the largest blocks that gates look at, and what is told of their rows.
SPACE = 2**22 + 2**20
# Bytes of what the processor fetches at once.
ALIGNED = 64
# Values of a block of long rows: each block costs some calls.
LONG_BLOCK = 2**20
# Where only the largest value is wanted, rows of so many bytes are reduced where they lie, all in one call: to turn
# them would take longer, and so would a search in each for the place. Columns that are wanted besides are fetched one
# by one: more of them would cost more than is gained.
LEAST_BYTES, MOST_PICKED = 112, 8


@dataclass(frozen=True)
class TopBlock:
    """Some rows, checked, and what is largest in each."""

    rows: slice
    """Which rows."""
    values: NDArray[Any]
    """Shape (n_rows, n_classes): a view, or a copy where values had to be clipped."""
    sums: NDArray[np.float64]
    """Shape (n_rows,): the sums of the rows."""
    columns: NDArray[Any] | None
    """Shape (..., n_classes, n): the columns of strips of n rows, one after the other; None where rows stay rows."""
    confidence: NDArray[Any]
    """Shape (n_rows,): the largest value of each row."""
    places: NDArray[np.intp] | None
    """Shape (n_rows,): the first column that holds it; None where that is still to be found."""
    picked: dict[int, NDArray[Any]]
    """Single columns that were asked for, each of shape (n_rows,); none where all are in `columns`."""
    clipped: bool
    """Whether a value had to be clipped."""
    room: Callable[[tuple[int, ...], np.dtype[Any]], NDArray[Any]]
    """Returns an empty array for what is done with the block, in what is left of the space that was lent."""

    def column(self, c: int) -> NDArray[Any]:
        """Return a column that was asked for, in the shape of the strips."""
        return self.picked[c] if self.columns is None else self.columns[..., c, :]

    @cached_property
    def top(self) -> NDArray[np.intp]:
        """Shape (n_rows,): the first column that holds the largest value."""
        if self.places is not None:
            return self.places
        if self.columns is None:
            places: NDArray[np.intp] = bits_of(self.values).argmax(axis=1)
            return places
        n_classes = self.columns.shape[-2]
        holds = self.columns == self.confidence.reshape(*self.columns.shape[:-2], 1, -1)
        # Of all columns that hold it, the first has the largest rank.
        ranks = np.arange(n_classes, 0, -1, dtype=np.min_scalar_type(-n_classes - 1))
        largest = np.maximum.reduce(holds.view(np.int8) * ranks[:, np.newaxis], axis=-2)
        top: NDArray[np.intp] = np.subtract(n_classes, largest.reshape(-1), dtype=np.intp)
        return top


class _Spare(threading.local):
    space: NDArray[np.uint8] | None = None


_SPARE = _Spare()


@contextmanager
def borrowed_space() -> Iterator[NDArray[np.uint8]]:
    """Lend space for the columns of blocks, in each thread the same one again.

    Where something large was freed before, the system takes back what is free, and to get it anew, page by page, takes
    as long as all that is done with ten thousand rows.
    """
    # Taken away, so that whoever borrows within gets another one.
    space, _SPARE.space = _SPARE.space, None
    space = np.empty(SPACE, dtype=np.uint8) if space is None else space
    try:
        yield space
    finally:
        _SPARE.space = space


def top_blocks(
    values: NDArray[np.floating],
    name: str,
    n_rows: int | None = None,
    pick: Iterable[int] = (),
    space: NDArray[np.uint8] | None = None,
    whole: bool = True,
    known: bool = False,
) -> Iterator[TopBlock]:
    """Yield the rows in blocks, checked as by `clean_blocks`, with what is largest in each: all in one pass.

    Positive floats are ordered like their bits; and a sign, a NaN and what exceeds one all have larger bits than one
    has. So the largest bits of a row are those of its largest value, or show that it must be looked at.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_classes)
        float32 or float64, in any layout. It is not written to.
    name : str
        What the messages call the matrix.
    n_rows : int, default=None
        Most rows of a block; None takes as many as stay in the cache or, of long rows, which are not copied, more.
    pick : iterable of int, default=()
        Columns that will be asked for: picking them later out of long rows means to fetch these again.
    space : ndarray of shape (n_bytes,), default=None
        Where the columns of blocks are written if they fit: each block is then good until the next one is asked for.
        None takes fresh memory for each.
    whole : bool, default=True
        Whether more will be asked for than the largest values and some columns, at best up to `MOST_PICKED`; if not,
        what would take longer to find may be left out.
    known : bool, default=False
        Whether the rows are known to be probabilities that sum to one: they are not checked, then, nor added up.

    Yields
    ------
    block : TopBlock

    Raises
    ------
    ValueError
        If a row is not finite, leaves [0, 1] or does not sum to one. The message names the first such row.
    """
    n_classes = values.shape[1]
    if n_rows is None:
        n_rows = block_length(n_classes) if n_classes <= MOST_COLUMNS else max(LONG_BLOCK // n_classes, 1)
    one = bits_of(np.ones(1, values.dtype))[0]
    pick, strip, start = list(pick), strip_length(n_classes), 0
    while start < len(values):
        rest = min(n_rows, len(values) - start)
        rows = slice(start, start + (rest if rest < MANY_ROWS else rest // strip * strip))
        block = values[rows]
        scan = _Scan(block, pick, space, whole, known)
        within = known or bool(scan.largest.max() <= one)
        if not known:
            block = checked(block, scan.sums, within, values, name)
        if not within:
            scan = _Scan(block, pick, space, whole)
        confidence = scan.largest.view(block.dtype)
        found = scan.sums, scan.columns, confidence, scan.places, scan.picked
        yield TopBlock(rows, block, *found, not within, scan.room)
        start = rows.stop


def strip_length(n_classes: int) -> int:
    """Return how many rows are turned into columns at once, of which a block should hold a multiple."""
    return 1 if n_classes <= WHOLE_COLUMNS else STRIP


def are_reduced_in_place(values: NDArray[np.floating], whole: bool) -> bool:
    """Return whether the largest value of each row is found where the rows lie, with nothing else and no copy."""
    return not whole and values.shape[1] * values.itemsize >= LEAST_BYTES and values.flags.c_contiguous


class _Scan:
    """One look at all values of a block: the largest bits of each row, its sum, its columns, or their place."""

    columns: NDArray[Any] | None = None
    places: NDArray[np.intp] | None = None

    def __init__(
        self,
        block: NDArray[np.floating],
        pick: list[int],
        space: NDArray[np.uint8] | None,
        whole: bool,
        known: bool = False,
    ) -> None:
        self.space, self.used, self.known = space, 0, known
        self.largest = self.room((len(block),), bits_of(block[:0]).dtype)
        self.sums = self.room((len(block),), np.dtype(np.float64))
        self.picked: dict[int, NDArray[Any]] = {}
        if known:
            self.sums.fill(1.0)
        # What has no sum is refused by whoever asked, and linear algebra raises flags of values that it does not use.
        with np.errstate(invalid="ignore", over="ignore"):
            self._look(block, pick, whole)

    def _look(self, block: NDArray[np.floating], pick: list[int], whole: bool) -> None:
        if abs(block.strides[0]) < abs(block.strides[1]):
            self._by_column(block)
        elif are_reduced_in_place(block, whole):
            self._rows_as_they_lie(block, pick)
        elif block.shape[1] <= WHOLE_COLUMNS:
            self._few_columns(block)
        elif block.shape[1] <= MOST_COLUMNS:
            self._short_rows(block)
        else:
            self._long_rows(block, pick)

    def room(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return an empty array in the space that was lent, or of its own where that is full."""
        start, size = self.used, math.prod(shape) * dtype.itemsize
        if self.space is None or start + size > len(self.space):
            return np.empty(shape, dtype)
        self.used = start + -(-size // ALIGNED) * ALIGNED
        return self.space[start : start + size].view(dtype).reshape(shape)

    def _add_up(self, block: NDArray[np.floating], part: slice) -> None:
        if not self.known:
            self.sums[part] = row_sums(block[part])

    def _by_column(self, block: NDArray[np.floating]) -> None:
        self.columns = block.T
        for part in _parts(len(block), max(SHORT_PART // block.shape[1], LEAST_PART)):
            self._add_up(block, part)
            reduce_columns(np.maximum, bits_of(self.columns[:, part]), self.largest[part])

    def _few_columns(self, block: NDArray[np.floating]) -> None:
        self.columns = self.room(block.shape[::-1], block.dtype)
        for part in _parts(len(block), SHORT_PART // block.shape[1]):
            columns = self.columns[:, part]
            columns[:] = block[part].T
            if not self.known:
                column_sums(columns, block[part], self.sums[part])
            reduce_columns(np.maximum, bits_of(columns), self.largest[part])

    def _short_rows(self, block: NDArray[np.floating]) -> None:
        n_rows, n_classes = block.shape
        strip = strip_length(n_classes)
        strip = strip if n_rows % strip == 0 else n_rows
        self.columns = self.room((n_rows // strip, n_classes, strip), block.dtype)
        few = n_classes <= FEW_COLUMNS
        for strips in _parts(n_rows // strip, max(SHORT_PART // (strip * n_classes), 1)):
            part = slice(strips.start * strip, strips.stop * strip)
            if not few:
                # In the order in which they lie, so that they have arrived when they are turned.
                self._add_up(block, part)
            turned = self.columns[strips]
            turned[:] = block[part].reshape(-1, strip, n_classes).transpose(0, 2, 1)
            if few and not self.known:
                column_sums(turned, block[part], self.sums[part])
            reduce_columns(np.maximum, bits_of(turned), self.largest[part])

    def _rows_as_they_lie(self, block: NDArray[np.floating], pick: list[int]) -> None:
        n_rows, n_classes = block.shape
        self.picked = {c: self.room((n_rows,), block.dtype) for c in pick}
        starts, bits = np.arange(0, block.size, n_classes), bits_of(block).reshape(-1)
        for part in self._added_parts(block):
            rows, whole = block[part], bits[part.start * n_classes : part.stop * n_classes]
            np.maximum.reduceat(whole, starts[: len(rows)], out=self.largest[part])
            for c, column in self.picked.items():
                column[part] = rows[:, c]

    def _long_rows(self, block: NDArray[np.floating], pick: list[int]) -> None:
        n_rows, n_classes = block.shape
        self.places = self.room((n_rows,), np.dtype(np.intp))
        self.picked = {c: self.room((n_rows,), block.dtype) for c in pick}
        for part in self._added_parts(block):
            bits, places = bits_of(block[part]), self.places[part]
            bits.argmax(axis=1, out=places)
            if bits.flags.c_contiguous:
                bits.reshape(-1).take(np.arange(0, bits.size, n_classes) + places, out=self.largest[part], mode="clip")
            else:
                self.largest[part] = bits[np.arange(len(bits)), places]
            for c, column in self.picked.items():
                column[part] = block[part, c]

    def _added_parts(self, block: NDArray[np.floating]) -> Iterator[slice]:
        """Yield parts that stay in the cache, when their rows have been added up."""
        n_rows, n_classes = block.shape
        ones = np.ones(n_classes, dtype=block.dtype)
        for part in _parts(n_rows, max(LONG_PART // (n_classes * block.itemsize), 1)):
            if not self.known:
                long_sums(block[part], ones, self.sums[part])
            yield part


def _parts(n_rows: int, size: int) -> Iterator[slice]:
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))
