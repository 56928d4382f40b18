"""Exact minima of the cost: the cheapest thresholds of all classes in one sweep.

Proposition. Let every row belong to one group and cost ``delta`` more when its score reaches the threshold of its
group. The sum over all rows splits into one sum a group, and each is a step function that changes only at scores that
occur. Its minimum is therefore the least running sum of `delta` in descending order of the scores, taken where a block
of equal scores ends, or 0 for the threshold +inf.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ROUNDING", "ScoreOrder", "best_thresholds", "score_order"]

# Running sums closer than this share of the largest one differ by rounding: the cost counts as equal.
ROUNDING = 1e-12


@dataclass(frozen=True)
class ScoreOrder:
    """Rows ordered by group and descending score; what every sweep over the same scores shares."""

    rows: NDArray[np.intp]
    """Shape (n_samples,): the rows in this order."""
    ends: NDArray[np.intp]
    """Shape (n_blocks,): where in the order each block of equal scores of a group ends."""
    scores: NDArray[np.float64]
    """Shape (n_blocks,): the score of each block."""
    groups: NDArray[np.intp]
    """Shape (n_present,): the groups that have rows."""
    starts: NDArray[np.intp]
    """Shape (n_present + 1,): where in the order each of them starts, and the number of rows."""
    first: NDArray[np.intp]
    """Shape (n_present,): the first block of each of them."""
    sizes: NDArray[np.intp]
    """Shape (n_present,): how many blocks each of them has."""
    n_groups: int


def score_order(
    scores: NDArray[np.float64], groups: NDArray[np.integer] | None = None, n_groups: int = 1
) -> ScoreOrder:
    """Order rows by group and, within it, by descending score.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
        Not NaN.
    groups : ndarray of shape (n_samples,), default=None
        Integers from 0 to ``n_groups - 1``. None: one group.
    n_groups : int, default=1
        Number of groups.

    Returns
    -------
    order : ScoreOrder
    """
    if groups is None:
        rows = np.argsort(-scores)
        counts = np.array([len(scores)])
    else:
        # Integers of 16 bits are sorted by radix, in linear time; groups are then short enough for the cache.
        narrow = groups.astype(np.uint8 if n_groups <= 2**8 else np.uint16 if n_groups <= 2**16 else np.intp)
        rows = np.argsort(narrow, kind="stable")
        counts = np.bincount(groups, minlength=n_groups)
        falling = -scores[rows]
        stop = 0
        for count in counts.tolist():
            start, stop = stop, stop + count
            if count > 1:
                rows[start:stop] = rows[start:stop][np.argsort(falling[start:stop])]
        del falling
    present = np.flatnonzero(counts)
    starts = np.concatenate([[0], np.cumsum(counts[present])])
    ordered = scores[rows]
    last = np.empty(len(rows), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=last[:-1])
    last[starts[1:] - 1] = True
    ends = np.flatnonzero(last)
    first = np.searchsorted(ends, starts[:-1])
    sizes = np.diff(first, append=len(ends))
    return ScoreOrder(rows, ends, ordered[ends], present, starts, first, sizes, n_groups)


def best_thresholds(order: ScoreOrder, delta: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the thresholds of least cost: the exact minimum over all of them.

    Parameters
    ----------
    order : ScoreOrder
        The order of the rows.
    delta : ndarray of shape (n_samples,)
        What a row adds to the cost when its score reaches the threshold of its group. 0 for a row that another gate
        stops.

    Returns
    -------
    thresholds : ndarray of shape (n_groups,)
        A score that occurs, or +inf where no threshold lowers the cost. Of thresholds with equal cost the largest.
    change : ndarray of shape (n_groups,)
        What each adds to the cost; at most 0.
    """
    thresholds = np.full(order.n_groups, np.inf)
    change = np.zeros(order.n_groups)
    if not len(order.rows):
        return thresholds, change
    running = np.cumsum(delta[order.rows])
    slack = ROUNDING * max(float(running.max()), -float(running.min()))
    before = np.concatenate([[0.0], running[order.starts[1:-1] - 1]])
    at_ends = running if len(order.ends) == len(running) else running[order.ends]
    least = np.minimum.reduceat(at_ends, order.first)
    hits = np.flatnonzero(at_ends <= np.repeat(least + slack, order.sizes))
    best = hits[np.searchsorted(hits, order.first)]
    change_at_best = at_ends[best] - before
    gains = change_at_best < -slack
    found = order.groups[gains]
    thresholds[found] = order.scores[best[gains]]
    change[found] = change_at_best[gains]
    return thresholds, change
