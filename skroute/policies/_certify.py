"""The lowest threshold of one class at which its error rate is shown to be small enough."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special

from skroute._validation import check_sample_weight, column, counts_rows, real_numbers
from skroute.policies._binomial import check_target, most_errors, p_value, passes, rows_needed, steps, upper_bound

__all__ = ["Certified", "certify_class"]

# Thresholds that are tried where the reference, not the rows themselves, says which.
GRID = 200
# Shares of the capital that are bet; the mean over all of them spares the choice.
BETS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 0.95)
# Quantiles of the normal distribution, for how many rows will lie above a threshold that other rows have set.
SPREAD = special.ndtri((np.arange(9.0)[:, None] + 0.5) / 9.0)
ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Certified:
    """What the rows of one class show.

    Attributes
    ----------
    threshold : float
        Lowest certified threshold: rows with ``score >= threshold`` may be routed. +inf where nothing is certified.
    rows : int
        Rows that were at hand; whole weights count as repetitions.
    rows_needed : int
        Fewest rows that could have sufficed, with no error among them.
    routed, errors : int
        Rows at or above the threshold, and how many of them are wrong. With the status "not_attained" they are those
        of the first threshold that was tested, the one that promised most; with "too_few_rows" they are 0.
    p_value : float
        Probability of so few errors if the error rate were above its target; at most `risk` where certified. 1 with the
        status "too_few_rows".
    upper_bound : float
        Error rate that the routed rows refute: at most `max_error` where certified. 1 with the status "too_few_rows".
    status : {"certified", "too_few_rows", "not_attained"}
        "too_few_rows": fewer than `rows_needed`, so that even no error would be no proof; "not_attained": rows enough,
        but too many errors.
    """

    threshold: float
    rows: int
    rows_needed: int
    routed: int
    errors: int
    p_value: float
    upper_bound: float
    status: Literal["certified", "too_few_rows", "not_attained"]


def certify_class(
    scores: ArrayLike,
    wrong: ArrayLike,
    *,
    max_error: float,
    risk: float,
    reference: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    weights: str = "auto",
    largest_weight: float | None = None,
) -> Certified:
    """Find the lowest threshold at which the share of wrong rows is at most `max_error`, but for a probability `risk`.

    The scores foretell at which threshold a test is most likely to pass. The rows are tested there and, as long as they
    pass, at the next lower thresholds; the last one that passes is certified. As the order was fixed before a label was
    seen, each test may use the whole `risk` (fixed-sequence testing), and nothing is tested after the first failure.

    Parameters
    ----------
    scores : array-like of shape (n_rows,)
        Scores of the rows whose top class is this one and that pass all other gates; the higher, the surer.
        Probabilities in [0, 1] make the best start; others are clipped for the forecast only.
    wrong : array-like of bool of shape (n_rows,)
        Whether the true class is another one. Rows must be independent of the model, the gates and each other.
    max_error : float
        Largest share of wrong rows at and above the threshold, in (0, 1).
    risk : float
        Largest probability that the certified threshold has a larger share of them, in [1e-12, 1).
    reference : array-like of shape (n_reference,), default=None
        Scores of other rows that pass the same gates, such as out-of-fold scores of the training rows or scores of rows
        without labels. They choose the thresholds to be tried (200 of their quantiles), and the certificate then holds
        whatever the scores are like. None, or no rows: the scores of the rows themselves choose, which is no longer a
        proof; see Notes.
    weight : array-like of shape (n_rows,), default=None
        Finite, not negative; rows of weight 0 do not count.
    weights : {"auto", "frequency", "importance"}, default="auto"
        What the weights mean: repetitions of a row, or its importance, such as the inverse of the probability that it
        was reviewed. "auto": repetitions where all of them are whole. **A row reviewed with probability 0.02 has the
        whole weight 50 and is no 50 rows**: pass "importance".
    largest_weight : float, default=None
        Largest weight that a row of the population can have, where weights are importances. None: the largest at hand,
        which is right where the most important rows are not so rare that none was drawn.

    Returns
    -------
    certified : Certified
        Threshold, counts, p-value, bound and status.

    Raises
    ------
    ValueError
        If lengths differ, a score is not finite, a weight is not allowed, or a number is out of its range.

    Notes
    -----
    With n rows above a threshold, k of them wrong, the p-value is P(Binomial(n, max_error) <= k), exact given n. For a
    wrong certificate the first threshold in the order whose true share exceeds `max_error` must pass, which it does
    with probability `risk` at most. With importances the p-value is 1 / e, where e is the mean capital of bets that
    gain on right rows and lose on wrong ones, and that nobody can expect to grow if the weighted share of wrong rows
    exceeds `max_error`; equal importances are counted.

    Without `reference` the rows choose their own start, and are tested where their number allows one more error. Their
    labels are not seen before the test, but this is proven only if the error rate above a threshold crosses
    `max_error` once and the start depends on nothing but the number of rows. In simulations of much less, with rates
    that oscillate with the score and starts as they are (``benchmarks/sim_certificates.py``), the promise was kept.

    References
    ----------
    A. N. Angelopoulos, S. Bates, E. J. Candes, M. I. Jordan, L. Lei, "Learn then test: calibrating predictive
    algorithms to achieve risk control", Annals of Applied Statistics 19, 2025 (arXiv:2110.01052).
    P. Bauer, "Multiple testing in clinical trials", Statistics in Medicine 10, 1991.
    I. Waudby-Smith, A. Ramdas, "Estimating means of bounded random variables by betting", Journal of the Royal
    Statistical Society B 86, 2024 (arXiv:2010.09686).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> scores, others = rng.beta(5, 1, size=(2, 500))
    >>> wrong = rng.random(500) > scores
    >>> found = certify_class(scores, wrong, max_error=0.1, risk=0.1, reference=others)
    >>> found.status, round(found.threshold, 2), found.routed, found.errors
    ('certified', 0.91, 193, 13)
    >>> certify_class(scores[:20], wrong[:20], max_error=0.1, risk=0.1).status
    'too_few_rows'
    """
    check_target(max_error, risk)
    rows = _read(scores, wrong, weight, weights, largest_weight)
    others = None if reference is None else _numbers(reference, "reference")
    needed = rows_needed(max_error, risk)
    if rows.number < needed:
        return Certified(np.inf, rows.number, needed, 0, 0, 1.0, 1.0, "too_few_rows")
    thresholds = _sequence(rows, others, max_error, risk)
    routed, errors = rows.above(thresholds)
    if rows.importance is None:
        passed = passes(errors, routed, max_error, risk)
    else:
        passed = rows.log_capital(thresholds, max_error) >= -np.log(risk)
    n_passed = len(passed) if passed.all() else int(np.argmin(passed))
    last = max(n_passed - 1, 0)
    n, k = int(routed[last]), int(errors[last])
    if rows.importance is None:
        p, bound = float(p_value(k, n, max_error)), float(upper_bound(k, n, risk))
    else:
        chosen = thresholds[last : last + 1]
        p, bound = float(np.exp(-max(rows.log_capital(chosen, max_error)[0], 0.0))), rows.bound(chosen, risk)
    if not n_passed:
        return Certified(np.inf, rows.number, needed, n, k, p, bound, "not_attained")
    return Certified(float(thresholds[last]), rows.number, needed, n, k, p, bound, "certified")


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of one class: scores in ascending order, those of the wrong rows, and what each row counts."""

    scores: NDArray[np.float64]
    wrong: NDArray[np.bool_]
    repeats: NDArray[np.int64] | None
    # Shares of the largest weight; None where rows are counted.
    importance: NDArray[np.float64] | None

    @property
    def number(self) -> int:
        return len(self.scores) if self.repeats is None else int(self.repeats.sum())

    @property
    def worth(self) -> float:
        """How many equally important rows tell as much (Kish)."""
        if self.importance is None:
            return float(self.number)
        return float(self.importance.sum() ** 2 / (self.importance**2).sum())

    def above(self, thresholds: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return how many rows, and how many wrong ones, lie at or above each threshold."""
        below = np.searchsorted(self.scores, thresholds)
        if self.repeats is None:
            wrong = self.scores[self.wrong]
            return len(self.scores) - below, len(wrong) - np.searchsorted(wrong, thresholds)
        return _from_the_end(self.repeats)[below], _from_the_end(self.repeats * self.wrong)[below]

    def log_capital(self, thresholds: NDArray[np.float64], max_error: float) -> NDArray[np.float64]:
        """Return the logarithm of the mean capital of all bets on the rows above each of the falling thresholds."""
        assert self.importance is not None
        above = slice(int(np.searchsorted(self.scores, thresholds[-1])), None)
        shares = np.asarray(BETS)[:, None] * self.importance[above]
        gains = np.log1p(np.where(self.wrong[above], -shares, shares * (max_error / (1.0 - max_error))))
        first = np.searchsorted(-thresholds, -self.scores[above])
        sums = np.cumsum([np.bincount(first, gain, len(thresholds)) for gain in gains], axis=1)
        return np.asarray(special.logsumexp(sums, axis=0) - np.log(len(BETS)))

    def bound(self, threshold: NDArray[np.float64], risk: float) -> float:
        """Return the least error rate that the bets on the rows above one threshold refute; 1 where there is none."""

        def missing(error: float) -> float:
            return float(self.log_capital(threshold, error)[0] + np.log(risk))

        low, high = 1e-9, 1.0 - 1e-9
        if missing(high) < 0.0:
            return 1.0
        return low if missing(low) > 0.0 else float(optimize.brentq(missing, low, high, xtol=1e-6))


def _read(
    scores: ArrayLike, wrong: ArrayLike, weight: ArrayLike | None, weights: str, largest_weight: float | None
) -> _Rows:
    values = _numbers(scores, "scores")
    flags = column(wrong, "wrong").astype(bool)
    if len(flags) != len(values):
        raise ValueError(f"wrong must have one value a row: {len(values)} scores, got {len(flags)}.")
    mass = check_sample_weight(weight, len(values))
    counted = counts_rows(weights, mass, "certify_class")
    order = np.argsort(values)
    if mass is None:
        return _Rows(values[order], flags[order], None, None)
    order = order[mass[order] > 0]
    values, flags, mass = values[order], flags[order], mass[order]
    if counted:
        return _Rows(values, flags, mass.astype(np.int64), None)
    largest = mass.max(initial=0.0) if largest_weight is None else largest_weight
    if (mass > largest).any():
        raise ValueError(f"largest_weight must be at least every weight, got {largest} and a weight of {mass.max()}.")
    equal = largest_weight is None and (mass == largest).all()
    return _Rows(values, flags, None, None if equal else mass / largest)


def _numbers(values: ArrayLike, name: str) -> NDArray[np.float64]:
    array = real_numbers(column(values, name), name)
    if not np.isfinite(array).all():
        row = int(np.argmin(np.isfinite(array)))
        raise ValueError(f"{name} must be finite, got {array[row]} in row {row}.")
    return array


def _from_the_end(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the sums of all values from each place on, and 0 for the place after the last."""
    return np.append(np.cumsum(values[::-1])[::-1], 0)


def _sequence(rows: _Rows, reference: NDArray[np.float64] | None, max_error: float, risk: float) -> NDArray[np.float64]:
    """Return the thresholds to be tried, falling from the one that is most likely to pass."""
    own = reference is None or not len(reference)
    scores = rows.scores if reference is None or own else np.sort(reference)
    mass = np.ones(len(scores))
    if own and rows.repeats is not None:
        mass = rows.repeats.astype(np.float64)
    elif own and rows.importance is not None:
        mass = rows.importance
    falling, count = scores[::-1], np.cumsum(mass[::-1])
    foretold = np.cumsum((1.0 - np.clip(falling, 0.0, 1.0)) * mass[::-1])
    # Only where the next score differs: a threshold takes equal scores together.
    ends = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))
    if own and rows.importance is None:
        # Between two of these counts a row can only add an error. Where they would be millions, nearly every row, which
        # stands for many then, allows another one.
        allowing = steps(rows.number, max_error, risk)
        marks = count if allowing is None else np.append(allowing, count[-1])
    else:
        marks = np.geomspace(count[0], count[-1], GRID)
    ends = ends[np.unique(np.searchsorted(count[ends], marks - ROUNDING).clip(max=len(ends) - 1))]
    share = count[ends] / count[-1]
    worth = rows.worth
    number = worth * share
    if not own:
        number = number + SPREAD * np.sqrt(number * (1.0 - share))
    # Rounded down, but not from a whole number that was missed by its last bits.
    number = np.floor(number.clip(0.0, worth) + ROUNDING)
    allowed = most_errors(number, max_error, risk)
    failure = special.gammainc(np.maximum(allowed, 0) + 1.0, number * (foretold[ends] / count[ends]))
    start = int(np.argmin(np.atleast_2d(np.where(allowed < 0, 2.0 - share, failure)).mean(axis=0)))
    return np.asarray(falling[ends[start:]])
