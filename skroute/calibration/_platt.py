"""The sigmoid of least log loss.

For soft targets t, the loss of ``expit(a * f + b)`` is the sum of ``w * log(1 + exp(a * f + b))``, less ``a`` times the
sum of ``w * t * f`` and ``b`` times that of ``w * t``, both of which do not change. A histogram of the scores is enough
to all but find the optimum: where the mean score of a bin stands for its rows, the error is of the second order in the
width of the bins. Newton squares that error, so that a pass or two over all rows make good what the histogram left.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from skroute.calibration._cells import BELOW_ONE, LEAST_REACH, cells_of

__all__ = ["fit_platt"]

MAX_STEPS = 200
# Rows from which a histogram comes first, its bins, and how many of them make one of the coarse histogram before it.
MANY_ROWS, BINS, COARSE = 2**14, 2**12, 2**4
# Where fewer bins hold rows, a few scores are far out, and a histogram says nothing about the others.
FEW_BINS = 2**7
# Gains of the mean loss so small that a full step of Newton's needs no judging, where it also moves the log-odds of no
# row by more than this (else curvature is another at its end); and those gains that are the last to matter.
SAFE, NEAR, LAST = 1e-8, 0.5, 1e-12
# Where all rows are saturated, a step can be too long by so much.
RIDGE, SHORTEST = 1e-14, 1e-30
# Scores beyond this are scaled, since sums of them could overflow.
HUGE = 1e290
# Rows of a block: its temporaries stay in the cache.
BLOCK = 2**14


class _Sample(NamedTuple):
    """Scores that are standardised as they are read, and their weights."""

    scores: NDArray[np.float64]
    weight: NDArray[np.float64] | None
    centre: float
    scale: float

    def features(self) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """Yield blocks of rows, and their standardised scores, in an array that is written to again."""
        buffer = np.empty(min(BLOCK, len(self.scores)))
        for start in range(0, len(self.scores), BLOCK):
            rows = slice(start, min(start + BLOCK, len(self.scores)))
            feature = buffer[: rows.stop - start]
            np.subtract(self.scores[rows], self.centre, out=feature)
            feature /= self.scale
            yield rows, feature

    def reach(self) -> float:
        """Return the largest absolute feature."""
        return max(float(self.scores.max()) - self.centre, self.centre - float(self.scores.min())) / self.scale

    def log_partition(self, slope: float, intercept: float) -> float:
        """Return the sum of ``log(1 + exp(slope * feature + intercept))``."""
        total = 0.0
        for rows, feature in self.features():
            part = np.logaddexp(0.0, slope * feature + intercept)
            total += float(part.sum() if self.weight is None else part @ self.weight[rows])
        return total

    def moments(self, slope: float, intercept: float) -> NDArray[np.float64]:
        """Return sums of p and of p (1 - p), with powers of the feature: p f, p, p(1-p) f^2, p(1-p) f, p(1-p)."""
        total = np.zeros(5)
        for rows, feature in self.features():
            share = feature * -slope
            share -= intercept
            with np.errstate(over="ignore"):
                # What overflows is a share of 0, as meant.
                np.exp(share, out=share)
            share += 1.0
            np.reciprocal(share, out=share)
            spread = share * share
            np.subtract(share, spread, out=spread)
            if self.weight is not None:
                share *= self.weight[rows]
                spread *= self.weight[rows]
            first: list[Any] = [share @ feature, share.sum(), 0.0, spread @ feature, spread.sum()]
            spread *= feature
            first[2] = spread @ feature
            total += first
        return total


def fit_platt(
    scores: NDArray[np.float64], positive: NDArray[np.bool_], weight: NDArray[np.float64] | None = None
) -> tuple[float, float]:
    """Return slope and intercept of Platt's sigmoid, ``expit(slope * scores + intercept)``.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
        Finite; at least one.
    positive : ndarray of shape (n_samples,)
        Whether each row is of the class.
    weight : ndarray of shape (n_samples,), default=None
        Positive weights. None counts every row once.

    Returns
    -------
    slope, intercept : float
    """
    low, high = float(scores.min()), float(scores.max())
    largest = max(-low, high)
    if largest > HUGE:
        slope, intercept = fit_platt(scores / largest, positive, weight)
        return slope / largest, intercept
    total = float(len(scores)) if weight is None else float(weight.sum())
    n_positive = float(np.count_nonzero(positive)) if weight is None else float(positive @ weight)
    n_negative = total - n_positive
    upper, lower = (n_positive + 1.0) / (n_positive + 2.0), 1.0 / (n_negative + 2.0)
    sum_target = upper * n_positive + lower * n_negative
    start = prior = (0.0, float(logit(sum_target / total)))
    if low == high:
        # The optimum is flat in the slope.
        return start
    centre = float(scores.mean() if weight is None else scores @ weight / total)
    # Dividing by the largest deviation first keeps squares of huge scores finite.
    reach = max(high - centre, centre - low)
    square = of_all = of_positive = 0.0
    for rows, feature in _Sample(scores, weight, centre, reach).features():
        weighted = feature if weight is None else feature * weight[rows]
        square += float(weighted @ feature)
        of_all += float(weighted.sum())
        of_positive += float(weighted @ positive[rows].astype(np.float64))
    deviation = float(np.sqrt(square / total))
    sample = _Sample(scores, weight, centre, reach * deviation)
    linear = np.array([upper * of_positive + lower * (of_all - of_positive), sum_target]) / (deviation, 1.0)
    if len(scores) >= MANY_ROWS and high - low > LEAST_REACH:
        counts = _histogram(sample, positive, low, high)
        if np.count_nonzero(counts[0]) >= FEW_BINS:
            for table in (counts.reshape(3, -1, COARSE).sum(axis=2), counts):
                start = _minimise_binned(sample, table, (lower, upper), start)
    slope, intercept = _minimise(sample, linear / total, total, start)
    slope /= sample.scale
    # The slope between scores that differ by less than any normal number may be none; they are taken for equal.
    return (slope, intercept - slope * centre) if np.isfinite(slope) else prior


def _histogram(sample: _Sample, positive: NDArray[np.bool_], low: float, high: float) -> NDArray[np.float64]:
    """Return the weight, the weight of the class, and the sum of standardised scores of every bin."""
    bins = np.zeros((3, BINS))
    cells = cells_of(sample.scores, low, BINS * (BELOW_ONE / (high - low)), BLOCK)
    for (rows, cell), (_, feature) in zip(cells, sample.features(), strict=True):
        weight = None if sample.weight is None else sample.weight[rows]
        bins[2] += np.bincount(cell, feature if weight is None else feature * weight, BINS)
        cell += np.int32(BINS) * positive[rows]
        by_label = np.bincount(cell, weight, 2 * BINS)
        bins[0] += by_label[:BINS] + by_label[BINS:]
        bins[1] += by_label[BINS:]
    return bins


def _minimise_binned(
    sample: _Sample, table: NDArray[np.float64], target: tuple[float, float], start: tuple[float, float]
) -> tuple[float, float]:
    """Return slope and intercept of the least loss of rows that all have the mean score of their bin."""
    weight, of_class, feature = table[:, table[0] > 0.0]
    lower, upper = target
    aims = lower * (weight - of_class) + upper * of_class
    binned = _Sample(feature / weight, weight, 0.0, 1.0)
    total = float(weight.sum())
    return _minimise(binned, np.array([aims @ binned.scores, aims.sum()]) / total, total, start)


def _minimise(
    sample: _Sample, linear: NDArray[np.float64], total: float, start: tuple[float, float]
) -> tuple[float, float]:
    """Return slope and intercept of the least mean loss, for standardised scores, by Newton steps with backtracking.

    `linear` holds the means of target times feature and of target.
    """

    def loss(parameters: NDArray[np.float64]) -> float:
        return sample.log_partition(*parameters) / total - float(parameters @ linear)

    parameters, value, widest = np.array(start), np.nan, sample.reach()
    for _ in range(MAX_STEPS):
        sums = sample.moments(*parameters) / total
        gradient = sums[:2] - linear
        # A trace of ridge: saturated rows would leave the matrix singular.
        step = np.linalg.solve(sums[[[2, 3], [3, 4]]] + RIDGE * np.eye(2), gradient)
        decrease = float(gradient @ step)
        if decrease < SAFE and abs(step) @ (widest, 1.0) < NEAR:
            # Newton squares the error. The loss would not show what the last steps gain.
            parameters, value = parameters - step, np.nan
            if decrease < LAST:
                break
            continue
        value = loss(parameters) if np.isnan(value) else value
        length = 1.0
        while (shorter := loss(parameters - length * step)) > value - 1e-4 * length * decrease:
            length /= 2.0
            if length < SHORTEST:
                return float(parameters[0]), float(parameters[1])
        parameters, value = parameters - length * step, shorter
    return float(parameters[0]), float(parameters[1])
