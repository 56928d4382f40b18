"""Exact binomial tests: how many errors so many rows may hold, and how many rows so many errors need."""

import math
from functools import lru_cache
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import interpolate, special

from skroute._validation import percent_hint, shown

__all__ = [
    "check_confidence",
    "check_share",
    "check_target",
    "check_target_share",
    "fewest_rows",
    "most_errors",
    "p_value",
    "passes",
    "rows_needed",
    "steps",
    "upper_bound",
]

# Below this a risk could no longer be told from its rounding when it is given as 1 - confidence.
LEAST_RISK = 1e-12
# More than half wrong is an accuracy in the wrong place.
MOST_ERROR = 0.5
# A tie up to rounding counts as reached, so that 1 - 0.9 serves as well as 0.1.
SLACK = 1.0 + 1e-12
# Entries of a table that are solved one by one; what follows is smooth enough to be solved at every STRIDE-th only.
HEAD, STRIDE = 1024, 64
# Tables have about so many entries at most.
LARGEST = 2**20


def check_share(value: Any, name: str) -> float:
    """Return a number strictly between 0 and 1."""
    is_number = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
    # Compared as it is: a whole number may be too large for a float.
    if not is_number or not 0 < value < 1 or not 0.0 < float(value) < 1.0:
        raise ValueError(
            f"{name} must be a number strictly between 0 and 1. Got {shown(value)} instead.{percent_hint(value)}"
        )
    return float(value)


def check_target_share(value: Any, kind: str, name: str) -> float:
    """Return a recall, or a `max_error` that leaves more rows right than wrong, if some number of rows can show it."""
    share = check_share(value, name)
    if share < LEAST_RISK:
        raise ValueError(f"{name} must be at least {LEAST_RISK:g}, got {share:g}: no number of rows could show less.")
    if kind == "max_error" and share > MOST_ERROR:
        raise ValueError(
            f"{name} must be at most {MOST_ERROR:g}, got {share:g}: it is the share of wrong rows. For {share:.3g} of "
            f"the rows right give {1.0 - share:.3g}."
        )
    return share


def check_confidence(value: Any, name: str) -> float:
    """Return the probability with which something is certified: no less than a coin's, which were a risk misplaced."""
    confidence = check_share(value, name)
    if confidence < 0.5:
        raise ValueError(
            f"{name} must be at least 0.5, got {confidence:g}: it is the probability that what is certified holds. "
            f"For a risk of {confidence:g} give {1.0 - confidence:g}."
        )
    if 1.0 - confidence < LEAST_RISK:
        raise ValueError(f"{name} must be at most 1 - {LEAST_RISK:g}, got {confidence!r}.")
    return confidence


def check_target(max_error: float, risk: float, name: str = "max_error") -> None:
    """Refuse a target that no number of rows can show, or that needs none.

    Raises
    ------
    ValueError
        If `max_error` does not lie in (0, 1), or `risk` not in [1e-12, 1).
    """
    if not 0.0 < max_error < 1.0:
        raise ValueError(f"{name} must lie in (0, 1), got {shown(max_error)}.{percent_hint(max_error)}")
    if not LEAST_RISK <= risk < 1.0:
        raise ValueError(f"risk must lie in [{LEAST_RISK:g}, 1), got {shown(risk)}; it is 1 - confidence.")


def rows_needed(max_error: float, risk: float) -> int:
    """Return the fewest rows that can show an error rate: the least n with ``(1 - max_error)**n <= risk``.

    Fewer rows cannot show it even if all of them are right.

    Parameters
    ----------
    max_error : float
        Error rate to be shown, in (0, 1).
    risk : float
        Largest probability of a false proof, in [1e-12, 1).

    Returns
    -------
    rows : int
        At least 1.

    Raises
    ------
    ValueError
        If a number is out of its range.

    Examples
    --------
    >>> [rows_needed(max_error, 0.1) for max_error in (0.2, 0.05, 0.01)]
    [11, 45, 230]
    """
    check_target(max_error, risk)
    return max(1, math.ceil(math.log(risk * SLACK) / math.log1p(-max_error)))


