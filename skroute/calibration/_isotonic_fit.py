"""The best non-decreasing function of one score, as the knots that draw it."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from skroute.calibration._isotonic_keys import Packed, pack
from skroute.calibration._isotonic_labels import points_of_labels
from skroute.calibration._isotonic_sift import sift
from skroute.calibration._sort_speed import sorts_quickly

__all__ = ["isotonic_knots"]

# Scores closer than this to the least of a group are one score, as in scikit-learn. Softmax leaves such differences
# between rows that are equal, and a line through two of them would be steep without reason.
TIE = 1e-15
# Values of two blocks that differ by no more are equal: what is left is rounding, and must not tell blocks apart.
SAME = 1e-12
# Whole numbers below are exact, and so are their sums.
MOST_EXACT = 2.0**53
# Rows from which sifting them costs less than finding their order, where NumPy sorts quickly and where it does not.
MANY_QUICK, MANY_SLOW = 2**15, 2**13
# Neighbours among sorted scores by which it is told whether there are ties.
PAIRS = 2**8


class _Points(NamedTuple):
    """Neighbouring rows that share one value for certain; sums are over their rows."""

    first: NDArray[Any]
    last: NDArray[Any]
    weight: NDArray[np.float64]
    target: NDArray[np.float64]
    prior: NDArray[np.float64]

    def pool(self, starts: NDArray[np.intp]) -> "_Points":
        """Return coarser points, which begin where `starts` says."""
        if len(starts) == len(self.first):
            return self
        ends = np.append(starts[1:], len(self.first)) - 1
        return _Points(self.first[starts], self.last[ends], *(np.add.reduceat(part, starts) for part in self[2:]))


def isotonic_knots(
    scores: NDArray[np.float64],
    target: NDArray[np.float64] | NDArray[np.bool_],
    weight: NDArray[np.float64] | None = None,
    *,
    prior: NDArray[np.float64] | None = None,
    shrinkage: float = 0.0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the knots of the non-decreasing function with the least weighted squared error.

    The function is linear between knots and constant outside them, hence `numpy.interp` evaluates it.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
        Finite scores; at least one. Scores within 1e-15 of the least of a group count as equal.
    target : ndarray of shape (n_samples,)
        What to predict, in [0, 1] or boolean.
    weight : ndarray of shape (n_samples,), default=None
        Positive weights. None counts every row once.
    prior : ndarray of shape (n_samples,), default=None
        What was believed of each row before, in [0, 1]. Needed where `shrinkage` is positive. Quickest where it is
        `scores` itself.
    shrinkage : float, default=0.0
        How many rows the prior is worth in each block of constant value: a block of weight W gets
        ``(W * mean target + shrinkage * mean prior) / (W + shrinkage)``, and blocks out of order are pooled again.
        0 gives the numbers of scikit-learn.

    Returns
    -------
    x : ndarray of shape (n_knots,)
        Increasing scores.
    y : ndarray of shape (n_knots,)
        Non-decreasing values.

    Raises
    ------
    ValueError
        If there is shrinkage, but nothing to shrink to.

    References
    ----------
    F. Busing, "Monotone regression: a simple and fast O(n) PAVA implementation", Journal of Statistical Software 102,
    2022.

    Examples
    --------
    >>> import numpy as np
    >>> from skroute.calibration._isotonic_fit import isotonic_knots
    >>> x, y = isotonic_knots(np.array([0.1, 0.3, 0.6, 0.9]), np.array([0.0, 1.0, 0.0, 1.0]))
    >>> x.tolist(), y.tolist()
    ([0.1, 0.3, 0.6, 0.9], [0.0, 0.5, 0.5, 1.0])
    """
    if shrinkage > 0.0 and prior is None:
        raise ValueError("prior must be given where shrinkage is positive.")
    if weight is not None and (weight == 1.0).all():
        weight = None
    if shrinkage == 0.0 and _sums_are_exact(target, weight):
        blocks = _exact_blocks(scores, target, weight)
        return _knots(blocks, blocks.target / blocks.weight)
    points = _sorted_points(scores, target, weight, np.zeros(1) if prior is None else prior)
    blocks, value = _pool_violators(points, points.target / points.weight)
    if shrinkage > 0.0:
        # What a block gets depends on where it ends, so blocks that only rounding keeps apart must be one.
        blocks = blocks.pool(np.append(0, np.flatnonzero(np.diff(value) > SAME) + 1))
        prior_mean = blocks.prior / blocks.weight
        shrunk = (blocks.target + shrinkage * prior_mean) / (blocks.weight + shrinkage)
        blocks, value = _pool_violators(blocks, shrunk)
    return _knots(blocks, value)


