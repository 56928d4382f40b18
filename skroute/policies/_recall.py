"""The level of a watch at which few rows of its class are shown to be missed."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from skroute._validation import check_sample_weight, column, counts_rows, real_numbers
from skroute.policies._binomial import check_target, most_errors, rows_needed
from skroute.policies._certify import BETS

__all__ = ["Watched", "watch_level", "watched_share"]


@dataclass(frozen=True, slots=True)
class Watched:
    """What the rows of one class show about watching it.

    Attributes
    ----------
    level : float
        Rows whose probability of the class is at least this are watched; 0, which watches every row, where there are
        too few rows.
    rows : int
        Rows of the class that were at hand; whole weights count as repetitions.
    rows_needed : int
        Fewest rows with which a level above 0 can be shown.
    rank : int
        The level is the probability of this rank among the rows at hand, 1 for the smallest; 0 with too few rows.
    status : {"certified", "too_few_rows"}
        Whether a level above 0 is shown.
    """

    level: float
    rows: int
    rows_needed: int
    rank: int
    status: Literal["certified", "too_few_rows"]


def watch_level(
    scores: ArrayLike,
    *,
    max_miss: float,
    risk: float,
    weight: ArrayLike | None = None,
    weights: str = "auto",
) -> Watched:
    """Find the highest level that misses at most the share `max_miss` of a class, but for a probability `risk`.

    Parameters
    ----------
    scores : array-like of shape (n_rows,)
        Probability of the class in the rows whose **true** class it is, whatever their top class. The rows must be
        independent of the model and of each other.
    max_miss : float
        Largest share of the class's rows whose probability may lie below the level, in (0, 1).
    risk : float
        Largest probability that the share is larger, in [1e-12, 1).
    weight : array-like of shape (n_rows,), default=None
        Finite, not negative; rows of weight 0 do not count.
    weights : {"auto", "frequency", "importance"}, default="auto"
        Whether weights are repetitions of a row or its importance, as in `certify_class`.

    Returns
    -------
    watched : Watched
        Level, rank, counts and status.

    Raises
    ------
    ValueError
        If a score is not finite, a weight is not allowed, or a number is out of its range.

    Notes
    -----
    The level is the k-th smallest score for the largest k with P(Binomial(n, max_miss) <= k - 1) <= risk. Its rank is
    all that matters: whatever the scores' distribution, the missed share is that of the k-th of n order statistics,
    Beta(k, n - k + 1) at most. Equal scores are watched together, and only add to what is found. With importances
    the test is that of `certify_class` with importances; no correction for the choice of the level is due, because
    a higher level never misses less (Bates et al. 2021).

    References
    ----------
    S. S. Wilks, "Determination of sample sizes for setting tolerance limits", Annals of Mathematical Statistics 12,
    1941.
    S. Bates, A. Angelopoulos, L. Lei, J. Malik, M. Jordan, "Distribution-free, risk-controlling prediction sets",
    Journal of the ACM 68, 2021 (arXiv:2101.02703).

    Examples
    --------
    >>> import numpy as np
    >>> scores = np.random.default_rng(0).beta(2, 2, size=100)
    >>> watch_level(scores, max_miss=0.05, risk=0.1).rank
    2
    >>> watch_level(scores[:30], max_miss=0.05, risk=0.1)
    Watched(level=0.0, rows=30, rows_needed=45, rank=0, status='too_few_rows')
    """
    check_target(max_miss, risk, "max_miss")
    values = real_numbers(column(scores, "scores"), "scores")
    if not np.isfinite(values).all():
        raise ValueError(f"scores must be finite, got {values[~np.isfinite(values)][0]}.")
    mass = check_sample_weight(weight, len(values))
    counted = counts_rows(weights, mass, "watch_level")
    mass = np.ones(len(values)) if mass is None else mass
    order = np.argsort(values)
    order = order[mass[order] > 0.0]
    values, mass = values[order], mass[order]
    if not counted and (mass == mass[:1]).all():
        # What all rows share cancels.
        mass, counted = np.ones(len(values)), True
    rows = int(mass.sum()) if counted else len(values)
    needed = rows_needed(max_miss, risk)
    missed = -1
    if rows >= needed:
        missed = int(most_errors(rows, max_miss, risk)) if counted else _most_missed(mass, max_miss, risk)
    if missed < 0:
        return Watched(0.0, rows, needed, 0, "too_few_rows")
    place = int(np.searchsorted(np.cumsum(mass), missed, side="right")) if counted else missed
    return Watched(float(values[place]), rows, needed, missed + 1, "certified")


def watched_share(scores: ArrayLike, level: float, *, weight: ArrayLike | None = None) -> float:
    """Return the share of rows that a watch takes: the price of a level, where the rows are of other classes.

    Parameters
    ----------
    scores : array-like of shape (n_rows,)
        Probability of the watched class in rows of other classes, or in all rows.
    level : float
        Level of the watch; rows at or above it are watched.
    weight : array-like of shape (n_rows,), default=None
        Weights, of any kind.

    Returns
    -------
    share : float
        In [0, 1]; NaN where there is no row.

    Examples
    --------
    >>> watched_share([0.1, 0.4, 0.4, 0.6], 0.4)
    0.75
    """
    values = real_numbers(column(scores, "scores"), "scores")
    mass = check_sample_weight(weight, len(values))
    mass = np.ones(len(values)) if mass is None else mass
    total = float(mass.sum())
    return float(mass[values >= level].sum()) / total if total > 0.0 else float("nan")


def _most_missed(mass: NDArray[np.float64], max_miss: float, risk: float) -> int:
    """Return how many of the lowest rows may be missed, by bets on the weighted share of missed rows; -1 for none."""
    shares = np.asarray(BETS)[:, None] * (mass / mass.max())
    lost, won = np.log1p(-shares), np.log1p(shares * (max_miss / (1.0 - max_miss)))
    # One more missed row turns its gain into a loss, so that the capital falls with every row.
    capital = won.sum(axis=1, keepdims=True) + np.cumsum(lost - won, axis=1)
    capital = np.hstack([won.sum(axis=1, keepdims=True), capital])
    enough = special.logsumexp(capital, axis=0) - np.log(len(BETS)) >= -np.log(risk)
    return int(enough.sum()) - 1
