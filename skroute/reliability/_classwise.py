"""Sums of all classes at once, over rows that count alike: the probabilities are read once, in the order they lie."""

import math
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from skroute._rows import bits_of, checked, places_of, row_sums
from skroute.reliability._bins import assign_bins
from skroute.reliability._sums import GRID, GRID_BITS, STATISTICS

__all__ = ["MOST_BINS", "classwise_sums"]

# More bins than rows in a group (see below) would make reading off the packed sums the main work.
MOST_BINS = 64
# Probabilities in a block: small enough for the caches, large enough for calls to cost little beside the work.
BLOCK, SPARSE_BLOCK = 2**16, 2**18
# A float64 holds the sum over so many rows without losing a unit of the grid.
EXACT_ROWS = 2 ** (53 - GRID_BITS)
# So does an int64 over so many and another block, with a bit to spare.
CHUNK = 2**20
# Adding it, and taking it away again, rounds a number in [0, 1] to the grid: the last bit of the sum counts units.
ROUNDER = 1.5 * 2.0 ** (52 - GRID_BITS)
# Sums of so many rows can be packed with their number: see `_dense`.
UNIT, PACKED_ROWS = 64.0, 63
# Numbers that are added side by side, see `_column_units`.
FOLD = 2**11
ONE_BITS = bits_of(np.ones(1))[0]
# With more classes, and a smaller share of probabilities above the first bin, that bin is what the others leave. With
# fewer, picking those out costs more than it saves.
FEW_CLASSES, SPARSE_SHARE = 16, 0.25


def classwise_sums(
    values: NDArray[np.floating], truth: NDArray[np.intp], edges: NDArray[np.float64]
) -> NDArray[np.object_]:
    """Check every row, and return the sums of `STATISTICS` for every class and bin, all rows of weight one.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_classes)
        Probabilities, `y_prob` of a caller.
    truth : ndarray of shape (n_rows,)
        Position of the true class.
    edges : ndarray of shape (n_bins + 1,)
        Edges of at most `MOST_BINS` bins.

    Returns
    -------
    sums : ndarray of shape (5, n_classes, n_bins)
        Exact: those of `block_sums` for every column.
    """
    n_classes, n_bins = values.shape[1], len(edges) - 1
    work = _Workspace(len(values), n_classes, n_bins)
    total = np.zeros((3, n_classes, n_bins), dtype=object)
    chunk = np.zeros((3, n_classes * n_bins), dtype=np.int64)
    held = 0
    for start in range(0, len(values), work.n_rows):
        rows = slice(start, min(start + work.n_rows, len(values)))
        block = np.ascontiguousarray(values[rows], dtype=np.float64)
        look = _Look(block, edges, work)
        within = look.within
        block = checked(block, look.row_sums, within, values, "y_prob")
        if not within:
            look = _Look(block, edges, work)
        _add_block(chunk, block, truth[rows], edges, work, look)
        held += len(block)
        if held >= CHUNK or rows.stop == len(values):
            total = total + chunk.reshape(total.shape).astype(object)
            chunk[:], held = 0, 0
    count, hits, confidence = total
    by_name = {"count": count, "weight": count, "squared_weight": count, "hits": hits, "confidence": confidence}
    return np.stack([by_name[name] for name in STATISTICS])


