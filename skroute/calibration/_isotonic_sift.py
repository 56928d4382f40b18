"""Which rows can be the end of a block of an isotonic fit: only these must be sorted.

Draw the labels as a path: sorted by score, every row goes one to the right, and one up if it is of the class. The
isotonic function is the slope of the path's greatest convex minorant, the string that is pulled tight below the path,
and its blocks end where path and string touch.

Put the rows into cells by their score, without sorting within a cell. The corners of the cells are points of the path,
so the string below the corners alone lies nowhere below the true one. Within a cell the path is known but for its
order, and lies lowest if it goes to the right first (zeros) and then up (ones). Where even that stays above the string
below the corners, the path cannot touch the true string: no block ends in such a cell, and its sums are all that
matters. In the other cells, a tenth of all rows or less, the same is done again with smaller cells.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from skroute._rows import places_of
from skroute.calibration._cells import BELOW_ONE, LEAST_REACH, cells_of

__all__ = ["Sifted", "sift", "string_below"]

# Rows of a cell at first, when every row has to be looked at, and later; and cells at first, whose counts stay in the
# cache.
FIRST_ROWS, ROWS, MOST_FIRST = 16, 4, 2**16
# Rows for each cell that are looked at in one go: more than counts, so that adding up the counts costs little.
BLOCK_ROWS = 4
# Rows by which it is told how the scores spread, and parts of their range.
SAMPLE, PARTS = 1024, 128
# So few rows, or one in so many, are sorted rather than sifted again.
FEW_ROWS, FEW_SHARE = 2**12, 2**6
# Skewed scores crowd in few cells, and need some rounds to spread. A round that leaves more than this share of its rows
# over is the last one if less than this share of them is in cells of several scores.
MOST_ROUNDS, LEAST_GAIN, TIED = 5, 0.8, 0.5
# Heights above the string that may be rounding, as a share of the whole weight.
ROUNDING = 1e-9


class Sifted(NamedTuple):
    """Rows that are left over, and the sums of all others between them."""

    rows: NDArray[np.intp]
    """Rows that may be the end of a block, and their neighbours."""
    slot: NDArray[np.intp]
    """The place of each of these rows in the order by score, which rows of neighbouring scores share."""
    sums: NDArray[np.intp]
    """Shape (2, n_slots): weights of zeros and of ones of the rows that are left out; none in a slot that has rows."""
    score: NDArray[np.float64]
    """The score of all that is left out of a slot, or NaN if there are several; shape (n_slots,)."""


def sift(scores: NDArray[np.float64], positive: NDArray[np.bool_], weight: NDArray[np.float64] | None) -> Sifted | None:
    """Return the rows that may be the end of a block; None where scores lie too close or too far apart for cells.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
        Finite.
    positive : ndarray of shape (n_samples,)
        Label of each row.
    weight : ndarray of shape (n_samples,) or None
        Positive whole numbers whose sums are exact; None counts every row once.
    """
    values = _evenly_spread(scores)
    low = values.min()
    # As Python's numbers: exact for whole ones, and without a warning for others.
    reach = float(values.max().item() - low.item())
    if not LEAST_REACH < reach < np.inf:
        return None
    n_cells = min(int(_power_of_two(np.array(len(scores) / FIRST_ROWS))), MOST_FIRST)
    scale = n_cells * (BELOW_ONE / reach)
    size = BLOCK_ROWS * n_cells
    counts = np.zeros(2 * n_cells, dtype=np.intp)
    cell_of_row = np.empty(len(values), dtype=np.min_scalar_type(MOST_FIRST - 1))
    for block, cell in cells_of(values, low, scale, size):
        cell_of_row[block] = cell
        counts += _counts(cell, positive[block], None if weight is None else weight[block], n_cells)
    slot_of_cell, sums = _sieve(counts.reshape(-1, 2).T, np.zeros((2, n_cells), dtype=np.intp))
    is_open = slot_of_cell >= 0
    blocks = range(0, len(values), size)
    rows = np.concatenate([start + places_of(is_open.take(cell_of_row[start : start + size])) for start in blocks])
    place = (values.take(rows) - low) * scale
    part = place.astype(np.intp)
    slot = slot_of_cell.take(part)
    positive = positive.take(rows)
    weight = None if weight is None else weight.take(rows)
    few = max(FEW_ROWS, len(values) // FEW_SHARE)
    for _ in range(MOST_ROUNDS):
        if len(rows) < few:
            break
        # Crowded cells are cut into more parts. What is left of a place, times a power of two, is exact.
        n_parts = _power_of_two(np.bincount(slot, minlength=sums.shape[1]) / ROWS)
        offset, n_cells = np.cumsum(n_parts) - n_parts, int(n_parts.sum())
        place = (place - part) * n_parts.take(slot)
        part = place.astype(np.intp)
        cell = part + offset.take(slot)
        left_out = np.zeros((2, n_cells), dtype=np.intp)
        left_out[:, offset] = sums
        slot_of_cell, sums = _sieve(_sums(cell, positive, weight, n_cells), left_out)
        slot = slot_of_cell.take(cell)
        kept = np.flatnonzero(slot >= 0)
        gain = len(kept) < LEAST_GAIN * len(rows)
        rows, slot, place, part = rows.take(kept), slot.take(kept), place.take(kept), part.take(kept)
        positive = positive.take(kept)
        weight = None if weight is None else weight.take(kept)
        # Equal scores never spread.
        if not gain and np.isnan(_one_score(scores.take(rows), slot, sums.shape[1]).take(slot)).mean() < TIED:
            break
    left = Sifted(rows, slot, sums, np.full(sums.shape[1], np.nan))
    return _ties_merged(left, scores, positive, weight) if len(rows) >= few else left


def _power_of_two(number: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the least powers of two, from 1 on, that are no less."""
    return np.exp2(np.ceil(np.log2(np.maximum(number, 1.0)))).astype(np.intp)


