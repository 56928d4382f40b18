"""Short lists of labels: split conformal sets that hold the true class with a stated probability."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._validation import check_sample_weight, counts_rows, label_positions, listed, percent_hint, shown
from skroute._warn_caller import warn_caller
from skroute.exceptions import RareClassWarning
from skroute.routing._json import from_json, to_json

__all__ = ["CandidateSets", "check_coverage", "fit_candidates", "learn_candidates"]


@dataclass(frozen=True, eq=False)
class CandidateSets:
    """The probability from which a class stands in a row's set; the top class always does.

    Attributes
    ----------
    coverage : float
        The probability, in (0, 1), with which a set holds the true class.
    by_class : bool
        Whether that holds within every true class, or for all rows together.
    levels : ndarray of shape (n_classes,) if `by_class`, else (1,)
        Least probability of a member, in [0, 1]. +inf: the class is a member only on top. 0: of every set.
    rows : ndarray of shape (n_classes,) if `by_class`, else (1,)
        Rows that each level rests on; where weights are no counts, their sum over the largest of them.
    """

    coverage: float
    by_class: bool
    levels: NDArray[np.float64]
    rows: NDArray[np.float64]

    @property
    def short(self) -> NDArray[np.bool_]:
        """Whether a level rests on too few rows to leave anything out, shape as `levels`."""
        return np.array([rows < _needed(self.coverage, rows) for rows in self.rows], dtype=bool)

    def sets(self, proba: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Return which classes stand in the set of each row.

        Parameters
        ----------
        proba : ndarray of shape (n_samples, n_classes)
            Checked probabilities.

        Returns
        -------
        members : ndarray of bool of shape (n_samples, n_classes)
            At least the first largest probability of each row is a member.
        """
        members: NDArray[np.bool_] = proba >= self.levels
        members[np.arange(len(proba)), np.argmax(proba, axis=1)] = True
        return members

    def to_dict(self, classes: NDArray[Any]) -> dict[str, Any]:
        """Return the levels as plain JSON: one number, or a dict of class to number.

        Parameters
        ----------
        classes : ndarray of shape (n_classes,)
            The class of each column.

        Returns
        -------
        data : dict
            To be read by `from_dict`.
        """
        data: dict[str, Any] = {"coverage": self.coverage}
        for name in ("levels", "rows"):
            values = getattr(self, name).tolist()
            data[name] = to_json(dict(zip(classes.tolist(), values, strict=True)) if self.by_class else values[0])
        return data

    @classmethod
    def from_dict(cls, data: Any, classes: NDArray[Any]) -> "CandidateSets":
        """Return what `to_dict` was called on.

        Parameters
        ----------
        data : dict
            As `to_dict` returned it.
        classes : ndarray of shape (n_classes,)
            The class of each column.

        Returns
        -------
        candidates : CandidateSets

        Raises
        ------
        ValueError
            If a part is missing, no number of its range, or not given for every class.
        """
        missing = [part for part in ("coverage", "levels", "rows") if not isinstance(data, Mapping) or part not in data]
        if missing:
            raise ValueError(f"Candidates must be a dict as to_dict() returns it; it lacks {listed(missing)}.")
        coverage = check_coverage(data["coverage"], "coverage", "candidates")
        by_class = isinstance(data["levels"], Mapping)
        levels, rows = (_read_numbers(data[name], name, classes, by_class) for name in ("levels", "rows"))
        if not (np.all((levels <= 1.0) | np.isposinf(levels)) and np.isfinite(rows).all()):
            raise ValueError(f"The levels of candidates must lie in [0, 1] or be 'inf', their rows be finite: {data}.")
        return cls(coverage, by_class, levels, rows)


def _read_numbers(data: Any, name: str, classes: NDArray[Any], by_class: bool) -> NDArray[np.float64]:
    numbers = from_json(data)
    if by_class and isinstance(numbers, Mapping):
        positions = label_positions(numbers, classes, f"The {name} of candidates")
        if sorted(positions) != list(range(len(classes))):
            raise ValueError(f"The {name} of candidates must name every class once, got {listed(numbers)}.")
        values = [value for _, value in sorted(zip(positions, numbers.values(), strict=True), key=lambda pair: pair[0])]
    else:
        values = [numbers]
    if not all(_is_number(value) and float(value) >= 0.0 for value in values):
        raise ValueError(f"The {name} of candidates must be numbers of at least 0, got {shown(data)}.")
    return np.array(values, dtype=np.float64)


