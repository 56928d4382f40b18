"""Rows that are sorted by score as few points, each of which lies within one block of the isotonic fit.

Their labels alone tell. Few rows are told apart where labels rise: a run of ones and the zeros after it fall, and what
falls has one value. Of many rows, cells of neighbours are looked at first, as in `_isotonic_sift`: a block ends in few
of them, and the others need not be told apart. A cell is one number whose bits are its labels, so that the ones up to
any row are counted by few operations on numbers of cells.
"""

import numpy as np
from numpy.typing import NDArray

from skroute._rows import places_of
from skroute.calibration._isotonic_sift import may_hold_an_end

__all__ = ["points_of_labels"]

# Labels of a cell, the first in the lowest bit, and masks of the bits below each.
CELL_BITS, WORD = 4, np.dtype("<u2")
CELL = 2**CELL_BITS
BELOW = ((1 << np.arange(CELL)) - 1).astype(WORD)
# Rows from which it pays to look at cells first.
MANY = 2**16

Points = tuple[NDArray[np.intp], NDArray[np.intp]]


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
    """
    return _by_runs(label) if len(label) < MANY else _by_cells(label)


def _by_runs(label: NDArray[np.bool_]) -> Points:
    """Return a point for each run of ones and the zeros after it."""
    change = np.flatnonzero(label[1:] != label[:-1]) + 1
    # An empty stretch goes before zeros at the start, and after ones at the end.
    edges = np.concatenate([[0] if label[0] else [0, 0], change, [len(label)] * (1 + int(label[-1]))])
    return edges[::2], edges[1::2] - edges[:-1:2]


def _by_cells(label: NDArray[np.bool_]) -> Points:
    """Return a point for each stretch of cells in which no block ends, and each run of equal labels in other cells."""
    n_rows, n_cells = len(label), -(-len(label) // CELL)
    packed = np.packbits(label, bitorder="little")
    # One more, in which the last row may end.
    word = np.zeros(n_cells + 1, dtype=WORD)
    word.view(np.uint8)[: len(packed)] = packed
    ones = np.bitwise_count(word).astype(np.intp)
    zeros = CELL - ones
    zeros[-2] -= n_cells * CELL - n_rows
    open_ = may_hold_an_end(zeros[:-1], ones[:-1])
    # Within open cells where labels change, and at their first row; at the first row of each stretch of closed cells.
    begins = (word ^ word << 1)[:-1]
    begins *= open_
    begins |= open_
    begins[0] |= 1
    begins[1:] |= open_[:-1]
    flags = np.unpackbits(begins.view(np.uint8), count=n_rows, bitorder="little")
    edges = np.append(places_of(flags.view(np.bool_)), n_rows)
    # Quotient and remainder.
    cell, within = edges >> CELL_BITS, edges & (CELL - 1)
    ones_before = np.cumsum(ones) - ones
    up_to = ones_before.take(cell) + np.bitwise_count(word.take(cell) & BELOW.take(within))
    return edges, np.diff(up_to)