class _Workspace:
    """Room for the temporaries of a block; fresh memory for each would cost as much time as the arithmetic."""

    def __init__(self, n_samples: int, n_classes: int, n_bins: int) -> None:
        n_rows = max(BLOCK // n_classes, PACKED_ROWS)
        if n_classes > FEW_CLASSES:
            n_rows = min(max(SPARSE_BLOCK // n_classes, PACKED_ROWS), EXACT_ROWS)
        whole = PACKED_ROWS * (EXACT_ROWS // PACKED_ROWS if n_rows > EXACT_ROWS else 1)
        self.n_rows = min(n_rows // whole, -(-n_samples // whole)) * whole
        self.row_start = np.arange(0, self.n_rows * n_classes, n_classes)
        self.n_classes, self.n_bins, size = n_classes, n_bins, self.n_rows * n_classes
        # Memory that is not written to costs nothing; what only some blocks need is made by the first that does.
        self.floats = np.empty(size)
        self.flags = np.empty(size, dtype=bool)
        self.places, self.near = np.empty((2, size), dtype=np.int32)
        self.codes = np.empty(size, dtype=np.intp)

    @cached_property
    def first_cells(self) -> NDArray[np.int32]:
        """The first cell of each class, for every row."""
        return np.tile(np.arange(0, self.n_classes * self.n_bins, self.n_bins, dtype=np.int32), self.n_rows)

    @cached_property
    def row_cells(self) -> NDArray[np.int32]:
        """The first cell of each row: each group of PACKED_ROWS rows has cells of its own."""
        groups = np.arange(self.n_rows // PACKED_ROWS, dtype=np.int32)
        return np.repeat(groups * (self.n_classes * self.n_bins), PACKED_ROWS)

    @cached_property
    def cells(self) -> NDArray[np.int32]:
        """The first cell of each class within those of each row."""
        cells = self.row_cells[:, np.newaxis] + self.first_cells[: self.n_classes]
        return cells.reshape(-1)


class _Look:
    """What all probabilities of a block have to tell, while they arrive from memory.

    Positive floats are ordered like their bits, and a sign or a NaN has larger bits.
    """

    above: NDArray[np.intp] | None = None
    """Places of all that does not lie in the first bin, or that is no number in [0, 1]; None where many do."""
    units: NDArray[np.int64]
    """Sum of every column, in units of the grid; where `above` is known."""

    def __init__(self, block: NDArray[np.float64], edges: NDArray[np.float64], work: _Workspace) -> None:
        flat = block.reshape(-1)
        self.row_sums = row_sums(block)
        if block.shape[1] <= FEW_CLASSES:
            self.within = bool(bits_of(flat).max(initial=0) <= ONE_BITS)
            return
        # With a single bin, what lies above it is no probability.
        first_edge = bits_of(edges[1:2])[0] if len(edges) > 2 else ONE_BITS + np.uint64(1)
        self.above = places_of(np.greater_equal(bits_of(flat), first_edge, out=work.flags[: flat.size]))
        self.within = bool(bits_of(flat.take(self.above)).max(initial=0) <= ONE_BITS)
        if len(self.above) > SPARSE_SHARE * flat.size:
            self.above = None
            return
        self.units = _column_units(np.add(flat, ROUNDER, out=work.floats[: flat.size]), block.shape[1])


def _add_block(
    sums: NDArray[np.int64],
    values: NDArray[np.float64],
    truth: NDArray[np.intp],
    edges: NDArray[np.float64],
    work: _Workspace,
    look: _Look,
) -> None:
    """Add number, hits and units of confidence of a block of rows, in C order."""
    n_rows, n_classes = values.shape
    n_bins, flat = len(edges) - 1, values.reshape(-1)
    true_places = work.row_start[:n_rows] + truth
    n_cells = n_classes * n_bins
    if look.above is not None:
        # Those of the true classes are looked at in the same calls.
        some = np.concatenate([look.above, true_places])
        picked = flat.take(some)
        bins = assign_bins(picked, edges)
        found = len(look.above)
        count, confidence = _sparse(picked[:found], bins[:found], look, n_rows, n_bins, work)
        true_cells = truth * n_bins + bins[found:]
    else:
        bins = assign_bins(flat, edges, (work.places[: flat.size], work.near[: flat.size]))
        codes = np.add(bins, work.cells[: flat.size], out=work.codes[: flat.size])
        count, confidence = _dense(flat, codes, n_cells, work.floats[: flat.size])
        true_cells = codes.take(true_places)
        true_cells -= work.row_cells[:n_rows]
    sums[0] += count
    sums[1] += np.bincount(true_cells, minlength=n_cells)
    sums[2] += confidence


def _dense(
    flat: NDArray[np.float64], codes: NDArray[np.intp], n_cells: int, packed: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return number and sum of probabilities in every cell, by a single pass of bincount for both.

    Each row adds UNIT + (p - 1/2) to one cell of its class. Over c rows that is UNIT * c plus a rest of at most c / 2,
    so that c can be read off while c < UNIT; and as the whole stays below 2**12, float64 holds every unit of 2**-41.
    That is why rows are counted in groups of 63, which are added afterwards.
    """
    np.add(flat, ROUNDER, out=packed)
    packed -= ROUNDER + 0.5 - UNIT
    # Sums over parts of at most EXACT_ROWS rows; groups that no row fills up are zeros.
    n_groups = int(codes[-1]) // n_cells + 1
    size = min(n_groups, EXACT_ROWS // PACKED_ROWS)
    shape = -(-n_groups // size), size, n_cells
    sums = np.bincount(codes, packed, math.prod(shape)).astype(np.float64, copy=False)
    counts = np.rint(sums * (1.0 / UNIT))
    count = _whole(_column_sums(counts.reshape(shape)))
    counts *= UNIT
    sums -= counts
    return count, _whole(_column_sums(sums.reshape(shape)) * GRID) + count * (GRID // 2)


def _column_sums(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums over rows of every part, shape (n_parts, n_columns)."""
    # A product with ones is the fastest sum. Below 2**53 units no order of the terms can make it differ.
    return np.ones(parts.shape[-2]) @ parts


def _whole(sums: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return whole numbers, added up over the parts, which together need not fit into a float64."""
    whole: NDArray[np.int64] = sums.astype(np.int64).reshape(-1, sums.shape[-1]).sum(axis=0)
    return whole


def _sparse(
    high: NDArray[np.float64],
    bins: NDArray[np.int32],
    look: _Look,
    n_rows: int,
    n_bins: int,
    work: _Workspace,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return number and sum of probabilities in every cell, given those above the first bin, and their bins.

    At most n_bins - 1 probabilities of a row lie there, however many classes there are. The first bin holds the rest of
    each column; no digit is lost in the difference, because all sums are whole units of the grid.
    """
    assert look.above is not None
    n_classes = len(look.units)
    codes = work.first_cells.take(look.above)
    codes += bins
    n_cells = n_classes * n_bins
    count = np.bincount(codes, minlength=n_cells)
    total = _whole(np.bincount(codes, high + ROUNDER - ROUNDER, n_cells) * GRID)
    first = slice(None, None, n_bins)
    count[first] = n_rows - count.reshape(n_classes, n_bins).sum(axis=1)
    total[first] = look.units - total.reshape(n_classes, n_bins).sum(axis=1)
    return count, total


def _column_units(shifted: NDArray[np.float64], n_classes: int) -> NDArray[np.int64]:
    """Return the units of the grid in every column of rows that lie end to end, each value with ROUNDER added to it.

    All such values share one exponent, so their bits, read as whole numbers, are those of ROUNDER plus the units. The
    sums overflow, and the sums of the bits of ROUNDER with them; the difference does not.
    """
    bits = shifted.view(np.int64)
    n_rows = len(bits) // n_classes
    # Long rows are added faster than short ones: several rows end to end, and those that are left over.
    fold = max(FOLD // n_classes, 1)
    long = n_rows // fold * fold * n_classes
    units: NDArray[np.int64] = bits[:long].reshape(-1, fold * n_classes).sum(axis=0).reshape(-1, n_classes).sum(axis=0)
    units += bits[long:].reshape(-1, n_classes).sum(axis=0)
    units -= np.full(1, n_rows) * np.array([ROUNDER]).view(np.int64)
    return units
