"""The routes of rows so few that NumPy's calls cost more than what they compute: by few calls.

The numbers are those of `Gates.decide`, but nothing is kept of a row beside its route.
"""

import math

import numpy as np
from numpy.typing import NDArray

from skroute._rows import bits_of, checked, finite_sums, row_sums
from skroute.routing._cut_points import margin_cuts
from skroute.routing._gates import AUTO, CLARIFY, ESCALATE, SLACK, WATCH, Gates
from skroute.routing._signals import entropy_signal

__all__ = ["few_routes"]

# From so many values on, an entropy by logarithms that NumPy takes many at a time is worth the question whether it is
# exact enough. It errs by less than 1e-11, as does the plain code.
MANY_VALUES, NOISE = 1000, 1e-10
# Up to so many watches are looked at one by one.
FEW_WATCHES = 3
ONES = {np.dtype(kind): bits_of(np.ones(1, kind))[0] for kind in (np.float32, np.float64)}


def few_routes(gates: Gates, values: NDArray[np.floating], name: str = "proba") -> NDArray[np.intp]:
    """Check rows and return the codes of their routes, the same as those of `gates.decide`.

    Parameters
    ----------
    gates : Gates
    values : ndarray of shape (n_samples, n_classes)
        float32 or float64, in any layout, at least one row, not checked yet. It is not written to.
    name : str, default="proba"
        What the messages call the matrix.

    Returns
    -------
    codes : ndarray of shape (n_samples,)

    Raises
    ------
    ValueError
        If a row is not finite, leaves [0, 1] or does not sum to one. The message names the first such row.
    """
    proba, sums, within = _checked(values, name)
    top = proba.argmax(axis=1)
    confidence = proba[np.arange(len(proba)), top]
    route = np.empty(len(proba), dtype=np.intp)
    route.fill(CLARIFY)
    entropy = _entropy(gates, proba, sums)
    if entropy is not None and gates.escalate_entropy is not None:
        route[entropy >= gates.escalate_entropy - SLACK] = ESCALATE
    fired, elsewhere = _watches(gates, proba, top)
    if fired is not None:
        route[fired] = WATCH
    passed = confidence >= gates.thresholds.take(top)
    if gates.margin is not None:
        # Rows that were clipped may sum to more than the cut point allows for.
        sure = margin_cuts(gates.margin, proba.shape[1])[1] if within else math.inf
        close = (passed & (confidence < sure)).nonzero()[0]
        if close.size:
            some = proba.take(close, axis=0)
            some.partition(proba.shape[1] - 2, axis=1)
            passed[close] = some[:, -1] - some[:, -2] >= gates.margin - SLACK
    if entropy is not None and gates.max_entropy is not None:
        passed &= entropy <= gates.max_entropy + SLACK
    if elsewhere is not None:
        passed &= ~elsewhere
    route[passed] = AUTO
    return route


def _checked(values: NDArray[np.floating], name: str) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, bool]:
    """Return the rows, checked as by `check_rows` in fewer calls, their sums if known, and whether none was clipped."""
    # Floats in [0, 1] have no larger bits than one has; a sign, a NaN and what exceeds one all do.
    within = bool(np.maximum.reduce(bits_of(values), axis=None) <= ONES[values.dtype])
    sums = finite_sums(values) if within else row_sums(values)
    proba = checked(values, sums, within, values, name)
    # The sums of float32 have its digits.
    known = within and values.dtype == np.float64
    return proba.astype(np.float64, copy=False), sums if known else None, within


def _entropy(gates: Gates, proba: NDArray[np.float64], sums: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    """Return entropies that lie on the same side of every level as those of the plain code; None if nothing asks."""
    levels = [level for level in (gates.max_entropy, gates.escalate_entropy) if level is not None]
    if not levels:
        return None
    if proba.size >= MANY_VALUES:
        sums = finite_sums(proba) if sums is None else sums
        # What is added to keep off log 0 is lost in the digits of all p that count.
        terms = proba + np.finfo(np.float64).tiny
        np.log(terms, out=terms)
        terms *= proba
        rough: NDArray[np.float64] = (np.log(sums) - finite_sums(terms) / sums) / math.log(proba.shape[1])
        if all(np.abs(rough - level).min() > NOISE for level in levels):
            return rough
    return entropy_signal(proba)


def _watches(
    gates: Gates, proba: NDArray[np.float64], top: NDArray[np.intp]
) -> tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None]:
    """Return for which rows a watch fired, and for which one forbids to auto-route; None: for none."""
    watched = np.isfinite(gates.watch).nonzero()[0]
    if not watched.size or gates.watch_order == "flag":
        return None, None
    if watched.size > FEW_WATCHES:
        # By columns: NumPy's reductions of short rows pay for every row.
        fires, on_top = proba.T[watched] >= gates.watch[watched, np.newaxis], watched[:, np.newaxis] == top
        if gates.watch_order == "top":
            return np.logical_or.reduce(fires & on_top, axis=0), None
        elsewhere = np.logical_or.reduce(fires & ~on_top, axis=0)
        return np.logical_or.reduce(fires, axis=0), elsewhere if gates.watch_order == "before" else None
    fired = elsewhere = None
    for c, level in zip(watched.tolist(), gates.watch.take(watched).tolist(), strict=True):
        fires = proba[:, c] >= level
        if gates.watch_order == "top":
            fires &= top == c
        elif gates.watch_order == "before":
            other = fires & (top != c)
            elsewhere = other if elsewhere is None else elsewhere | other
        fired = fires if fired is None else fired | fires
    return fired, elsewhere