def fit_candidates(
    proba: NDArray[np.floating],
    codes: NDArray[np.intp],
    *,
    coverage: float,
    by_class: bool = False,
    weight: NDArray[np.float64] | None = None,
) -> CandidateSets:
    """Find the level from which a class must stand in a set, from rows whose class is known.

    Parameters
    ----------
    proba : ndarray of shape (n_samples, n_classes)
        Checked probabilities of rows that the model and its calibrator did not see.
    codes : ndarray of int of shape (n_samples,)
        The column of each row's true class.
    coverage : float
        The probability, in (0, 1), with which a set shall hold the true class.
    by_class : bool, default=False
        Whether that shall hold within every true class; one level a class then.
    weight : ndarray of shape (n_samples,), default=None
        Finite, not negative. Whole numbers say how many equal rows a row stands for. Others are importances, and only
        their ratios matter.

    Returns
    -------
    candidates : CandidateSets

    Notes
    -----
    The score of a class in a row is its probability, and +inf where it is the row's top class. The level is the k-th
    largest score of the true classes, k = ceil((n + 1) coverage): split conformal prediction [1]_ with the score of
    least ambiguous sets [2]_. If new rows and these n are exchangeable, a new row's set holds its class with a
    probability of at least k / (n + 1), on average over both; of at most that plus 1 / (n + 1) without ties and with
    an accuracy below it. For the n rows at hand the coverage scatters by about sqrt(coverage (1 - coverage) / n).

    The +inf accounts for the top class being in every set: the score is still a function of the row and the class
    alone, so that the guarantee holds, and no set is larger than without it. Where the accuracy is above the coverage,
    the sets are the top classes. Ties with the level are members; nothing is drawn at random.

    With n rows, of a class or of all, fewer than (n + 1) coverage, nothing can be left out, and the level is 0.

    Importances are a weighted quantile as in [3]_, where the weight of the new row, which is not known, is taken to be
    the largest one. It is exact up to that where the weights are the true ratios of densities.

    References
    ----------
    .. [1] V. Vovk, A. Gammerman, G. Shafer. Algorithmic Learning in a Random World. Springer, 2005.
    .. [2] M. Sadinle, J. Lei, L. Wasserman. Least ambiguous set-valued classifiers with bounded error levels. Journal
       of the American Statistical Association 114 (525), 2019.
    .. [3] R. J. Tibshirani, R. Foygel Barber, E. J. Candes, A. Ramdas. Conformal prediction under covariate shift.
       Advances in Neural Information Processing Systems 32, 2019.

    Examples
    --------
    >>> import numpy as np
    >>> proba = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    >>> candidates = fit_candidates(proba, np.array([0, 0, 1, 0]), coverage=0.8)
    >>> candidates.sets(np.array([[0.75, 0.25], [0.65, 0.35]])).tolist()
    [[True, False], [True, True]]
    """
    scores = proba[np.arange(len(proba)), codes].astype(np.float64)
    scores[np.argmax(proba, axis=1) == codes] = np.inf
    values = np.ones(len(scores)) if weight is None else weight
    repeats = counts_rows("auto", weight, "fit_candidates")
    groups = codes if by_class else np.zeros(len(codes), dtype=np.intp)
    order = np.lexsort([-scores, groups])
    ends = np.searchsorted(groups[order], np.arange((proba.shape[1] if by_class else 1) + 1))
    parts = [order[start:end] for start, end in pairwise(ends)]
    found = [_level(scores[part], values[part], coverage, repeats) for part in parts]
    levels, rows = np.array(found, dtype=np.float64).T
    return CandidateSets(coverage, by_class, levels, rows)


def _level(
    scores: NDArray[np.float64], weight: NDArray[np.float64], coverage: float, repeats: bool
) -> tuple[float, float]:
    """Return the level for scores in falling order, and the number of rows that it rests on."""
    kept = weight > 0.0
    scores, weight = scores[kept], weight[kept]
    if not len(scores):
        return 0.0, 0.0
    mass = np.cumsum(weight if repeats else weight / weight.max())
    needed = _needed(coverage, mass[-1])
    place = int(np.searchsorted(mass, needed))
    return (float(scores[place]) if place < len(scores) else 0.0), float(mass[-1])


