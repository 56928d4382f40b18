"""The rows that a joint calibrator learns from, brought into an order of their own.

Equal rows become one weighted row, rows are sorted and classes are ordered by what they hold, never by where they came
from. Whatever is learned from them afterwards cannot depend on the order of rows or classes, and a weight of three is
three rows to the last bit.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["TrainingRows", "class_weight", "deal_folds", "training_rows"]

# Odd numbers whose products spread over all 64 bits (from the splitmix64 generator).
MIX, MIX_AGAIN = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
STEP = np.uint64(0x9E3779B97F4A7C15)
# Units of weight that are dealt out one by one.
MOST_UNITS = 2**22
# Sums of whole numbers up to here are exact.
MOST_WHOLE = 2.0**53


@dataclass(frozen=True)
class TrainingRows:
    """Distinct rows of scores with their label and weight, columns in the order `class_order`."""

    scores: NDArray[np.float64]
    """Shape (n_rows, n_classes)."""
    codes: NDArray[np.intp]
    """Column of the true class of every row."""
    weight: NDArray[np.float64]
    """Positive; equal rows are added up."""
    count: NDArray[np.intp]
    """Number of equal rows that were merged."""
    class_order: NDArray[np.intp]
    """Which of the given columns stands at each place."""
    place: NDArray[np.intp]
    """Row that holds each of the given rows; -1 where that one was left out."""

    def some(self, weight: NDArray[np.float64]) -> "TrainingRows":
        """Return the same rows with other weights; rows of weight 0 are left out."""
        kept = np.flatnonzero(weight > 0.0)
        if len(kept) == len(weight):
            return replace(self, weight=weight)
        return replace(self._taken(kept), weight=weight[kept])

    def spread(self, most: int) -> "TrainingRows":
        """Return at most so many rows, spread evenly over the order, which is by class and score."""
        if len(self.codes) <= most:
            return self
        return self._taken(np.arange(most) * len(self.codes) // most)

    def _taken(self, kept: NDArray[np.intp]) -> "TrainingRows":
        return replace(
            self, scores=self.scores[kept], codes=self.codes[kept], weight=self.weight[kept], count=self.count[kept]
        )


def training_rows(
    scores: NDArray[np.float64], codes: NDArray[np.intp], weight: NDArray[np.float64] | None
) -> TrainingRows:
    """Merge equal rows, and sort rows and classes by their content.

    Parameters
    ----------
    scores : ndarray of shape (n_samples, n_classes)
        Finite scores.
    codes : ndarray of shape (n_samples,)
        Column of the true class; -1 leaves the row out.
    weight : ndarray of shape (n_samples,) or None
        Weights, not negative. Rows of weight 0 are left out.

    Returns
    -------
    rows : TrainingRows
        Sorted by class, then by the score of that class.
    """
    kept = np.flatnonzero(codes >= 0 if weight is None else (codes >= 0) & (weight > 0.0))
    place = np.full(len(codes), -1, dtype=np.intp)
    all_kept = len(kept) == len(codes)
    labels = codes if all_kept else codes[kept]
    weights = np.ones(len(kept)) if weight is None else weight[kept]
    # Adding zero turns -0.0 into 0.0, which is the same score with other bits.
    values = (scores if all_kept else scores[kept]) + 0.0
    class_order = _order_of_classes(values, labels, weights)
    values = np.ascontiguousarray(values[:, class_order])
    labels = np.argsort(class_order)[labels]
    own = values[np.arange(len(labels)), labels]
    order = np.lexsort((_hashed(values), own, labels))
    values, labels, weights = values[order], labels[order], weights[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (labels[1:] != labels[:-1]) | (values[1:] != values[:-1]).any(axis=1)
    first = np.flatnonzero(new)
    group = np.cumsum(new) - 1
    place[kept[order]] = group
    if len(first) < len(order):
        # Whole weights add without rounding, and others in an order that the scores do not tell: sorted.
        by_weight = np.lexsort((weights, group))
        weights = np.bincount(group, weights[by_weight], len(first)).astype(np.float64, copy=False)
        values, labels = values[first], labels[first]
    return TrainingRows(values, labels, weights, np.diff(np.append(first, len(order))), class_order, place)


def class_weight(rows: TrainingRows) -> NDArray[np.float64]:
    """Return the weight of the rows of each class, in the order that the classes were given in."""
    weight = np.zeros(rows.scores.shape[1])
    weight[rows.class_order] = np.bincount(rows.codes, rows.weight, len(weight))
    return weight


def _order_of_classes(
    values: NDArray[np.float64], labels: NDArray[np.intp], weight: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Order classes by their weight, and equally heavy ones by their scores; no order of rows can change it."""
    n_classes = values.shape[1]
    whole = bool((weight == np.floor(weight)).all() and weight.sum() <= MOST_WHOLE)
    # Sums of whole weights are exact; others are added from the least to the largest.
    order = np.arange(len(weight)) if whole else np.argsort(weight)
    rows = np.bincount(labels[order], weights=weight[order], minlength=n_classes)
    _, kind, number = np.unique(rows, return_inverse=True, return_counts=True)
    tied = np.flatnonzero(number[kind] > 1)
    keys = np.zeros(n_classes, dtype=np.uint64)
    if tied.size and len(values):
        # Whole numbers that wrap around: these sums do not round, so that only classes of equal content tie.
        bits = np.ascontiguousarray(values).view(np.uint64)
        cells = _mixed(bits + (np.arange(n_classes) == labels[:, np.newaxis]) * STEP)
        of_row = cells.sum(axis=1) * STEP
        times = weight.astype(np.uint64) if whole else _mixed(weight.view(np.uint64))
        for k in tied:
            keys[k] = (_mixed(cells[:, k] + of_row) * times).sum()
    return np.lexsort((keys, rows))