def _knots(blocks: _Points, value: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both ends of every block, and its value there."""
    x = np.column_stack([blocks.first, blocks.last]).ravel()
    # A block of one score has one knot.
    kept = np.append(True, x[1:] != x[:-1])
    return x[kept], np.repeat(value, 2)[kept]


def _pool_violators(points: _Points, value: NDArray[np.float64]) -> tuple[_Points, NDArray[np.float64]]:
    """Return the blocks of constant value of the best non-decreasing function, and their values."""
    best = isotonic_regression(value, weights=points.weight)
    starts = best.blocks[:-1]
    return points.pool(starts), best.x[starts]


def _sums_are_exact(target: NDArray[np.float64] | NDArray[np.bool_], weight: NDArray[np.float64] | None) -> bool:
    """Tell whether all sums of targets are sums of whole numbers, which do not round."""
    whole = weight is None or bool((weight == np.floor(weight)).all() and weight.sum() < MOST_EXACT)
    return whole and (target.dtype == np.bool_ or bool((target == np.floor(target)).all()))


def _exact_blocks(
    scores: NDArray[np.float64], target: NDArray[np.float64] | NDArray[np.bool_], weight: NDArray[np.float64] | None
) -> _Points:
    """Return the blocks of constant value where no sum rounds, in the quickest of several ways to the same blocks."""
    blocks = None
    if target.dtype == np.bool_:
        labels = target.astype(np.bool_, copy=False)
        quick = len(scores) < MANY_SLOW or sorts_quickly()
        # A quick sort of numbers is the quickest of all, for any number of rows.
        blocks = _packed_blocks(scores, labels, weight) if quick else None
        if blocks is None and len(scores) >= (MANY_QUICK if quick else MANY_SLOW):
            blocks = _sifted_blocks(scores, labels, weight)
        if blocks is None and not quick:
            blocks = _packed_blocks(scores, labels, weight)
    return _blocks_of(_sorted_points(scores, target, weight, np.zeros(1))) if blocks is None else blocks


def _blocks_of(points: _Points) -> _Points:
    """Return the blocks of constant value, told apart by their sums, which are exact: other values are rounded."""
    blocks, _ = _pool_violators(points, points.target / points.weight)
    return blocks.pool(_rises(blocks))


def _rises(points: _Points) -> NDArray[np.intp]:
    """Return where stretches of points begin whose means do not rise."""
    mean = points.target / points.weight
    return np.append(0, np.flatnonzero(mean[1:] > mean[:-1]) + 1)


def _sifted_blocks(
    scores: NDArray[np.float64], target: NDArray[np.bool_], weight: NDArray[np.float64] | None
) -> _Points | None:
    """Return the blocks of constant value, found without sorting all rows; None where that may be wrong.

    Scores that are not equal count as apart here. So the function found is at least as good as the one that gives
    scores closer than the tolerance one value; it is that one if no block of its ends within such a group.
    """
    sifted = sift(scores, target, weight)
    if sifted is None:
        return None
    x = scores.take(sifted.rows)
    order = np.argsort(x)
    x, rows = x.take(order), sifted.rows.take(order)
    ones = target.take(rows).astype(np.float64)
    every = np.ones(len(rows)) if weight is None else weight.take(rows)
    starts = np.flatnonzero(np.append(True, x[1:] != x[:-1])[: len(x)])
    by_row = _Points(x, x, every, every * ones, np.zeros(len(rows))).pool(starts)
    # What was left out has its place between them.
    left = np.flatnonzero(sifted.sums.any(axis=0))
    score, (zeros, ones) = sifted.score[left], sifted.sums[:, left]
    by_slot = _Points(score, score, zeros + ones, ones, np.zeros(len(left)))
    place = np.argsort(np.concatenate([sifted.slot.take(order).take(starts), left]), kind="stable")
    points = _Points(*(np.concatenate(parts).take(place) + 0.0 for parts in zip(by_row, by_slot, strict=True)))
    blocks = _blocks_of(points)
    # The score that follows the last one of a block begins the next block; the one before may be of the last one's
    # group. Both are known, since a row is left over with its neighbours.
    known = points.first[~np.isnan(points.first)]
    apart = np.diff(known, prepend=-np.inf, append=np.inf) >= TIE
    stands_apart = np.append(apart[1:] & apart[:-1], False)
    return blocks if stands_apart[np.searchsorted(known, blocks.last)].all() else None


def _packed_blocks(
    scores: NDArray[np.float64], target: NDArray[np.bool_], weight: NDArray[np.float64] | None
) -> _Points | None:
    """Return the blocks by one sort of numbers; None where scores cannot be packed, or rows have weights."""
    packed = _packed(scores, target) if weight is None else None
    if packed is None:
        return None
    step = max(len(scores) // PAIRS, 1)
    tied = (packed.scores(slice(1, None, step)) - packed.scores(slice(0, -1, step)) < TIE).any()
    blocks = None if tied else _blocks_of_labels(packed)
    return _blocks_of(_tied_points(packed.scores(), packed.label)) if blocks is None else blocks


def _packed(scores: NDArray[np.float64], target: NDArray[np.bool_]) -> Packed | None:
    return pack(scores, target, as_floats=len(scores) >= MANY_SLOW and sorts_quickly())


def _blocks_of_labels(packed: Packed) -> _Points | None:
    """Return the blocks of sorted scores that count as apart, equal ones in the order of their labels.

    As with `_sifted_blocks` the function found is the right one unless a block ends among scores that are too close:
    None where one does.
    """
    edges, ones = points_of_labels(packed.label)
    weight = np.diff(edges).astype(np.float64)
    # Places of rows instead of their scores: these are asked for only where blocks end.
    blocks = _blocks_of(_Points(edges[:-1], edges[1:] - 1, weight, ones, np.zeros_like(ones)))
    before = blocks.last - 1
    first, last = packed.scores(blocks.first), packed.scores(blocks.last)
    # The score before the last one may be of its group, which would end at the least of its scores.
    alone = (last - packed.scores(np.maximum(before, 0)) >= TIE) | (before < 0)
    apart = first[1:] - last[:-1] >= TIE
    return blocks._replace(first=first, last=last) if alone.all() and apart.all() else None


def _tied_points(x: NDArray[np.float64], label: NDArray[np.bool_]) -> _Points:
    """Return one point for each group of sorted scores that count as equal, and of those each falling run as one."""
    starts = _group_starts(x)
    starts = np.arange(len(x)) if starts is None else starts
    ends = np.append(starts[1:], len(x))
    ones = np.append(0.0, np.cumsum(label))[ends]
    weight = np.diff(ends, prepend=0.0)
    return _falling_runs(_Points(x[starts], x[starts], weight, np.diff(ones, prepend=0.0), np.zeros_like(weight)))


def _sorted_points(
    scores: NDArray[np.float64],
    target: NDArray[np.float64] | NDArray[np.bool_],
    weight: NDArray[np.float64] | None,
    prior: NDArray[np.float64],
) -> _Points:
    """Return points in the order of their scores, one for each group of scores that count as equal or for more."""
    rows = _sorted_rows(scores, target, weight, prior)
    starts = _group_starts(rows.first)
    if starts is None:
        return _falling_runs(rows)
    points = rows.pool(starts)
    return _falling_runs(points._replace(last=points.first))


def _sorted_rows(
    scores: NDArray[np.float64],
    target: NDArray[np.float64] | NDArray[np.bool_],
    weight: NDArray[np.float64] | None,
    prior: NDArray[np.float64],
) -> _Points:
    """Return a point for each row, in the order of their scores."""
    own = prior is scores and weight is None and target.dtype == np.bool_
    packed = _packed(scores, target.astype(np.bool_, copy=False)) if own else None
    if packed is not None:
        # One sort brings all into order.
        x = packed.scores()
        return _Points(x, x, np.ones(len(x)), packed.label.astype(np.float64), x)
    weight = np.ones(len(scores)) if weight is None else weight
    columns = [weight, weight * target, weight * prior]
    order = np.argsort(scores)
    x = scores[order] + 0.0
    if (x[1:] == x[:-1]).any():
        # The last digit of a sum depends on the order of its terms, unless they are whole numbers. It must not depend
        # on the order of the rows.
        inexact = [part for part in columns if (part != np.floor(part)).any() or part.sum() >= MOST_EXACT]
        order = np.lexsort((*inexact, scores)) if inexact else order
    return _Points(x, x, *(part[order] for part in columns))


def _falling_runs(points: _Points) -> _Points:
    """Pool every run of points whose means do not rise.

    Where two neighbours do not rise, the best non-decreasing function gives them one value: if it rose between them,
    it could be improved by moving both values to the mean of the two. This leaves little to the slower general step.
    """
    return points.pool(_rises(points))


def _group_starts(x: NDArray[np.float64]) -> NDArray[np.intp] | None:
    """Return where each group of scores that count as equal begins, in sorted scores; None where all are apart."""
    with np.errstate(over="ignore"):
        apart = np.diff(x) >= TIE
    if apart.all():
        return None
    starts = np.append(0, np.flatnonzero(apart) + 1)
    ends = np.append(starts[1:], len(x)) - 1
    # Small gaps can add up to more than the tolerance: a group ends where a score is that far from its least one.
    long = x[ends] - x[starts] >= TIE
    breaks = [_chain_breaks(x, first, last) for first, last in zip(starts[long], ends[long], strict=True)]
    return np.sort(np.concatenate([starts, *breaks])) if breaks else starts


def _chain_breaks(x: NDArray[np.float64], first: int, last: int) -> NDArray[np.intp]:
    """Return where groups begin within one chain of small gaps, but for the first."""
    chain = x[first : last + 1]
    following = np.searchsorted(chain, chain + TIE)
    # The sum may be rounded down to a score that is not far enough; the next distinct one is.
    found = np.minimum(following, len(chain) - 1)
    short = chain[found] - chain < TIE
    following[short] = np.searchsorted(chain, chain[found[short]], side="right")
    breaks, position = [], int(following[0])
    while position < len(chain):
        breaks.append(first + position)
        position = int(following[position])
    return np.array(breaks, dtype=np.intp)
