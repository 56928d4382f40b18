"""Piecewise linear functions of several columns, looked up in a table in place of a search for every value.

A *cell* is a whole number that follows from a value and never falls while the value rises. So the values of one cell
lie side by side, and a table tells which line of the function serves the first of them. Where a single knot lies in a
cell, whether it is passed tells the rest; where there are more, a search among these few does.

Where all knots lie in [0, 1], a cell is the exponent and the first bits of the fraction, because floats that are not
negative are ordered like their bits. Such cells are narrow near 0, where the scores of one class among many lie. Among
few classes many scores lie near 1 as well, and those above one half are mirrored, for cells that are narrow there too.
Other scores (decision values) get cells of equal width between the first and the last knot of their column.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from skroute._rows import places_of
from skroute.calibration._apply import spread_rows

__all__ = ["IsotonicTable"]

Knots = tuple[NDArray[np.float64], NDArray[np.float64]]

# Octaves below 1 with cells of their own; what is smaller shares a cell. All but few of the knots lie above it.
LEAST_OCTAVES, MOST_OCTAVES, FEW_KNOTS = 8, 40, 0.02
FRACTION_BITS, EXPONENT_BIAS = 52, 1023
# At least so many rows to come, and values for each cell: filling the table must not cost more than it saves.
LEAST_ROWS, VALUES_A_CELL = 2**12, 2
# Cells in all, 8 bytes each; and for each knot of the column that has most: more would fill the cache for nothing.
MOST_CELLS, CELLS_A_KNOT = 2**20, 64
# Bits of the fraction: fewer leave too much to the search, more do not pay.
LEAST_BITS, MOST_BITS = 5, 11
# Up to so many columns, scores near 1 are common.
FEW_COLUMNS = 8
# Up to so many knots of a cell are passed one by one.
FEW_HELD = 6
# The rounding of slope times value, and so of the result, stays under 1e-13.
MOST_STEEP = 500.0


class IsotonicTable:
    """The table of several functions.

    Parameters
    ----------
    knots : sequence of (x, y)
        Of each column: ascending x, and the values there.
    n_rows : int
        How many rows are to come.
    """

    def __init__(self, knots: Sequence[Knots], n_rows: int) -> None:
        n_columns = len(knots)
        self.by_bits = all(x[0] >= 0.0 and x[-1] <= 1.0 for x, _ in knots)
        self.octaves = _octaves(knots)
        self.n_bits = _n_bits(knots, n_rows)
        self.mirrored = self.by_bits and n_columns <= FEW_COLUMNS
        # One cell more for what is smaller; and an octave more for 1 itself or, mirrored, all octaves again.
        octaves = 2 * self.octaves if self.mirrored else self.octaves + 1
        self.n_cells = (octaves << self.n_bits) + 1
        first = np.array([x[0] for x, _ in knots])
        # Halves, because the whole may be out of the range of floats.
        reach = np.array([x[-1] / 2.0 - x[0] / 2.0 for x, _ in knots])
        scale = np.divide(self.n_cells / 2.0 - 1.0, reach, out=np.ones(n_columns), where=reach > 1e-300)
        self.first, self.scale = spread_rows(first, n_rows), spread_rows(scale, n_rows)
        self.start = spread_rows(np.arange(n_columns) * self.n_cells, n_rows)
        self._fill(knots)

    @staticmethod
    def pays(knots: Sequence[Knots], n_rows: int) -> bool:
        """Return whether so many rows are worth a table."""
        return n_rows >= LEAST_ROWS and _n_bits(knots, n_rows) >= LEAST_BITS

    def write(self, values: NDArray[np.float64], result: NDArray[np.float64]) -> None:
        """Write the functions of finite values, shape (n, n_columns), to `result`."""
        n_rows = len(values)
        cells = self._cells(values, self.first[:n_rows], self.scale[:n_rows])
        cells += self.start[:n_rows]
        # Every index is in range; without "clip" NumPy would look.
        line = self.line.take(cells, mode="clip").astype(np.intp)
        several = places_of((line < 0).reshape(-1))
        if several.size:
            line.put(several, self._search(values.take(several), cells.take(several), line.take(several)))
        line += values >= self.end.take(line, mode="clip")
        slope = self.slope.take(line, mode="clip")
        slope *= values
        np.add(self.intercept.take(line, mode="clip"), slope, out=result)
        steep = places_of(np.isnan(result).reshape(-1))
        if steep.size:
            own = line.take(steep)
            result.put(steep, self.rise[own] * (values.take(steep) - self.end[own - 1]) + self.height[own])
        # Rounding must not leave what the knots span.
        np.clip(result, self.least, self.most, out=result)

    def _cells(
        self, values: NDArray[np.float64], first: NDArray[np.float64], scale: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Return the cell of each value, less than `n_cells`."""
        if not self.by_bits:
            # What lies beyond the knots may leave the range of whole numbers, and even that of floats.
            with np.errstate(over="ignore"):
                places = (values - first) * scale
            np.clip(places, -1.0, self.n_cells - 2, out=places)
            places += 1.0
            return places.astype(np.int64)
        near = values
        if self.mirrored:
            # Differences are rounded, but never fall while the values rise.
            near = 0.5 - values
            # All bits set where a value lies above one half.
            upper = near.view(np.int64) >> 63
            np.abs(near, out=near)
            np.subtract(0.5, near, out=near)
        # The bits of negative numbers, and of -0.0, are negative: they end in the first cell.
        cells: NDArray[np.int64] = near.view(np.int64) >> (FRACTION_BITS - self.n_bits)
        cells -= ((EXPONENT_BIAS - self.octaves) << self.n_bits) - 1
        np.clip(cells, 0, self.n_cells - 1, out=cells)
        if self.mirrored:
            # ~cell is -1 - cell, and so counts from the other end.
            cells ^= upper
            upper &= self.n_cells
            cells += upper
        return cells

    def _fill(self, knots: Sequence[Knots]) -> None:
        """Write the table: all lines, those of a column side by side, and for every cell the first that serves it."""
        # Before the first knot, between knots, and from the last one on.
        self.end = np.concatenate([np.append(x, np.inf) for x, _ in knots])
        self.height = np.concatenate([np.append(y[:1], y) for _, y in knots])
        self.least, self.most = self.height.min(), self.height.max()
        with np.errstate(over="ignore"):
            slopes = [np.diff(y) / np.diff(x) for x, y in knots]
        self.rise = np.concatenate([np.concatenate([[0.0], slope, [0.0]]) for slope in slopes])
        # Where nothing rises the value is that of the knots, to the last digit.
        start = np.concatenate([np.append(x[:1], x) for x, _ in knots])
        self.intercept = np.where(self.rise == 0.0, self.height, self.height - self.rise * start)
        reach = np.maximum(np.abs(start), np.where(np.isfinite(self.end), np.abs(self.end), 0.0))
        self.slope = np.where(np.abs(self.rise) * reach <= MOST_STEEP, self.rise, np.nan)
        self.line = np.empty(len(knots) * self.n_cells, dtype=np.int32)
        self.last = np.empty_like(self.line)
        first = self.most_held = 0
        for k, (x, _) in enumerate(knots):
            own, column = slice(k * self.n_cells, (k + 1) * self.n_cells), slice(k, k + 1)
            cells = self._cells(x[:, np.newaxis], self.first[:1, column], self.scale[:1, column])
            held = np.bincount(cells.ravel(), minlength=self.n_cells)
            self.most_held = max(self.most_held, int(held.max()))
            self.last[own] = first + np.cumsum(held)
            self.line[own] = self.last[own] - held
            # Where several knots are, as a negative number.
            self.line[own][held > 1] ^= -1
            first += len(x) + 1

    def _search(
        self, values: NDArray[np.float64], cells: NDArray[np.int64], line: NDArray[np.intp]
    ) -> NDArray[np.intp]:
        """Return the lines that serve values in cells of several knots, given what the table says of these."""
        low = ~line
        if self.most_held <= FEW_HELD:
            # The caller looks at one more knot.
            for _ in range(self.most_held - 1):
                low += values >= self.end.take(low)
            return low
        high = self.last.take(cells)
        while (low < high).any():
            middle = (low + high) >> 1
            passed = values >= self.end.take(middle)
            low = np.where(passed, np.minimum(middle + 1, high), low)
            high = np.where(passed, high, middle)
        return low


def _n_bits(knots: Sequence[Knots], n_rows: int) -> int:
    """Return how many bits of the fraction there is room and need for."""
    room = min(n_rows // VALUES_A_CELL, MOST_CELLS // len(knots))
    if room >> LEAST_BITS <= LEAST_OCTAVES:
        # In particular one row, for which all that follows would take too long.
        return 0
    octaves = _octaves(knots) + 1
    need = max(CELLS_A_KNOT * max(len(x) for x, _ in knots), octaves << LEAST_BITS)
    return min(int(np.log2(max(min(room, need) // octaves, 1))), MOST_BITS)


def _octaves(knots: Sequence[Knots]) -> int:
    """Return how many octaves below 1 hold all but few of the knots."""
    every = np.concatenate([x for x, _ in knots])
    least = np.quantile(np.clip(every, 2.0**-MOST_OCTAVES, 1.0), FEW_KNOTS)
    return max(int(np.ceil(-np.log2(least))), LEAST_OCTAVES)
