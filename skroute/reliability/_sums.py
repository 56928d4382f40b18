"""Sums over rows that add without rounding, so that parts of a table make up the whole to the last bit.

Floating-point addition depends on the order of its terms. Sums here are whole numbers, or fractions with a power of two
as denominator, held as Python objects that neither round nor overflow. Only the sums are objects (a few for each bin);
rows are added up in vectorised passes over float64 whose partial sums are whole numbers below 2**53, where float64 is
exact too.
"""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

__all__ = ["GRID", "GRID_BITS", "STATISTICS", "block_sums", "exact_ratio"]

# What a table keeps of the rows in a bin. The weight and its square give the effective number of rows (Kish).
STATISTICS = ("count", "weight", "squared_weight", "hits", "confidence")

# Confidences are rounded to units of 2**-41 before they are added, at most 2.3e-13 off: coarse enough for a float64 to
# hold the sum over 4096 rows, and fine enough for a mean to be right to twelve digits. A fixed unit (rather than every
# bit of every float) keeps products with whole weights exact: twice a row is two rows.
GRID_BITS = 41
GRID = 2**GRID_BITS
_LOW = 2**20
_HALF = 2**26, 2**27


def block_sums(
    codes: NDArray[np.integer],
    confidence: NDArray[np.float64],
    right: NDArray[np.bool_],
    weight: NDArray[np.float64] | None,
    n_cells: int,
) -> NDArray[np.object_]:
    """Return the sums of `STATISTICS` in every cell, for one block of less than 2**26 rows.

    Parameters
    ----------
    codes : ndarray of shape (n_rows,)
        Cell of every row, in [0, n_cells).
    confidence : ndarray of shape (n_rows,)
        In [0, 1].
    right : ndarray of shape (n_rows,)
        Whether the row is a hit.
    weight : ndarray of shape (n_rows,) or None
        Positive weights; None counts every row once.
    n_cells : int
        Number of cells.

    Returns
    -------
    sums : ndarray of shape (5, n_cells)
        Exact; the confidence in units of ``1 / GRID``.
    """
    # The units are cut into 21 and 20 bits, because sums of 2**26 whole units would not fit into a float64.
    units = np.rint(confidence * GRID)
    high = np.floor(units / _LOW)
    low = units - high * _LOW
    if weight is None:
        wrong, hits = _whole(np.bincount(codes * 2 + right, minlength=2 * n_cells)).reshape(n_cells, 2).T
        total = _whole(np.bincount(codes, high, n_cells)) * _LOW + _whole(np.bincount(codes, low, n_cells))
        count = wrong + hits
        return np.stack([count, count, count, hits, total])
    count = _whole(np.bincount(codes, minlength=n_cells))
    weights, squares, hits, highs, lows = (
        _float_sums(values, codes, n_cells)
        for values in (weight, weight * weight, weight * right, weight * high, weight * low)
    )
    return np.stack([count, weights, squares, hits, highs * _LOW + lows])


def _whole(values: NDArray[np.integer | np.floating]) -> NDArray[np.object_]:
    return values.astype(np.int64).astype(object)


def _float_sums(values: NDArray[np.float64], codes: NDArray[np.integer], n_cells: int) -> NDArray[np.object_]:
    """Return the exact sums of floats of any size: those of one exponent are added as whole numbers."""
    mantissa, exponent = np.frexp(values)
    lowest = int(exponent.min())
    n_levels = int(exponent.max()) - lowest + 1
    cells, size = codes * n_levels + (exponent - lowest), n_cells * n_levels
    # 53 bits are cut into 26 and 27, because sums of 53-bit numbers would not fit into the 53 bits of a float64.
    scaled = mantissa * _HALF[0]
    high = np.floor(scaled)
    low = (scaled - high) * _HALF[1]
    whole = _whole(np.bincount(cells, high, size)) * _HALF[1] + _whole(np.bincount(cells, low, size))
    units = np.array([2**level for level in range(n_levels)], dtype=object)
    sums: NDArray[np.object_] = (whole.reshape(n_cells, n_levels) @ units) * Fraction(2) ** (lowest - 53)
    return sums


def exact_ratio(top: NDArray[np.object_], bottom: NDArray[np.object_], *, empty: float = np.nan) -> NDArray[np.float64]:
    """Return top / bottom, rounded once; `empty` where `bottom` is 0."""
    ratio = np.full(bottom.shape, empty)
    some = bottom != 0
    # Python divides ints and Fractions correctly rounded, so equal sums give equal figures whatever their type.
    ratio[some] = (top[some] / bottom[some]).astype(np.float64)
    return ratio
