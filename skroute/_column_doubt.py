"""Whether the columns of scores are those of other classes than they are taken for: true labels tell."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from skroute._rows import block_length
from skroute._validation import listed
from skroute._warn_caller import warn_caller
from skroute.exceptions import DoubtfulScoresWarning

__all__ = ["columns_are_told", "doubt_columns"]

# Columns are doubted for certain only: from so many rows a class on, by standard errors, and by a share of what chance
# leaves. More rows are not looked at, nor more classes.
LEAST_ROWS, CERTAIN, LEAST_GAIN = 10, 5.0, 0.25
ROWS_LOOKED_AT, LEAST_LOOKED_AT, MOST_CLASSES = 200, 1000, 300
LEAST_WEIGHT = 1e-300

TOLD: ContextVar[bool] = ContextVar("columns_are_told", default=False)


@contextmanager
def columns_are_told() -> Iterator[None]:
    """Doubt no columns within: they come from a classifier that says which classes they are of."""
    token = TOLD.set(True)
    try:
        yield
    finally:
        TOLD.reset(token)


def doubt_columns(
    scores: NDArray[np.floating],
    codes: NDArray[np.intp],
    weight: NDArray[np.float64] | None,
    labels: NDArray[np.generic],
) -> None:
    """Warn where the largest scores would name the true classes, were the columns in another order.

    That order must name many more of them than the columns do as they stand, and than it would by chance: models that
    are biased towards some classes, or know nothing, have no such order. So it is with all columns, or with some that
    have changed places among themselves.

    Parameters
    ----------
    scores : ndarray of shape (n_samples, n_classes)
        NaN where a class was not scored.
    codes : ndarray of shape (n_samples,)
        The column of each row's true class.
    weight : ndarray of shape (n_samples,) or None
        Not negative.
    labels : ndarray of shape (n_classes,)
        What the columns are taken for.
    """
    n_rows, n_classes = scores.shape
    if TOLD.get() or n_classes > MOST_CLASSES:
        return
    # Some are enough; not every so many, which may be of one class.
    n_looked_at = min(n_rows, max(ROWS_LOOKED_AT * n_classes, LEAST_LOOKED_AT))
    rows = np.random.default_rng(0).choice(n_rows, n_looked_at, replace=False, shuffle=False)
    codes, weight = codes[rows], None if weight is None else weight[rows]
    largest, known = _largest(scores, rows, codes)
    counted = np.where(known, 1.0 if weight is None else weight, 0.0)
    # So many equally weighted rows tell as much (Kish).
    total = counted.sum()
    n_equal = total**2 / max(float(counted @ counted), LEAST_WEIGHT)
    if n_equal < LEAST_ROWS * n_classes:
        return
    pairs = np.bincount(codes * n_classes + largest, counted / total, n_classes**2).reshape(n_classes, n_classes)
    order = linear_sum_assignment(pairs, maximize=True)[1]
    everything = np.arange(n_classes)
    moved = [cycle for cycle in _cycles(order) if _is_certain(pairs, order, cycle, n_equal)]
    # Few rows may tell of all of them what they do not tell of any. Columns that stay are left out: a model that is
    # right about some classes, and biased among the others, would look as if it knew these.
    together = everything[order != everything]
    if not moved and _is_certain(pairs, order, together, n_equal):
        moved = [together]
    if moved:
        places = np.sort(np.concatenate(moved))
        order = np.where(np.isin(everything, places), order, everything)
        warn_caller(
            f"The largest score names the true class in {pairs.trace():.0%} of the rows, and in "
            f"{pairs[everything, order].sum():.0%} with the columns in another order: those of "
            f"{listed(map(repr, labels[places].tolist()))} look as if they had changed places. Pass classes= in the "
            "order of the columns.",
            DoubtfulScoresWarning,
        )


def _largest(
    scores: NDArray[np.floating], rows: NDArray[np.intp], codes: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return for some rows the column of the largest score, and whether their true class was scored."""
    largest, known = np.empty(len(rows), dtype=np.intp), np.empty(len(rows), dtype=np.bool_)
    size = block_length(scores.shape[1])
    for start in range(0, len(rows), size):
        block = slice(start, start + size)
        part = scores[rows[block]]
        place, top = np.arange(len(part)), part.argmax(axis=1)
        # NaN counts as the largest.
        largest[block] = np.nan_to_num(part, nan=-np.inf).argmax(axis=1) if np.isnan(part[place, top]).any() else top
        known[block] = ~np.isnan(part[place, codes[block]])
    return largest, known


def _cycles(order: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """Yield the places that change among themselves."""
    seen = order == np.arange(len(order))
    for start in range(len(order)):
        cycle = []
        while not seen[start]:
            seen[start] = True
            cycle.append(start)
            start = order[start]
        if cycle:
            yield np.array(cycle)


def _is_certain(pairs: NDArray[Any], order: NDArray[np.intp], places: NDArray[np.intp], n_equal: float) -> bool:
    """Tell whether, of the rows of some classes, another order of their columns names many more."""
    of_places = pairs[places]
    share = float(of_places.sum())
    if n_equal * share < max(LEAST_ROWS * len(places), 1):
        return False
    # In shares of these rows, of which some may be taken for other classes.
    of_places /= share
    named, as_given = of_places[np.arange(len(places)), order[places]].sum(), of_places[:, places].trace()
    certain = CERTAIN / np.sqrt(n_equal * share)
    if named - as_given <= certain:
        return False
    by_chance = np.outer(of_places.sum(axis=1), of_places[:, places].sum(axis=0))
    expected = by_chance[linear_sum_assignment(by_chance, maximize=True)].sum()
    return bool(named - max(as_given, expected) > max(LEAST_GAIN * (1.0 - expected), certain))
