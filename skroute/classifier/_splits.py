"""Which rows fit what: cross-validation that survives rare classes, and the share held out for the policy."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import LeaveOneOut, StratifiedGroupKFold, StratifiedKFold, check_cv
from sklearn.utils import check_random_state

from skroute._tabular import counted
from skroute._validation import check_count, shown

__all__ = ["DEFAULT_FOLDS", "StratifiedFolds", "are_blocks", "are_grouped", "make_splits", "split_holdout"]

DEFAULT_FOLDS = 5

Split = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True, eq=False)
class StratifiedFolds:
    """Folds that follow from the labels alone, and are drawn up only where they are gone through."""

    n_folds: int
    codes: NDArray[np.intp]

    def __len__(self) -> int:
        return self.n_folds

    def __iter__(self) -> Iterator[Split]:
        with warnings.catch_warnings():
            # It spreads a class rarer than the folds over as many as it has rows; RareClassWarning names that class.
            warnings.filterwarnings("ignore", message="The least populated class in y", category=UserWarning)
            return iter(list(StratifiedKFold(self.n_folds).split(np.zeros(len(self.codes)), self.codes)))


def make_splits(
    cv: Any, X: Any, y: NDArray[Any], codes: NDArray[np.intp], params: dict[str, Any], *, partition: bool, apart: bool
) -> list[Split] | StratifiedFolds:
    """Return the folds that `cv` asks for, as pairs of training and test rows.

    Parameters
    ----------
    cv : int, splitter, iterable or None
        None: five stratified folds, whatever the size of the rarest class.
    X, y : array-like of n_samples rows
        The data to split.
    codes : ndarray of shape (n_samples,)
        The labels as integers.
    params : dict
        Metadata for the splitter, such as groups.
    partition : bool
        Whether every row must be tested exactly once.
    apart : bool
        Whether no split may test rows that it trains on.

    Raises
    ------
    ValueError
        If `cv` is not one of these, asks for more folds than the rarest class has rows, or no two folds can be made.
    """
    counts = np.bincount(codes)
    codes_found = np.flatnonzero(counts)
    counts = counts[codes_found]
    if cv is None:
        return _stratified(codes, counts)
    if isinstance(cv, str):
        raise ValueError(
            f"The 'cv' parameter of RoutingClassifier must be an int, a splitter, an iterable or None. Got {shown(cv)} "
            "instead. A classifier that is fitted already is passed as FrozenEstimator(classifier)."
        )
    if isinstance(cv, Real):
        check_count(cv, "cv", "RoutingClassifier", least=2)
    # The same demand, in the same words, as CalibratedClassifierCV.
    n_folds: Any = cv if isinstance(cv, Integral) else getattr(cv, "n_splits", None)
    if n_folds and counts.min() < n_folds:
        raise ValueError(
            f"Requesting {n_folds}-fold cross-validation but provided less than {n_folds} examples for at least one "
            f"class: {y[codes == codes_found[counts.argmin()]][0]} has {counts.min()}. Leave cv=None for folds that "
            "spread rare classes as far as they go; where the order of the rows means nothing, shuffle them before."
        )
    if isinstance(cv, LeaveOneOut):
        raise ValueError(
            "LeaveOneOut cross-validation does not allow all classes to be present in test splits. Please use a "
            "cross-validation generator that allows all classes to appear in every test and train split."
        )
    if (isinstance(cv, Integral) or (type(cv) is StratifiedKFold and not cv.shuffle)) and not params:
        return StratifiedFolds(int(n_folds or 0), codes)
    # Of splits that are no pairs, check_cv does not tell which.
    by_rows = hasattr(cv, "__iter__") and not hasattr(cv, "split")
    given = cv if by_rows else check_cv(cv, y, classifier=True).split(X, y, **params)
    splits = [_read_split(number, split, len(y)) for number, split in enumerate(given)]
    _check_splits(splits, cv, y, partition=partition, apart=apart)
    return splits


def are_blocks(splits: list[Split] | StratifiedFolds) -> bool:
    """Tell whether folds are blocks of the rows in the order given: of all rows, or of those of each class."""
    return isinstance(splits, StratifiedFolds) or all((test[1:] == test[:-1] + 1).all() for _, test in splits)


def _check_splits(splits: list[Split], cv: Any, y: NDArray[Any], *, partition: bool, apart: bool) -> None:
    if not splits:
        spent = " A generator gives its splits once: pass list(splits)." if hasattr(cv, "__next__") else ""
        raise ValueError(f"cv must give at least one split, got none from {cv!r}.{spent}")
    for i, split in enumerate(splits):
        if apart:
            _check_apart(split, i, len(y))
    tested = np.concatenate([test for _, test in splits])
    if partition and not np.array_equal(np.sort(tested), np.arange(len(y))):
        raise ValueError(
            "cv must test every row exactly once when ensemble=False (the calibrators are fitted on out-of-fold "
            "scores of all rows). Use ensemble=True for repeated or partial splits."
        )


def _check_apart(split: Split, number: int, n_samples: int) -> None:
    train, test = split
    trained = np.zeros(n_samples, dtype=np.bool_)
    trained[train] = True
    both = test[trained[test]]
    if both.size:
        raise ValueError(
            f"cv must keep training and test rows apart, or the calibrators learn from scores that are too good; split "
            f"{number} has {counted(both.size, 'row')} in both, such as {both[0]}. A classifier that is fitted already "
            "is passed as FrozenEstimator(classifier)."
        )


def _read_split(number: int, split: Any, n_samples: int) -> Split:
    try:
        train, test = split
    except (TypeError, ValueError):
        raise ValueError(f"cv must give pairs of training and test rows; split {number} is {shown(split)}.") from None
    of_split = f"rows of split {number}"
    return _as_rows(train, n_samples, f"the training {of_split}"), _as_rows(test, n_samples, f"the test {of_split}")


def _as_rows(part: Any, n_samples: int, name: str) -> NDArray[np.intp]:
    rows = np.asarray(part)
    if rows.dtype == object and rows.size:
        # Not of both: True would be the row 1.
        is_mask = [isinstance(item, bool | np.bool_) for item in rows.flat]
        is_number = [isinstance(item, Integral) for item in rows.flat]
        if all(is_mask) or (all(is_number) and not any(is_mask)):
            rows = rows.astype(np.bool_ if all(is_mask) else np.intp)
    rows = rows[:, 0] if rows.ndim == 2 and rows.shape[1] == 1 else rows
    demand = f"cv must give the numbers of rows, in [0, {n_samples}), or masks; {name}"
    if rows.size and (rows.ndim != 1 or rows.dtype.kind not in "biu"):
        raise ValueError(f"{demand} are {shown(part)}.")
    if rows.dtype == bool and rows.size:
        if len(rows) != n_samples:
            raise ValueError(f"{demand} are a mask of {counted(len(rows), 'row')}, for {n_samples}.")
        rows = np.flatnonzero(rows)
    if not rows.size:
        raise ValueError(f"{demand} are none.")
    if rows.min() < 0 or rows.max() >= n_samples:
        raise ValueError(f"{demand} are from {rows.min()} to {rows.max()}.")
    return rows.astype(np.intp, copy=False)


def _stratified(codes: NDArray[np.intp], counts: NDArray[np.intp]) -> StratifiedFolds:
    n_folds = min(DEFAULT_FOLDS, int(counts.max()))
    if n_folds < 2:
        raise ValueError(
            "y must hold at least two rows of some class to be cross-fitted, beside those that holdout takes; every "
            "class has one row."
        )
    return StratifiedFolds(n_folds, codes)


def are_grouped(groups: Any, weight: NDArray[np.float64] | None) -> bool:
    """Tell whether several rows, of those that have weight, are of one group."""
    labels = np.asarray(groups)
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if groups is None or labels.ndim != 1 or (weight is not None and len(weight) != len(labels)):
        return False
    labels = labels if weight is None else labels[weight > 0]
    try:
        return len(np.unique(labels)) < len(labels)
    except TypeError:
        return len({str(label) for label in labels.tolist()}) < len(labels)


def split_holdout(
    share: float | None, codes: NDArray[np.intp], groups: Any, random_state: Any
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows to fit on and the stratified (and grouped) share of rows to keep from the fit; None keeps none.

    A class can lose all its rows to the share held out; it is then as one that is missing from every fold.
    """
    if share is None:
        return np.arange(len(codes)), np.empty(0, dtype=np.intp)
    random = check_random_state(random_state)
    kept, held = _by_class(share, codes, random) if groups is None else _by_group(share, codes, groups, random)
    if not held.size:
        raise ValueError(f"holdout={share:g} of {len(codes)} rows holds out none; give more rows or a larger share.")
    return kept, held


