"""Calibration of many rows: block by block, so that all between scores and probabilities stays in the cache."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from skroute._rows import row_sums
from skroute._top_blocks import MANY_ROWS, strip_length

__all__ = [
    "ByColumn",
    "Floats",
    "Map",
    "all_finite",
    "block_rows",
    "by_blocks",
    "divide_rows",
    "logistic",
]

# Named, because Python would build the type anew for each inner function, which takes longer than calibrating a row.
Floats = NDArray[np.float64]
# Writes the probabilities of some rows of scores to the second array; returns whether all scores were finite, or else
# what it wrote does not count.
Map = Callable[[Floats, Floats], bool]

# Values in a block, of a multiple of so many rows: the last bit of a row's sum can depend on how many rows there are;
# at least 256 of them: some calibrators go through a block column by column.
BLOCK, MULTIPLE, LEAST_ROWS = 2**16, 16, 2**8
# Up to so many values, calls cost more than arithmetic.
FEW_VALUES = 2**10
# Up to so many columns, they are scaled one by one: NumPy's arithmetic with one number a row pays for every row.
FEW_COLUMNS = 8
# Values of a row that many short ones are laid end to end to.
LONG_ROW = 2**13
# The inverse of a smaller sum is not finite, or has lost digits.
LEAST_SUM = 1e-290


def by_blocks(function: Map, scores: NDArray[np.float64], size: int | None = None) -> NDArray[np.float64] | None:
    """Return the probabilities that a function gives to rows of scores; None where a score is not finite.

    It is given `size` rows at once, by default a block of them, and all if they are few.
    """
    proba = np.empty(scores.shape)
    if scores.size <= FEW_VALUES:
        size = max(len(scores), 1)
    elif size is None:
        size = block_rows(scores.shape[1])
    for start in range(0, len(scores), size):
        rows = slice(start, start + size)
        if not function(scores[rows], proba[rows]):
            return None
    return proba


def all_finite(values: NDArray[np.float64]) -> bool:
    """Return whether all values of a matrix are finite, without a temporary of its size."""
    # Where the sum is finite, all are; where it is not, the values may only be large.
    if len(values) == 1:
        return math.isfinite(sum(values[0].tolist())) or bool(np.isfinite(values).all())
    if values.flags.forc or values.shape[1] == 1:
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(values.sum()):
                return True
    size = block_rows(values.shape[1])
    return all(bool(np.isfinite(values[start : start + size]).all()) for start in range(0, len(values), size))


def block_rows(n_columns: int) -> int:
    """Return the number of rows of a block."""
    n_rows = BLOCK // n_columns
    # Whole strips, where there are many: gates that read the block next would make a block of what is left over.
    multiple = strip_length(n_columns) if n_rows >= MANY_ROWS else MULTIPLE
    return max(n_rows // multiple * multiple, LEAST_ROWS)


class ByColumn:
    """A number for each column, to be combined with so many rows in all.

    NumPy's arithmetic with one short row pays for every row. So the numbers are repeated to one that is long, though it
    takes little of the cache, and as many rows, laid end to end, are combined with it at once.
    """

    def __init__(self, numbers: NDArray[Any], n_rows: int) -> None:
        self.n_rows = min(max(LONG_ROW // len(numbers), 1), max(n_rows, 1))
        self.repeated = np.broadcast_to(numbers, (self.n_rows, len(numbers))).reshape(-1)

    def __call__(self, combine: np.ufunc, values: NDArray[Any], out: NDArray[Any]) -> None:
        """Write what each value and the number of its column combine to, shape (n_rows, n_columns)."""
        n_rows, n_columns = values.shape
        if not out.flags.c_contiguous:
            combine(values, self.repeated[:n_columns], out=out)
            return
        if not values.flags.c_contiguous:
            out[:] = values
            values = out
        flat, result, size = values.reshape(-1), out.reshape(-1), self.repeated.size
        whole = n_rows // self.n_rows * size
        if whole:
            combine(flat[:whole].reshape(-1, size), self.repeated, out=result[:whole].reshape(-1, size))
        if whole < flat.size:
            combine(flat[whole:], self.repeated[: flat.size - whole], out=result[whole:])


def logistic(negative: NDArray[np.float64]) -> None:
    """Turn z into 1 / (1 + exp(z)), in place."""
    if negative.size <= FEW_VALUES:
        expit(np.negative(negative, out=negative), out=negative)
        return
    with np.errstate(over="ignore"):
        # An infinite exponential gives the 0 that is meant.
        np.exp(negative, out=negative)
    negative += 1.0
    np.reciprocal(negative, out=negative)


def divide_rows(proba: NDArray[np.float64]) -> None:
    """Divide every row by its sum, in place; a row of zeros, which says nothing, becomes uniform."""
    n_classes = proba.shape[1]
    few = proba.size <= FEW_VALUES
    total = np.add.reduce(proba, axis=1) if few else row_sums(proba)
    if np.minimum.reduce(total, initial=1.0) < LEAST_SUM:
        proba[total <= 0.0] = 1.0
        proba /= proba.sum(axis=1, keepdims=True)
        return
    np.reciprocal(total, out=total)
    if n_classes > FEW_COLUMNS or few:
        proba *= total[:, np.newaxis]
        return
    for c in range(n_classes):
        proba[:, c] *= total
