"""Piecewise linear functions of several columns, looked up in a table in place of a search for every value.

A *cell* is a whole number that follows from a value and never falls while the value rises. So the values of one cell
lie side by side, and a table tells which line of the function serves the first of them. Where a single knot lies in a
cell, whether it is passed tells the rest; where there are more, a search among these few does. Of a function that is
flat but between neighbours, as isotonic fits are, another table holds the value of all cells without a knot.

Where all knots lie in [0, 1], a cell is the exponent and the first bits of the fraction, because floats that are not
negative are ordered like their bits. Such cells are narrow near 0, where the scores of one class among many lie;
what is added to all values makes those nearest to 0 equally wide. Among few classes many scores lie near 1 as well, and
those above one half are mirrored, for cells that are narrow there too. Other scores (decision values) get cells of
equal width between the first and the last knot of their column.
"""

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from skroute._rows import bits_of, places_of
from skroute.calibration._apply import ByColumn

__all__ = ["IsotonicTable", "table_size"]

Knots = tuple[NDArray[np.float64], NDArray[np.float64]]
# Writes what values and a number for each combine to.
Combine = Callable[[np.ufunc, NDArray[Any], NDArray[Any]], None]

# Octaves below 1 with cells of their own. All but few of the knots lie above what is smaller.
LEAST_OCTAVES, MOST_OCTAVES, FEW_KNOTS = 8, 40, 0.02
FRACTION_BITS = 52
# At least so many rows and values to come, and values for each cell: the table must not cost more than it saves.
LEAST_ROWS, LEAST_VALUES, VALUES_A_CELL = 2**11, 2**14, 2
# Cells in all, up to 16 bytes each; and for each knot of the column that has most, where functions are flat and where
# they are not: more would fill the cache for nothing.
MOST_CELLS, CELLS_A_STEP, CELLS_A_SLOPE = 2**20, 64, 16
# Bits of the fraction: fewer leave too much to the search; what few knots get; more do not pay.
LEAST_BITS, FEW_BITS, MOST_BITS = 4, 5, 11
# Up to so many columns, scores near 1 are common.
FEW_COLUMNS = 8
# Up to so many knots of a cell are passed one by one.
FEW_HELD = 12
# Such a share of the cells between the knots must be flat for a table of values, and of the lines for more cells.
LEAST_FLAT, LEAST_STEPS = 0.5, 0.25
BITS_OF_ONE = bits_of(np.ones(1))[0]
# Where the line from the last knot of a column ends.
BEYOND = np.array([np.inf])
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
    octaves, n_bits : int
        Octaves below 1 with cells of their own, and bits of the fraction that tell them apart: from `table_size`.
    """

    def __init__(self, knots: Sequence[Knots], n_rows: int, octaves: int, n_bits: int) -> None:
        n_columns = len(knots)
        self.by_bits = all(x[0] >= 0.0 and x[-1] <= 1.0 for x, _ in knots)
        self.n_bits = n_bits
        self.mirrored = self.by_bits and n_columns <= FEW_COLUMNS
        self.shift, self.least_near = FRACTION_BITS - self.n_bits, 2.0**-octaves
        ends = np.array([0.0, 0.5 if self.mirrored else 1.0]) + self.least_near
        base, last = (int(bits) >> self.shift for bits in ends.view(np.int64))
        self.n_cells = (last - base + 1) * (2 if self.mirrored else 1)
        first = np.array([x[0] for x, _ in knots])
        # Halves, because the whole may be out of the range of floats.
        reach = np.array([x[-1] / 2.0 - x[0] / 2.0 for x, _ in knots])
        scale = np.divide(self.n_cells / 2.0 - 1.0, reach, out=np.ones(n_columns), where=reach > 1e-300)
        # What is added to the bits of a value, so that the cells of each column follow those of the one before.
        start = np.arange(n_columns) * self.n_cells - (base if self.by_bits else 0)
        self.first, self.scale, self.start = (ByColumn(numbers, n_rows) for numbers in (first, scale, start))
        # From the other end, if mirrored: ~cell is -1 - cell.
        self.turn = self.n_cells + 2 * base
        n_knots = np.array([len(x) for x, _ in knots])
        self._set_lines(knots, n_knots)
        self._set_cells(knots, n_knots)

    @classmethod
    def for_rows(cls, knots: Sequence[Knots], n_rows: int) -> Self | None:
        """Return the table, or None where so many rows are not worth one."""
        if n_rows < LEAST_ROWS or n_rows * len(knots) < LEAST_VALUES:
            return None
        octaves, n_bits = table_size(knots, n_rows)
        return cls(knots, n_rows, octaves, n_bits) if n_bits >= LEAST_BITS else None

    def write(self, values: NDArray[np.float64], result: NDArray[np.float64]) -> None:
        """Write the functions of finite values, shape (n, n_columns), to `result`."""
        cells = self._cells(values, self.first, self.scale, self.start)
        if self.value is None:
            self._write_lines(values, cells, result)
            return
        # Every index is in range; without "clip" NumPy would look.
        self.value.take(cells, out=result, mode="clip")
        rest = places_of(np.isnan(result).reshape(-1))
        if rest.size:
            some = np.empty(rest.size)
            self._write_lines(values.take(rest), cells.take(rest), some)
            result.put(rest, some)

    def _write_lines(self, values: NDArray[np.float64], cells: NDArray[np.int64], result: NDArray[np.float64]) -> None:
        """Write the values on the lines that serve the cells."""
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
        self,
        values: NDArray[np.float64],
        first: Combine,
        scale: Combine,
        start: Combine,
    ) -> NDArray[np.int64]:
        """Return the cell of each value, those of all columns counted on."""
        if not self.by_bits:
            # What lies beyond the knots may leave the range of whole numbers, and even that of floats.
            places = np.empty(values.shape)
            with np.errstate(over="ignore"):
                first(np.subtract, values, places)
                scale(np.multiply, places, places)
            np.clip(places, -1.0, self.n_cells - 2, out=places)
            places += 1.0
            cells: NDArray[np.int64] = places.astype(np.int64)
            start(np.add, cells, cells)
            return cells
        # What has a sign or exceeds one has larger bits than one.
        if bits_of(values).max() > BITS_OF_ONE:
            values = np.clip(values, 0.0, 1.0)
            values += 0.0
        if not self.mirrored:
            cells = (values + self.least_near).view(np.int64) >> self.shift
            start(np.add, cells, cells)
            return cells
        near = 0.5 - values
        # All bits set where a value lies above one half.
        upper = near.view(np.int64) >> 63
        np.abs(near, out=near)
        # Differences are rounded, but never fall while the values rise.
        np.subtract(0.5 + self.least_near, near, out=near)
        cells = near.view(np.int64) >> self.shift
        cells ^= upper
        start(np.add, cells, cells)
        upper &= self.turn
        cells += upper
        return cells

    def _set_lines(self, knots: Sequence[Knots], n_knots: NDArray[np.intp]) -> None:
        """Write all lines, those of a column side by side: before the first knot, between knots, and from the last."""
        self.end = np.concatenate([part for x, _ in knots for part in (x, BEYOND)])
        self.height = np.concatenate([part for _, y in knots for part in (y[:1], y)])
        self.least, self.most = self.height.min(), self.height.max()
        last = np.cumsum(n_knots + 1) - 1
        first = last - n_knots
        start = np.empty_like(self.end)
        start[1:] = self.end[:-1]
        start[first] = self.end[first]
        self.rise = np.zeros_like(self.end)
        np.subtract(self.height[1:], self.height[:-1], out=self.rise[:-1])
        self.rise[last] = 0.0
        with np.errstate(over="ignore"):
            reach = self.end - start
            np.divide(self.rise, reach, out=self.rise, where=reach > 0.0)
        # Where nothing rises the value is that of the knots, to the last digit.
        self.intercept = self.height - self.rise * start
        farthest = np.maximum(np.abs(start), np.abs(self.end))
        farthest[last] = 0.0
        self.slope = np.where(np.abs(self.rise) * farthest <= MOST_STEEP, self.rise, np.nan)

    def _set_cells(self, knots: Sequence[Knots], n_knots: NDArray[np.intp]) -> None:
        """Write for every cell the first line that serves it, and its value if the functions are mostly flat."""
        column = np.repeat(np.arange(len(n_knots)), n_knots)
        spread = (_one_each(by_column, column) for by_column in (self.first, self.scale, self.start))
        cells = self._cells(np.concatenate([x for x, _ in knots]), *spread)
        held = np.bincount(cells, minlength=len(n_knots) * self.n_cells).astype(np.int32)
        self.most_held = int(held.max())
        # The last line that serves a cell: a column has one line more than knots.
        held[self.n_cells :: self.n_cells] += 1
        self.last = np.cumsum(held, dtype=np.int32)
        held[self.n_cells :: self.n_cells] -= 1
        self.line = self.last - held
        self.value = self._flat_values(held, n_knots, cells)
        # Where several knots are, as a negative number.
        np.invert(self.line, out=self.line, where=held > 1)

    def _flat_values(
        self, held: NDArray[np.int32], n_knots: NDArray[np.intp], cells: NDArray[np.int64]
    ) -> NDArray[np.float64] | None:
        """Return the value of every cell on which a function is flat, NaN for others; None where too few are flat."""
        is_flat = self.rise == 0.0
        # The outer two of each column always are.
        if np.count_nonzero(is_flat) <= 2 * len(n_knots):
            return None
        flat = held == 0
        flat &= is_flat.take(self.line)
        ends = np.cumsum(n_knots)
        outer = np.stack([cells.take(ends - n_knots), cells.take(ends - 1)])
        n_between = np.diff(outer, axis=0).sum()
        n_flat = np.diff(np.cumsum(flat).take(outer), axis=0).sum()
        return np.where(flat, self.height.take(self.line), np.nan) if n_flat >= LEAST_FLAT * n_between else None

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
        high = self.last.take(cells).astype(np.intp)
        while (low < high).any():
            middle = (low + high) >> 1
            passed = values >= self.end.take(middle)
            low = np.where(passed, np.minimum(middle + 1, high), low)
            high = np.where(passed, high, middle)
        return low


def _one_each(by_column: ByColumn, column: NDArray[np.intp]) -> Combine:
    """Return how values are combined with the numbers of their columns."""
    return lambda combine, values, out: combine(values, by_column.repeated.take(column), out=out)


def table_size(knots: Sequence[Knots], n_rows: int) -> tuple[int, int]:
    """Return how many octaves get cells, and how many bits of the fraction there is room and need for."""
    room = min(n_rows // VALUES_A_CELL, MOST_CELLS // len(knots))
    if room >> LEAST_BITS <= LEAST_OCTAVES:
        # In particular one row, for which all that follows would take too long.
        return LEAST_OCTAVES, 0
    octaves = _octaves(knots)
    is_flat = np.diff(np.concatenate([y for _, y in knots])) == 0.0
    cells = CELLS_A_STEP if np.count_nonzero(is_flat) >= LEAST_STEPS * is_flat.size else CELLS_A_SLOPE
    need = max(cells * max(len(x) for x, _ in knots), (octaves + 1) << FEW_BITS)
    return octaves, min(int(np.log2(max(min(room, need) // (octaves + 1), 1))), MOST_BITS)


def _octaves(knots: Sequence[Knots]) -> int:
    """Return how many octaves below 1 hold all but few of the knots."""
    every = np.concatenate([x for x, _ in knots])
    least = np.quantile(np.clip(every, 2.0**-MOST_OCTAVES, 1.0), FEW_KNOTS)
    return max(int(np.ceil(-np.log2(least))), LEAST_OCTAVES)