def _hashed(values: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Return a number for each row that equal rows share, and others almost never do."""
    bits = values.view(np.uint64)
    total = np.zeros(len(values), dtype=np.uint64)
    # One column at a time: sums of products wrap around, as they should.
    for column, offset in enumerate(np.arange(1, values.shape[1] + 1, dtype=np.uint64) * STEP):
        total += _mixed(bits[:, column] + offset)
    return total


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread numbers over all 64 bits, one to one."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * MIX
    numbers = (numbers ^ (numbers >> np.uint64(27))) * MIX_AGAIN
    return numbers ^ (numbers >> np.uint64(31))


def deal_folds(rows: TrainingRows, n_folds: int) -> NDArray[np.float64]:
    """Deal rows out to folds, each unit of weight by itself.

    A row of weight three is three units, exactly as three equal rows would be; so a score that many rows share (votes
    of few voters) lies on both sides of every split, as it does without merging. Each unit has a number that follows
    from the row and its place among equal ones. Units are sorted by it within each class and dealt round: as good as
    chance, which an order by score would not be, since it makes the folds copies of each other.

    Parameters
    ----------
    rows : TrainingRows
        Rows with whole weights; where weights are not whole, a row has as many units as equal rows were merged.
    n_folds : int
        Number of folds, at least 2.

    Returns
    -------
    shares : ndarray of shape (n_folds, n_rows)
        Weight of every row in every fold.
    """
    whole = bool((rows.weight == np.floor(rows.weight)).all())
    # So many units that dealing them one by one is out of the question are shared out evenly.
    if whole and rows.weight.sum() > max(MOST_UNITS, 4 * len(rows.weight)):
        return np.tile(rows.weight / n_folds, (n_folds, 1))
    n_units = rows.weight.astype(np.intp) if whole else rows.count
    row = np.repeat(np.arange(len(n_units)), n_units)
    place = np.arange(len(row)) - np.repeat(np.cumsum(n_units) - n_units, n_units)
    # In single precision, so that the last digits, in which machines differ, do not deal all rows anew.
    rounded = rows.scores.astype(np.float32).astype(np.float64)
    number = _mixed(_hashed(rounded)[row] + (place + 1).astype(np.uint64) * STEP)
    fold = np.empty(len(row), dtype=np.intp)
    fold[np.lexsort((number, rows.codes[row]))] = np.arange(len(row)) % n_folds
    shares = np.bincount(fold * len(n_units) + row, minlength=n_folds * len(n_units)).reshape(n_folds, -1)
    dealt: NDArray[np.float64] = shares * (rows.weight / n_units)
    return dealt