def _evenly_spread(scores: NDArray[np.float64]) -> NDArray[Any]:
    """Return the scores or, where that spreads them more evenly, their bits.

    The bits of floats that are not negative, read as whole numbers, are in the same order, and all but logarithms:
    probabilities of many classes crowd near 0.
    """
    sample = scores[:: max(len(scores) // SAMPLE, 1)]
    bits = sample.view(np.int64)
    if bits.min() < 0 or _crowding(bits) >= _crowding(sample):
        return scores
    bits = scores.view(np.int64)
    return bits if bits.min() >= 0 else scores


def _crowding(sample: NDArray[Any]) -> float:
    """Return how many other values share the part of the range that a value lies in, on average."""
    low, high = float(sample.min()), float(sample.max())
    part = (sample / 2.0 - low / 2.0) * (PARTS / max(high / 2.0 - low / 2.0, LEAST_REACH))
    return float((np.bincount(part.astype(np.intp)) ** 2).sum())


def _sums(
    cell: NDArray[np.intp], positive: NDArray[np.bool_], weight: NDArray[np.float64] | None, n_cells: int
) -> NDArray[np.intp]:
    """Return the weights of zeros and of ones in every cell, shape (2, n_cells)."""
    return _counts(cell, positive, weight, n_cells).reshape(-1, 2).T


def _counts(
    cell: NDArray[Any], positive: NDArray[np.bool_], weight: NDArray[np.float64] | None, n_cells: int
) -> NDArray[np.intp]:
    """Return the weights of zeros and of ones in every cell, one beside the other, shape (2 * n_cells,)."""
    key = cell << 1
    key += positive
    return np.bincount(key, weight, 2 * n_cells).astype(np.intp, copy=False)


def _sieve(sums: NDArray[np.intp], left_out: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the slot of every cell, -1 where no block ends, and the sums in the slots of what is left out by now.

    Parameters
    ----------
    sums, left_out : ndarray of shape (2, n_cells)
        Weights of zeros and of ones, of rows and of what was left out before. No cell has both.
    """
    zeros, ones = sums + left_out
    filled = np.flatnonzero((zeros + ones) > 0)
    zeros, ones = zeros.take(filled), ones.take(filled)
    # What was left out already stays so: the path within was looked at in smaller cells.
    open_ = may_hold_an_end(zeros, ones) & ((left_out[0] + left_out[1]).take(filled) == 0)
    # A slot for each open cell, and one for all closed ones between two of them.
    begins = open_.copy()
    begins[0] = True
    begins[1:] |= open_[:-1]
    slot_of_cell = np.full(sums.shape[1], -1)
    opened = np.flatnonzero(open_)
    slot_of_cell[filled.take(opened)] = np.cumsum(begins).take(opened) - 1
    first = np.flatnonzero(begins)
    zeros[opened] = ones[opened] = 0
    return slot_of_cell, np.stack([np.add.reduceat(zeros, first), np.add.reduceat(ones, first)])


def _ties_merged(
    found: Sifted, scores: NDArray[np.float64], positive: NDArray[np.bool_], weight: NDArray[np.float64] | None
) -> Sifted:
    """Leave out all rows of slots that hold one score; labels and weights are those of the rows that are left over."""
    n_slots = found.sums.shape[1]
    score = _one_score(scores.take(found.rows), found.slot, n_slots)
    mixed = np.isnan(score)
    merged = np.where(mixed, 0, _sums(found.slot, positive, weight, n_slots))
    kept = np.flatnonzero(mixed.take(found.slot))
    return Sifted(found.rows.take(kept), found.slot.take(kept), found.sums + merged, score)


def _one_score(scores: NDArray[np.float64], slot: NDArray[np.intp], n_slots: int) -> NDArray[np.float64]:
    """Return the score of every slot whose rows have one; NaN where there are several, or no row."""
    score = np.full(n_slots, np.nan)
    # Whichever row writes last.
    score[slot] = scores
    score[slot.take(np.flatnonzero(scores != score.take(slot)))] = np.nan
    return score


def string_below(
    zeros: NDArray[np.float64], ones: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    """Return the string below the corners of cells, none of which is empty.

    Returns
    -------
    slope : ndarray of shape (n_cells,)
        Of the string in each cell.
    above : ndarray of shape (n_cells,)
        How far the path is above it where each cell starts, but for rounding.
    edges : ndarray of shape (n_blocks + 1,)
        The cells in which the string bends, from the first one on, and the number of cells.
    """
    weight = zeros + ones
    best = isotonic_regression(ones / weight, weights=weight)
    above = np.zeros(len(weight))
    np.cumsum((ones - best.x * weight)[:-1], out=above[1:])
    # Heights that may be rounding count as none.
    above -= ROUNDING * weight.sum()
    return best.x, above, best.blocks


def may_hold_an_end(zeros: NDArray[np.intp], ones: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Tell in which cells the path may touch its string, and the cells before them; none of the cells is empty."""
    slope, above, edges = string_below(zeros.astype(np.float64), ones.astype(np.float64))
    # In a block of zeros or ones alone, the path is the string, and ends with it. Elsewhere the lowest point of a cell
    # tells: its zeros done, while the string has risen, and its ones to come.
    touches = (above <= slope * zeros) & (slope > 0.0) & (slope < 1.0)
    touches[edges[:-1]] = touches[edges[1:] - 1] = True
    # The score before the last one of a block tells whether that one stands alone.
    touches[:-1] |= touches[1:]
    return touches
