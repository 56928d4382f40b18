"""Cells of equal width between the least and the largest value, block by block."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BELOW_ONE", "LEAST_REACH", "cells_of"]

# Places lie in [0, 1): this much below one, rounding cannot bring the largest value there.
BELOW_ONE = 1.0 - 2.0**-50
# The inverse of a smaller range is not finite.
LEAST_REACH = 1e-290


def cells_of(values: NDArray[Any], low: Any, scale: float, size: int) -> Iterator[tuple[slice, NDArray[np.int32]]]:
    """Yield the cells of all rows, ``(values - low) * scale`` cut to whole numbers, in blocks of `size` rows.

    Differences and products keep the order of values. The array that is yielded is written to again.
    """
    # Whole numbers of 64 bits NumPy would fill one by one.
    places, cells = np.empty(size), np.empty(size, dtype=np.int32)
    for start in range(0, len(values), size):
        rows = slice(start, min(start + size, len(values)))
        place, cell = places[: rows.stop - start], cells[: rows.stop - start]
        np.subtract(values[rows], low, out=place)
        place *= scale
        np.copyto(cell, place, casting="unsafe")
        yield rows, cell