def p_value(errors: ArrayLike, rows: ArrayLike, max_error: float) -> NDArray[np.float64]:
    """Return the probability of so few errors if the true error rate were `max_error`: the binomial p-value.

    For independent rows it is the uniformly most powerful test of "the error rate exceeds `max_error`". It stays valid
    where the number of rows is itself random, as the number of rows above a threshold is, because it is valid given
    that number.

    Parameters
    ----------
    errors : array-like
        Numbers of wrong rows, whole, in [0, rows].
    rows : array-like
        Numbers of rows; arrays of any shapes that broadcast against `errors`.
    max_error : float
        Error rate to be shown, in (0, 1).

    Returns
    -------
    p : ndarray
        In [0, 1]; 1 where there are no rows.

    Examples
    --------
    >>> p_value([0, 0, 1], [0, 45, 45], 0.05).round(3)
    array([1.   , 0.099, 0.335])
    """
    wrong, right, some_right = _split(errors, rows)
    return np.where(some_right, special.betaincc(wrong + 1.0, right, max_error), 1.0)


def upper_bound(errors: ArrayLike, rows: ArrayLike, risk: float) -> NDArray[np.float64]:
    """Return the one-sided Clopper-Pearson bound: the largest error rate that so few errors do not refute.

    It is at most `max_error` exactly where ``p_value(errors, rows, max_error) <= risk``.

    Parameters
    ----------
    errors : array-like
        Numbers of wrong rows, whole, in [0, rows].
    rows : array-like
        Numbers of rows; arrays of any shapes that broadcast against `errors`.
    risk : float
        Probability that the bound lies below the true error rate is at most this.

    Returns
    -------
    bound : ndarray
        In (0, 1]; 1 where there are no rows.

    References
    ----------
    C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26, 1934.

    Examples
    --------
    >>> upper_bound([0, 1], 45, 0.1).round(3)
    array([0.05 , 0.084])
    """
    wrong, right, some_right = _split(errors, rows)
    return np.where(some_right, special.betainccinv(wrong + 1.0, right, risk), 1.0)


def most_errors(rows: ArrayLike, max_error: float, risk: float) -> NDArray[np.int64]:
    """Return the most errors with which so many rows still show an error rate of at most `max_error`.

    Parameters
    ----------
    rows : array-like
        Numbers of rows.
    max_error : float
        Error rate to be shown, in (0, 1).
    risk : float
        Largest probability of a false proof, in [1e-12, 1).

    Returns
    -------
    errors : ndarray
        Largest k with ``p_value(k, rows, max_error) <= risk``; -1 where even 0 errors are no proof.

    Raises
    ------
    ValueError
        If `max_error` or `risk` is out of its range.

    Examples
    --------
    >>> most_errors([44, 45, 76, 77, 1000], 0.05, 0.1)
    array([-1,  0,  0,  1, 40])
    """
    counts = np.asarray(rows)
    table = _table_beyond(float(counts.max(initial=0)), max_error, risk)
    if table is None:
        return _bisected(counts.astype(np.float64), max_error, risk)
    return np.searchsorted(table, counts, side="right") - 1


def passes(errors: ArrayLike, rows: ArrayLike, max_error: float, risk: float) -> NDArray[np.bool_]:
    """Return where ``p_value(errors, rows, max_error) <= risk``, by a table in place of the p-values.

    Parameters
    ----------
    errors, rows : array-like
        Numbers of wrong rows and of rows, of one shape.
    max_error, risk : float
        As in `most_errors`.

    Returns
    -------
    passes : ndarray of bool

    Examples
    --------
    >>> passes([0, 0, 1, 1], [44, 45, 76, 77], 0.05, 0.1)
    array([False,  True, False,  True])
    """
    counts = np.asarray(rows)
    table = _table_beyond(float(counts.max(initial=0)), max_error, risk)
    if table is None:
        return np.asarray(p_value(errors, counts, max_error) <= risk * SLACK)
    # The last entry exceeds every count, so that it also refuses whatever lies beyond the table.
    return np.asarray(counts >= table[np.minimum(errors, len(table) - 1)])


def fewest_rows(errors: ArrayLike, max_error: float, risk: float) -> NDArray[np.int64]:
    """Return how many rows must stand against so many errors to show an error rate: the least n that passes.

    Parameters
    ----------
    errors : array-like
        Numbers of wrong rows.
    max_error : float
        Error rate to be shown, in (0, 1).
    risk : float
        Largest probability of a false proof, in [1e-12, 1).

    Returns
    -------
    rows : ndarray
        Least n with ``p_value(errors, n, max_error) <= risk``.

    Raises
    ------
    ValueError
        If `max_error` or `risk` is out of its range.

    Examples
    --------
    >>> fewest_rows([0, 1, 2], 0.05, 0.1)
    array([ 45,  77, 105])
    """
    check_target(max_error, risk)
    wrong = np.asarray(errors, dtype=np.float64)
    return _settle(wrong, wrong + np.ceil(_right_rows(wrong, max_error, risk)), max_error, risk).astype(np.int64)


