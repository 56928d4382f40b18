"""Groups whose observed accuracy falls while the stated confidence rises."""

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["FALSE_ALARM_RATE", "inverted_groups"]

# Probability that a table holds any inverted mark although accuracy falls nowhere.
FALSE_ALARM_RATE = 0.05
# The p-value is a maximum, bounded step by step; with so many steps the bound is about a tenth too high.
N_POINTS = 129
# In standard errors. Even a single pair needs about 1.9 of them to be significant.
SMALL_FALL = 1.5


def inverted_groups(
    hits: NDArray[np.float64], trials: NDArray[np.float64], tested: NDArray[np.bool_], dependent: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return the groups in which some bin is significantly more accurate than one of higher confidence.

    Parameters
    ----------
    hits, trials : ndarray of shape (n_groups, n_bins)
        Right rows and rows, in ascending order of confidence; effective numbers where rows are weighted.
    tested : ndarray of shape (n_groups, n_bins)
        Bins that hold enough rows.
    dependent : ndarray of shape (n_groups,)
        Groups in which a row counts in several bins.

    Returns
    -------
    inverted : ndarray of shape (n_groups,)
        True where a pair of bins has a p-value of at most `FALSE_ALARM_RATE` over the number of tested pairs in all
        groups (Bonferroni), so that the rate holds for the whole table.
    """
    group, first, second = _tested_pairs(tested)
    n_pairs = len(group)
    hits_a, trials_a = hits[group, first], trials[group, first]
    hits_b, trials_b = hits[group, second], trials[group, second]
    # The tails are costly, and the bound is out of reach for a small fall. Leaving it out cannot add a false alarm.
    pooled = (hits_a + hits_b) / (trials_a + trials_b)
    error = np.sqrt(pooled * (1.0 - pooled) * (1.0 / trials_a + 1.0 / trials_b))
    falls = hits_a / trials_a - hits_b / trials_b > SMALL_FALL * error
    group = group[falls]
    p_value = _fall_p_value(hits_a[falls], trials_a[falls], hits_b[falls], trials_b[falls], dependent[group])
    inverted = np.zeros(len(hits), dtype=bool)
    inverted[group[p_value * n_pairs <= FALSE_ALARM_RATE]] = True
    return inverted


def _tested_pairs(tested: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return group, lower and higher bin of every pair of tested bins."""
    pairs = []
    for group, bins in enumerate(map(np.flatnonzero, tested)):
        # Of these bins only: of thousands, most are empty.
        lower, higher = np.triu_indices(len(bins), 1)
        pairs.append(np.stack([np.full_like(lower, group), bins[lower], bins[higher]]))
    groups, first, second = np.concatenate(pairs, axis=1)
    return groups, first, second


def _fall_p_value(
    hits_a: NDArray[np.float64],
    trials_a: NDArray[np.float64],
    hits_b: NDArray[np.float64],
    trials_b: NDArray[np.float64],
    dependent: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return bounds on the p-value of "bin a is no more accurate than bin b", for observed accuracies a > b.

    If the hypothesis holds, some t lies between the two true accuracies; at that t, "at least so many hits in a" and
    "at most so many hits in b" have binomial tails that are valid p-values. They are combined (Fisher's product rule if
    the bins are independent; twice the smaller one, which needs no independence, if they are not), and the unknown t is
    the worst one. Fisher's exact test would be as powerful, but takes whole numbers only and costs a sum over rows.
    """
    accuracy_a, accuracy_b = hits_a / trials_a, hits_b / trials_b
    share = np.linspace(0.0, 1.0, N_POINTS)[:, np.newaxis]
    between = accuracy_b + share * (accuracy_a - accuracy_b)
    t = np.vstack([np.zeros_like(accuracy_a), between, np.ones_like(accuracy_a)])
    # One tail rises in t and the other falls, so the end points of a step bound both of them all over the step.
    tail_a = special.betainc(hits_a, trials_a - hits_a + 1.0, t)[1:]
    tail_b = special.betaincc(hits_b + 1.0, trials_b - hits_b, t)[:-1]
    product = (tail_a * tail_b).max(axis=0)
    smaller = np.minimum(tail_a, tail_b).max(axis=0)
    p_value: NDArray[np.float64] = np.where(dependent, 2.0 * smaller, product - special.xlogy(product, product))
    return p_value
