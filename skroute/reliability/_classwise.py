"""Sums of all classes at once, over rows that count alike: the probabilities are read once, in the order they lie."""

import itertools
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
# Probabilities in a block: small enough for the caches, large enough for calls to cost little beside the work. Blocks
# of long rows are looked at in parts; most of the other calls then are for few of their probabilities.
BLOCK, SPARSE_BLOCK, SPARSE_PART = 2**16, 2**19, 2**18
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
    few = n_classes <= FEW_CLASSES
    work = _Workspace(n_classes, n_bins, len(values))
    n_rows = work.n_rows if few else max(SPARSE_BLOCK // n_classes, 1)
    total = np.zeros((3, n_classes, n_bins), dtype=object)
    chunk = np.zeros((3, n_classes * n_bins), dtype=np.int64)
    held = 0
    for start in range(0, len(values), n_rows):
        rows = slice(start, min(start + n_rows, len(values)))
        block = np.ascontiguousarray(values[rows], dtype=np.float64)
        if few:
            within = bool(bits_of(block).max() <= ONE_BITS)
            _add_dense(chunk, checked(block, row_sums(block), within, values, "y_prob"), truth[rows], edges, work)
        else:
            look = _Look(block, edges)
            clean = checked(block, look.row_sums, look.within, values, "y_prob")
            look = look if look.within else _Look(clean, edges)
            if len(look.above) <= SPARSE_SHARE * clean.size:
                _add_sparse(chunk, clean, truth[rows], edges, look)
            else:
                _add_dense(chunk, clean, truth[rows], edges, work)
        held += len(block)
        if held >= CHUNK or rows.stop == len(values):
            total = total + chunk.reshape(total.shape).astype(object)
            chunk[:], held = 0, 0
    count, hits, confidence = total
    by_name = {"count": count, "weight": count, "squared_weight": count, "hits": hits, "confidence": confidence}
    return np.stack([by_name[name] for name in STATISTICS])


class _Workspace:
    """Room for the temporaries of a dense block; fresh memory for each would cost as much time as the arithmetic."""

    def __init__(self, n_classes: int, n_bins: int, n_samples: int) -> None:
        n_rows = max(BLOCK // n_classes, PACKED_ROWS)
        whole = PACKED_ROWS * (EXACT_ROWS // PACKED_ROWS if n_rows > EXACT_ROWS else 1)
        self.n_rows = min(n_rows // whole, -(-n_samples // whole)) * whole
        self.n_classes, self.n_bins, size = n_classes, n_bins, self.n_rows * n_classes
        self.row_start = np.arange(0, size, n_classes)
        # Memory that is not written to costs nothing, for those classes whose blocks are all sparse.
        self.floats = np.empty(size)
        self.places, self.near = np.empty((2, size), dtype=np.int32)
        self.codes = np.empty(size, dtype=np.intp)

    @cached_property
    def row_cells(self) -> NDArray[np.int32]:
        """The first cell of each row: each group of PACKED_ROWS rows has cells of its own."""
        groups = np.arange(self.n_rows // PACKED_ROWS, dtype=np.int32)
        return np.repeat(groups * (self.n_classes * self.n_bins), PACKED_ROWS)

    @cached_property
    def cells(self) -> NDArray[np.int32]:
        """The first cell of each class within those of each row."""
        of_class = np.arange(0, self.n_classes * self.n_bins, self.n_bins, dtype=np.int32)
        return (self.row_cells[:, np.newaxis] + of_class).reshape(-1)


class _Look:
    """What all probabilities of a block of long rows have to tell, while they arrive from memory.

    Positive floats are ordered like their bits, and a sign or a NaN has larger bits.
    """

    above: NDArray[np.intp]
    """Places of all that does not lie in the first bin, or that is no number in [0, 1]."""
    within: bool
    """Whether all are numbers in [0, 1]."""
    units: NDArray[np.int64]
    """Sum of every column, in units of the grid; where all are."""

    def __init__(self, block: NDArray[np.float64], edges: NDArray[np.float64]) -> None:
        n_rows, n_classes = block.shape
        # With a single bin, what lies above it is no probability.
        first_edge = bits_of(edges[1:2])[0] if len(edges) > 2 else ONE_BITS + np.uint64(1)
        size = max(SPARSE_PART // n_classes, 1)
        self.row_sums, self.units = np.empty(n_rows), np.zeros(n_classes, dtype=np.int64)
        flags, shifted = np.empty((n_rows, n_classes), dtype=bool), np.empty((size, n_classes))
        for start in range(0, n_rows, size):
            rows = slice(start, min(start + size, n_rows))
            part = block[rows]
            self.row_sums[rows] = row_sums(part)
            np.greater_equal(bits_of(part), first_edge, out=flags[rows])
            self.units += _column_units(np.add(part, ROUNDER, out=shifted[: len(part)]))
        self.above = places_of(flags.reshape(-1))
        self.within = bool(bits_of(block.reshape(-1).take(self.above)).max(initial=0) <= ONE_BITS)


def _add_dense(
    sums: NDArray[np.int64],
    values: NDArray[np.float64],
    truth: NDArray[np.intp],
    edges: NDArray[np.float64],
    work: _Workspace,
) -> None:
    """Add number, hits and units of confidence of rows, in C order, by looking at every probability."""
    for start in range(0, len(values), work.n_rows):
        rows = slice(start, min(start + work.n_rows, len(values)))
        flat, n_rows = values[rows].reshape(-1), rows.stop - start
        bins = assign_bins(flat, edges, (work.places[: flat.size], work.near[: flat.size]))
        codes = np.add(bins, work.cells[: flat.size], out=work.codes[: flat.size])
        count, confidence = _dense(flat, codes, sums.shape[1], work.floats[: flat.size])
        true_cells = codes.take(work.row_start[:n_rows] + truth[rows])
        true_cells -= work.row_cells[:n_rows]
        sums[0] += count
        sums[1] += np.bincount(true_cells, minlength=sums.shape[1])
        sums[2] += confidence


def _add_sparse(
    sums: NDArray[np.int64],
    values: NDArray[np.float64],
    truth: NDArray[np.intp],
    edges: NDArray[np.float64],
    look: _Look,
) -> None:
    """Add number, hits and units of confidence of rows, in C order, few of whose probabilities leave the first bin.

    At most n_bins - 1 probabilities of a row lie above it, however many classes there are. The first bin holds the rest
    of each column; no digit is lost in the difference, because all sums are whole units of the grid.
    """
    (n_rows, n_classes), n_bins, n_cells = values.shape, len(edges) - 1, sums.shape[1]
    n_above = len(look.above)
    # Those of the true classes are looked at in the same calls.
    picked = values.reshape(-1).take(np.concatenate([look.above, np.arange(n_rows) * n_classes + truth]))
    bins = assign_bins(picked, edges)
    codes = look.above % n_classes * n_bins + bins[:n_above]
    count, confidence = np.bincount(codes, minlength=n_cells), np.zeros(n_cells, dtype=np.int64)
    rounded = picked[:n_above] + ROUNDER - ROUNDER
    stops = np.searchsorted(look.above, np.arange(EXACT_ROWS, n_rows, EXACT_ROWS) * n_classes)
    for part in itertools.pairwise([0, *stops.tolist(), n_above]):
        some = slice(*part)
        confidence += _whole(np.bincount(codes[some], rounded[some], n_cells) * GRID)
    first = slice(None, None, n_bins)
    count[first] = n_rows - count.reshape(n_classes, n_bins).sum(axis=1)
    confidence[first] = look.units - confidence.reshape(n_classes, n_bins).sum(axis=1)
    sums[0] += count
    sums[1] += np.bincount(truth * n_bins + bins[n_above:], minlength=n_cells)
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


def _column_units(shifted: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the units of the grid in every column of some rows, with ROUNDER added to each value.

    All such values share one exponent, so their bits, read as whole numbers, are those of ROUNDER plus the units. The
    sums overflow, and the sums of the bits of ROUNDER with them; the difference does not.
    """
    n_rows, n_classes = shifted.shape
    bits = shifted.reshape(-1).view(np.int64)
    # Long rows are added faster than short ones: several rows end to end, and those that are left over.
    fold = max(FOLD // n_classes, 1)
    long = n_rows // fold * fold * n_classes
    units: NDArray[np.int64] = bits[:long].reshape(-1, fold * n_classes).sum(axis=0).reshape(-1, n_classes).sum(axis=0)
    units += bits[long:].reshape(-1, n_classes).sum(axis=0)
    units -= np.full(1, n_rows) * np.array([ROUNDER]).view(np.int64)
    return units
