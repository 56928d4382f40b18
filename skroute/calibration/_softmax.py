"""Softmax regression on log-probabilities: its loss, gradient and curvature, in blocks of rows."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from skroute.calibration._apply import block_rows

__all__ = [
    "BLOCKS_A_PASS",
    "blocks",
    "log_softmax",
    "mean_slope",
    "mixed_with_uniform",
    "row_max",
    "softmax",
    "uniform_share",
]

# Blocks of scores that are passed over at once, so that the temporaries of a pass stay in the cache.
BLOCKS_A_PASS = 2
# Up to so many rows, a product with ones costs more than a plain sum.
FEW_ROWS = 16
# Up to so many columns, the largest of each row is found column by column: NumPy pays for every row else.
FEW_COLUMNS = 8


def row_max(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest value of each row, shape (n_rows, 1)."""
    largest: NDArray[np.float64] = values[:, :1].copy()
    if values.shape[1] > FEW_COLUMNS:
        return values.max(axis=1, keepdims=True, out=largest)
    for k in range(1, values.shape[1]):
        np.maximum(largest, values[:, k : k + 1], out=largest)
    return largest


def log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn logits into log-probabilities, in place."""
    logits -= logits.max(axis=1, keepdims=True)
    logits -= np.log(np.exp(logits) @ np.ones((logits.shape[1], 1)))
    return logits


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn logits into probabilities, in place."""
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True) if len(logits) < FEW_ROWS else logits @ np.ones((logits.shape[1], 1))
    return logits


def blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Yield slices of rows whose values stay in the cache."""
    size = BLOCKS_A_PASS * block_rows(n_columns)
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
        of_truth = block[np.arange(len(block)), codes[rows]]
        loss += float(w @ (np.log(total) - beta * of_truth))
        first += float(w @ (mean - of_truth))
        second += float(w @ (square - mean**2))
    return loss, first, second
