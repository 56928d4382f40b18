"""Softmax regression on log-probabilities: its loss, gradient and curvature, in blocks of rows."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute.calibration._apply import block_rows

__all__ = [
    "blocks",
    "mean_slope",
    "mixed_with_uniform",
    "pass_rows",
    "row_max",
    "shift_rows",
    "softmax",
    "uniform_share",
    "unnormalised_softmax",
]

# Blocks of scores that are passed over at once, so that the temporaries of a pass stay in the cache.
BLOCKS_A_PASS = 2
# Up to so many rows, a product with ones costs more than a plain sum, and a call for each column more than one for all.
FEW_ROWS = 16
# Up to so many columns are gone through one by one where their largest value is sought, and where a number of its own
# goes with each row: NumPy pays for every row else.
FEW_COLUMNS, FEWER_COLUMNS = 16, 5


def row_max(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest value of each row, shape (n_rows, 1)."""
    n_rows, n_columns = values.shape
    largest: NDArray[np.float64]
    if n_columns <= FEW_COLUMNS and n_rows >= FEW_ROWS:
        largest = values[:, :1].copy()
        for k in range(1, n_columns):
            np.maximum(largest, values[:, k : k + 1], out=largest)
        return largest
    if not values.flags.c_contiguous:
        largest = values.max(axis=1, keepdims=True)
        return largest
    starts = np.arange(0, values.size, n_columns)
    # One call for all rows: along an axis NumPy pays for each of them.
    largest = np.maximum.reduceat(values.reshape(-1), starts)
    return largest[:, np.newaxis]


def shift_rows(values: NDArray[np.float64], by: NDArray[np.float64]) -> None:
    """Subtract a number of its own, shape (n_rows, 1), from each row, in place."""
    for part, number in _parts(values, by):
        part -= number


def unnormalised_softmax(logits: NDArray[Any], codes: NDArray[np.intp]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Turn logits, in C order, into probabilities times a number of each row, in place.

    Parameters
    ----------
    logits : ndarray of shape (n_rows, n_classes)
    codes : ndarray of shape (n_rows,)
        Column of the true class.

    Returns
    -------
    total : ndarray of shape (n_rows,)
        The sum of each row: to divide what is made of a row by it takes fewer passes than to divide the row.
    log_of_truth : ndarray of shape (n_rows,)
        The log-probability of the true class.
    """
    n_classes = logits.shape[1]
    shift_rows(logits, row_max(logits))
    of_truth = logits.reshape(-1).take(np.arange(0, logits.size, n_classes) + codes)
    np.exp(logits, out=logits)
    total = logits @ np.ones(n_classes, dtype=logits.dtype)
    of_truth -= np.log(total)
    return total, of_truth


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn logits into probabilities, in place."""
    shift_rows(logits, row_max(logits))
    np.exp(logits, out=logits)
    few = len(logits) < FEW_ROWS
    total = logits.sum(axis=1, keepdims=True) if few else logits @ np.ones((logits.shape[1], 1))
    for part, number in _parts(logits, total):
        part /= number
    return logits


def _parts(
    values: NDArray[np.float64], of_row: NDArray[np.float64]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return both, or if there are few columns each of these with the number of every row."""
    if values.shape[1] <= FEWER_COLUMNS and len(values) >= FEW_ROWS:
        return [(column, of_row[:, 0]) for column in values.T]
    return [(values, of_row)]


def pass_rows(n_columns: int) -> int:
    """Return how many rows are passed over at once."""
    return BLOCKS_A_PASS * block_rows(n_columns)


def blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Yield slices of rows whose values stay in the cache."""
    size = pass_rows(n_columns)
    for start in range(0, n_rows, size):
        yield slice(start, min(start + size, n_rows))


def mixed_with_uniform(proba: NDArray[np.float64], total: float, n_classes: int | None = None) -> NDArray[np.float64]:
    """Mix probabilities with half a uniform row beside the `total` that they were learned from, in place.

    So no probability is 0, and none costs more than ``log(n_classes * (2 * total + 1))``. Half a row is
    what Jeffreys' prior adds; a whole one costs near-separable models with few rows more than it saves.
    """
    share = uniform_share(total)
    proba *= 1.0 - share
    proba += share / (n_classes or proba.shape[1])
    return proba


def uniform_share(total: float) -> float:
    """Return the share of half a row beside so many."""
    return 1.0 / (2.0 * total + 1.0)


def mean_slope(
    logits: NDArray[np.float64], codes: NDArray[np.intp], weight: NDArray[np.float64], beta: float
) -> tuple[float, float, float]:
    """Return loss, and its first and second derivative by `beta`, of the probabilities softmax(beta * logits).

    Parameters
    ----------
    logits : ndarray of shape (n_rows, n_classes)
        The largest of each row is 0.
    """
    loss = first = second = 0.0
    ones = np.ones(logits.shape[1])
    for rows in blocks(*logits.shape):
        block, w = logits[rows], weight[rows]
        share = np.exp(beta * block)
        total = share @ ones
        share *= block
        mean = (share @ ones) / total
        share *= block
        square = (share @ ones) / total
        of_truth = block.reshape(-1).take(np.arange(0, block.size, block.shape[1]) + codes[rows])
        loss += float(w @ (np.log(total) - beta * of_truth))
        first += float(w @ (mean - of_truth))
        second += float(w @ (square - mean**2))
    return loss, first, second
