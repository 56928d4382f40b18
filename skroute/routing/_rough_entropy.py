"""Entropies in float32, with a proven bound on their error."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["collision_entropy", "entropy_tolerance", "rough_entropy"]


def entropy_tolerance(n_classes: int) -> float:
    """Return a bound on the error of `rough_entropy` for rows of values in [0, 1] that sum to 1 +- `SUM_SLACK`.

    With u = 2^-24: every p is rounded by at most u p, its logarithm by 4 units in the last place, 8 u |log p|, and the
    product by u. All terms of T = -sum p log p are >= 0, as are those of S = sum p, so that a sum of K of them in any
    order adds at most K u of itself. That makes (K + 10) u T + u S for T and (K + 1) u S for S. The entropy in nats is
    log S + T / S, and T / S is at most log K + 0.006; so its error is at most (2 K + 11) u (log K + 0.006) + (K + 2) u,
    and over log K >= 0.69 at most (3.5 K + 15) u. The last four operations, and log K itself, are rounded by u of what
    is at most 1.01, as is the level that the entropy is compared with. What lies under the least normal float32 adds
    less than 1e-33, and terms of second order, and the rounding of the plain code in float64, are covered by the step
    to 4 (K + 10) u.
    """
    return 4.0 * (n_classes + 10) * 2.0**-24


def rough_entropy(
    values: NDArray[np.floating], sums: NDArray[np.float64], room: Callable[..., NDArray[Any]] = np.empty
) -> NDArray[np.float32]:
    """Return the entropy of each renormalised row over log(n_classes), to within `entropy_tolerance`.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_classes) or (n_strips, n_classes, n_rows_of_a_strip)
        Rows, or the columns of strips of rows, one strip after the other.
    sums : ndarray of shape (n_rows,)
        Of the rows.
    room : callable, default=np.empty
        Returns empty arrays, given shape and type, for what is needed meanwhile.

    Returns
    -------
    entropy : ndarray of shape (n_rows,)
    """
    n_classes = values.shape[1]
    terms, logs = (room(values.shape, np.dtype(np.float32)) for _ in range(2))
    np.copyto(terms, values, casting="same_kind")
    # What is added to keep off log 0 is lost in the digits of all p that count.
    terms += np.finfo(np.float32).tiny
    terms *= np.log(terms, out=logs)
    if terms.ndim == 2:
        # Linear algebra may raise flags of values that it does not use.
        with np.errstate(invalid="ignore"):
            total = terms @ np.ones(n_classes, np.float32)
    else:
        total = np.add.reduce(terms, axis=1).reshape(-1)
    divisor = sums.astype(np.float32)
    total /= divisor
    entropy: NDArray[np.float32] = np.log(divisor, out=divisor)
    entropy -= total
    entropy /= np.float32(math.log(n_classes))
    return entropy


def collision_entropy(values: NDArray[np.floating], sums: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return what the entropy of a row is never under: that of order two, minus the logarithm of sum p^2.

    It takes one logarithm a row. Its own error keeps within `entropy_tolerance`: squares and their sum are off by at
    most (K + 1) u of themselves, the logarithm by as much, and the quotients by less than the rest.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_classes)
    sums : ndarray of shape (n_rows,)
        Of the rows.

    Returns
    -------
    entropy : ndarray of shape (n_rows,)
        Over log(n_classes), as that of `rough_entropy` is.
    """
    # Linear algebra may raise flags of values that it does not use; and what a tiny square loses does not count.
    with np.errstate(invalid="ignore", under="ignore"):
        squares = np.matmul(values[:, np.newaxis], values[:, :, np.newaxis]).reshape(-1)
    entropy: NDArray[np.float32] = (np.log(squares / sums**2) / -math.log(values.shape[1])).astype(np.float32)
    return entropy
