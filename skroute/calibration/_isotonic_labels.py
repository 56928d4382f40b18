"""Rows that are sorted by score as few points, each of which lies within one block of the isotonic fit.

Their labels alone tell. Few rows are told apart where labels rise: a run of ones and the zeros after it fall, and what
falls has one value. Of many rows, cells of neighbours are looked at first, as in `_isotonic_sift`: a block ends in few
of them, and there only where the path is not above the string below the corners. A cell is one number whose bits are
its labels, so that the ones up to any row are counted by few operations on numbers of cells.
"""

import numpy as np
from numpy.typing import NDArray

from skroute.calibration._isotonic_sift import string_below

__all__ = ["points_of_labels"]

# Labels of a cell, the first in the lowest bit, and masks of the bits below each.
CELL_BITS, WORD = 5, np.dtype("<u4")
CELL = 2**CELL_BITS
BELOW = ((1 << np.arange(CELL)) - 1).astype(WORD)
# Rows from which it pays to look at cells first.
MANY = 2**16

Points = tuple[NDArray[np.intp], NDArray[np.float64]]


def points_of_labels(label: NDArray[np.bool_]) -> Points:
    """Return where points begin and end, and how many ones each has.

    Parameters
    ----------
    label : ndarray of shape (n_samples,)
        In the order of the scores; at least one. Equal scores are in the order of their labels.

    Returns
    -------
    edges : ndarray of shape (n_points + 1,)
        The first row of each point, and the number of rows.
    ones : ndarray of shape (n_points,)
        Whole numbers.
    """
    return _by_runs(label) if len(label) < MANY else _by_cells(label)


def _by_runs(label: NDArray[np.bool_]) -> Points:
    """Return a point for each run of ones and the zeros after it."""
    change = np.flatnonzero(label[1:] != label[:-1]) + 1
    # An empty stretch goes before zeros at the start, and after ones at the end.
    edges = np.concatenate([[0] if label[0] else [0, 0], change, [len(label)] * (1 + int(label[-1]))])
    return edges[::2], (edges[1::2] - edges[:-1:2]).astype(np.float64)


def _by_cells(label: NDArray[np.bool_]) -> Points:
    """Return a point for each stretch between rows at which the path may touch its string."""
    n_rows, n_cells = len(label), -(-len(label) // CELL)
    packed = np.packbits(label, bitorder="little")
    word = np.zeros(n_cells, dtype=WORD)
    word.view(np.uint8)[: len(packed)] = packed
    ones = np.bitwise_count(word).astype(np.float64)
    zeros = CELL - ones
    zeros[-1] -= n_cells * CELL - n_rows
    slope, above, _ = string_below(zeros, ones)
    # Blocks begin where labels rise, in cells whose lowest point is not above the string; or so it seems at first rows.
    begins = word & ~(word << 1)
    begins *= above <= slope * zeros
    # The bits of words in which there are some: quotient and remainder of their places.
    some = np.flatnonzero(begins != 0)
    bits = np.unpackbits(begins.take(some).view(np.uint8), bitorder="little")
    place = np.flatnonzero(bits.view(np.bool_))
    cell, within = some.take(place >> CELL_BITS), place & (CELL - 1)
    up = np.bitwise_count(word.take(cell) & BELOW.take(within))
    # There, where they stand by now, most are above it after all.
    kept = np.flatnonzero(above.take(cell) + up <= slope.take(cell) * within)
    cell = cell.take(kept)
    edges = (cell << CELL_BITS) + within.take(kept)
    up_to = (np.cumsum(ones) - ones).take(cell) + up.take(kept)
    first = int(edges.size > 0 and edges[0] == 0)
    edges = np.concatenate([[0], edges[first:], [n_rows]])
    up_to = np.concatenate([[0.0], up_to[first:], [ones.sum()]])
    return edges, up_to[1:] - up_to[:-1]