def steps(rows: int, max_error: float, risk: float) -> NDArray[np.int64] | None:
    """Return the numbers of rows, up to `rows`, from which on one more error is allowed.

    Parameters
    ----------
    rows : int
        Largest number of rows.
    max_error : float
        Error rate to be shown, in (0, 1).
    risk : float
        Largest probability of a false proof, in [1e-12, 1).

    Returns
    -------
    rows : ndarray or None
        Ascending: ``fewest_rows`` of 0, 1, 2, ... errors; None where they would be millions.

    Examples
    --------
    >>> steps(100, 0.05, 0.1)
    array([45, 77])
    """
    table = _table_beyond(rows, max_error, risk)
    return None if table is None else table[: np.searchsorted(table, rows, side="right")]


def _split(errors: ArrayLike, rows: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Return the wrong and the right rows, and where there are right ones; 1 where there are none."""
    wrong, n = np.asarray(errors, dtype=np.float64), np.asarray(rows, dtype=np.float64)
    right = n - wrong
    some_right = right > 0
    return wrong, np.where(some_right, right, 1.0), some_right


def _right_rows(wrong: NDArray[np.float64], max_error: float, risk: float) -> NDArray[np.float64]:
    """Return how many right rows, not rounded to whole ones, give a p-value of `risk`."""
    found = special.btdtrib(wrong + 1.0, 1.0 - risk, max_error)
    return np.where(np.isfinite(found), found, wrong * (1.0 - max_error) / max_error)


def _settle(
    wrong: NDArray[np.float64], rows: NDArray[np.float64], max_error: float, risk: float
) -> NDArray[np.float64]:
    """Move guesses of the fewest rows up and down until they are right."""
    rows = np.maximum(rows, wrong + 1.0)
    while (short := p_value(wrong, rows, max_error) > risk * SLACK).any():
        rows = rows + short
    while (long := p_value(wrong, rows - 1.0, max_error) <= risk * SLACK).any():
        rows = rows - long
    return rows


def _bisected(rows: NDArray[np.float64], max_error: float, risk: float) -> NDArray[np.int64]:
    """Return the most errors that still pass, without a table; -1 where there are none."""
    low, high = np.full(rows.shape, -1.0), rows
    while (apart := high - low > 1.0).any():
        middle = np.floor(np.where(apart, (low + high) / 2.0, high))
        passed = (p_value(middle, rows, max_error) <= risk * SLACK) & (middle < rows)
        low, high = np.where(apart & passed, middle, low), np.where(apart & ~passed, middle, high)
    return low.astype(np.int64)


def _table_beyond(rows: float, max_error: float, risk: float) -> NDArray[np.int64] | None:
    """Return the fewest rows for 0, 1, 2, ... errors, as far as the first entry above `rows` or farther.

    None where the table would be larger than the work that it saves, as it is where few rows have huge weights.
    """
    check_target(max_error, risk)
    if rows * max_error > LARGEST:
        return None
    # About max_error of the rows may be wrong; powers of two, so that the cache serves many counts.
    size = 2 ** max(6, math.ceil(math.log2(rows * max_error + 1.0)))
    while (table := _table(max_error, risk, size))[-1] <= rows:
        size *= 2
    return table


@lru_cache(maxsize=128)
def _table(max_error: float, risk: float, size: int) -> NDArray[np.int64]:
    """Return the fewest rows for 0 to size - 1 errors: without labels in it, and so shared by all classes and fits."""
    wrong = np.arange(size, dtype=np.float64)
    table = np.empty(size, dtype=np.int64)
    table[:HEAD] = fewest_rows(wrong[:HEAD], max_error, risk)
    if size > HEAD:
        # Sizes are multiples of STRIDE, as HEAD is, so that the last entry is a node.
        tail, nodes = wrong[HEAD:], wrong[HEAD - 1 :: STRIDE]
        right = interpolate.CubicSpline(nodes, _right_rows(nodes, max_error, risk))(tail)
        rows = tail + np.ceil(right)
        # What lies so close to a whole number may have been rounded to the wrong side: by the error of the spline, that
        # of the solver, or that of 1 - risk.
        error = 1e-3 + 1e-9 * rows + 1e-17 / risk * np.sqrt(rows) / max_error
        close = np.abs(right - np.rint(right)) <= error
        rows[close] = _settle(tail[close], rows[close], max_error, risk)
        table[HEAD:] = rows
    table.setflags(write=False)
    return table