def _by_class(share: float, codes: NDArray[np.intp], random: Any) -> Split:
    # Every row has the same chance, rows of the rarest classes too: if these were never held out, their errors would
    # never be counted, and a long tail of them would go unseen. Only the two largest classes keep a row for certain,
    # because there must be two to tell apart.
    counts = np.bincount(codes)
    largest = np.argsort(-counts, kind="stable")[:2]
    chosen = []
    for code in np.flatnonzero(counts):
        rows = random.permutation(np.flatnonzero(codes == code))
        n_held = int(np.floor(share * len(rows) + random.uniform()))
        chosen.append(rows[: min(n_held, len(rows) - 1) if code in largest else n_held])
    held = np.sort(np.concatenate(chosen))
    return np.setdiff1d(np.arange(len(codes)), held), held


def _by_group(share: float, codes: NDArray[np.intp], groups: Any, random: Any) -> Split:
    n_folds, n_groups = max(2, round(1.0 / min(share, 1.0 - share))), len(np.unique(groups))
    if n_groups < n_folds:
        raise ValueError(f"holdout={share:g} needs at least {n_folds} groups, got {n_groups}.")
    folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=random)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class in y", category=UserWarning)
        rest, fold = next(iter(folds.split(np.zeros(len(codes)), codes, groups)))
    kept, held = (rest, fold) if share <= 0.5 else (fold, rest)
    lost = np.setdiff1d(codes, codes[kept])
    if lost.size:
        raise ValueError(
            f"holdout={share:g} with these groups leaves no row to fit on for {lost.size} of the classes; "
            "use a smaller share, or holdout=None."
        )
    return kept, held