def _needed(coverage: float, rows: float) -> float:
    """Return how many rows must score at least the level: (rows + 1) coverage, rounded up where `rows` is whole."""
    # As the decimal that was written: in floats, 0.55 of 100 rows is more than 55.
    needed = Fraction(repr(float(coverage))) * (Fraction(float(rows)) + 1)
    return math.ceil(needed) if rows == int(rows) else float(needed)


def check_coverage(value: Any, name: str, owner: str) -> float:
    """Return a parameter that must lie in [0.5, 1): sets that hold the true class less often are a risk misplaced."""
    if _is_number(value) and 0.5 <= float(value) < 1.0:
        return float(value)
    raise ValueError(
        f"The {name!r} parameter of {owner} must be a number in [0.5, 1). Got {shown(value)} instead."
        f"{percent_hint(value)}"
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, (bool, np.bool_))


def learn_candidates(
    proba: NDArray[np.floating],
    codes: NDArray[np.intp] | None,
    classes: NDArray[Any],
    *,
    coverage: float,
    by_class: bool = False,
    held: NDArray[np.bool_] | None = None,
    sample_weight: Any = None,
) -> CandidateSets:
    """Fit candidates for a policy: for all rows and for those held for a person, naming what cannot be left out.

    Over all rows the easy ones make up for the hard ones, and the hard ones are those that a person is asked about.
    So a level is the lower one of two: what all rows call for, and what the held rows alone do.

    Parameters
    ----------
    proba : ndarray of shape (n_samples, n_classes)
        As in `fit_candidates`.
    codes : ndarray of int of shape (n_samples,) or None
        As in `fit_candidates`; None: there were no labels.
    classes : ndarray of shape (n_classes,)
        The class of each column.
    coverage, by_class
        As in `fit_candidates`.
    held : ndarray of bool of shape (n_samples,), default=None
        Which rows are not automatic. None: the guarantee is for all rows together.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights, not negative.

    Returns
    -------
    candidates : CandidateSets

    Raises
    ------
    ValueError
        If there are no labels, or the weights are bad.

    Warns
    -----
    RareClassWarning
        If a class stands in every set, because it has too few rows, or too many rows with probability 0.

    Notes
    -----
    The guarantee on held rows is exact where the policy's numbers were given, and approximate where they were learned
    from the same rows.
    """
    if codes is None:
        raise ValueError(f"candidates={coverage:g} is learned from labels: pass y to fit, or set candidates=None.")
    weight = check_sample_weight(sample_weight, len(proba))
    candidates = fit_candidates(proba, codes, coverage=coverage, by_class=by_class, weight=weight)
    if held is not None:
        some = None if weight is None else weight[held]
        strict = fit_candidates(proba[held], codes[held], coverage=coverage, by_class=by_class, weight=some)
        lower = strict.levels <= candidates.levels
        levels, rows = (
            np.where(lower, getattr(strict, name), getattr(candidates, name)) for name in ("levels", "rows")
        )
        candidates = CandidateSets(coverage, by_class, levels, rows)
    _warn_of_short_classes(candidates, classes, "rows" if held is None else "rows that are not automatic")
    return candidates


def _warn_of_short_classes(candidates: CandidateSets, classes: NDArray[Any], kind: str) -> None:
    """Name the classes that stand in every set, and why."""
    coverage = candidates.coverage
    names = classes.tolist() if candidates.by_class else ["any class"]
    numbers = zip(names, candidates.levels, candidates.rows, candidates.short, strict=True)
    reasons = [
        f"{name} ({rows:.6g} {kind}; {_rows_for(coverage)} are needed)"
        if short
        else f"{name} (probability 0 in too many of its {rows:.6g} {kind})"
        for name, level, rows, short in numbers
        if level == 0.0
    ]
    if reasons:
        warn_caller(
            f"Sets that hold the true class with probability {coverage:g} cannot leave out {listed(reasons)}.",
            RareClassWarning,
        )


def _rows_for(coverage: float) -> int:
    """Return the least number of rows with which a class can be left out of a set."""
    share = Fraction(repr(float(coverage)))
    return math.ceil(share / (1 - share))
