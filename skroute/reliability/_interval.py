"""The exact interval of a proportion."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from skroute._validation import check_level, real_numbers

__all__ = ["exact_interval"]


def exact_interval(
    successes: ArrayLike, n: ArrayLike, *, confidence_level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the Clopper-Pearson interval of a proportion.

    Use it where a promise hangs on the interval: unlike the normal and the Wilson interval it covers the true
    proportion with at least the stated probability, for every proportion and every number of rows.

    Parameters
    ----------
    successes : array-like
        Number of successes, in [0, n]. Need not be whole: with weighted rows, pass the effective numbers.
    n : array-like
        Number of trials; arrays of any shapes that broadcast against `successes`.
    confidence_level : float, default=0.95
        Least probability that the interval covers the true proportion, in [0.5, 1].

    Returns
    -------
    low, high : ndarray
        Ends of the interval, in [0, 1]; both NaN where `n` is 0.

    Raises
    ------
    ValueError
        If a number is not finite, or `successes` does not lie in [0, n].

    References
    ----------
    C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26, 1934.

    Examples
    --------
    >>> from skroute.reliability import exact_interval
    >>> low, high = exact_interval(156, 300)
    >>> print(f"{low:.3f} to {high:.3f}")
    0.462 to 0.578
    """
    check_level(confidence_level, "confidence_level", "exact_interval", low=0.5)
    hits, trials = np.broadcast_arrays(_numbers(successes, "successes"), _numbers(n, "n"))
    bad = (hits < 0) | (hits > trials)
    if bad.any():
        raise ValueError(f"successes must lie in [0, n], got {hits[bad][0]:g} of n = {trials[bad][0]:g}.")
    tail = (1.0 - confidence_level) / 2.0
    # The quantile function of the beta distribution has no value where one of its parameters is 0.
    some, short = hits > 0, hits < trials
    low = np.where(some, special.betaincinv(np.where(some, hits, 1.0), trials - hits + 1.0, tail), 0.0)
    high = np.where(short, special.betainccinv(hits + 1.0, np.where(short, trials - hits, 1.0), tail), 1.0)
    empty = trials == 0
    return np.where(empty, np.nan, low), np.where(empty, np.nan, high)


def _numbers(values: Any, name: str) -> NDArray[np.float64]:
    array = real_numbers(np.asarray(values), name)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array[~np.isfinite(array)][0]}.")
    return array
