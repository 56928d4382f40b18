"""The reliability table: what stated probabilities are worth, for every class."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._tabular import Sheet, Tabular, counted
from skroute._validation import check_classes, check_count, check_level, check_option, label_positions, listed
from skroute.reliability._bins import read_edges
from skroute.reliability._interval import exact_interval
from skroute.reliability._inversion import inverted_groups
from skroute.reliability._rows import ReliabilityRows, verdicts
from skroute.reliability._sums import GRID, STATISTICS, exact_ratio

__all__ = ["ReliabilityTable"]

KINDS = ("top-label", "classwise")
SQUARE_ROUNDING = Fraction(1, 2**50)
LAYOUT = ("classes", "kind", "edges", "min_count", "confidence_level", "tolerance")


@dataclass(frozen=True, repr=False, eq=False)
class ReliabilityTable(Tabular):
    """Stated confidence against observed accuracy, for all classes together and for each of them.

    Made by `reliability_table`. It keeps exact sums for every class and bin, so tables of equal layout (classes, kind,
    edges and settings) add: ``a + b`` is, to the last bit, the table of the rows of both, however they were split.

    As a table it has one row for each group and bin, first the group of all classes (label None), then each class; the
    columns are the attributes of `rows`.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        The classes.
    kind : {"top-label", "classwise"}
        What a group counts.
    edges : ndarray of shape (n_bins + 1,)
        Edges of the bins, from 0 to 1; bins are left-closed, the last one closed on both sides.
    min_count : int
        Rows that a verdict needs.
    confidence_level : float
        Level of the intervals.
    tolerance : float
        Gap that is accepted however certain it is.
    sums : ndarray of shape (5, n_classes, n_bins), dtype object
        Exact sums: rows, weights, squared weights, weights of right rows, and weighted confidence in units of 2**-41.
    rows : ReliabilityRows
        Figures and verdicts as arrays, computed from the sums when first asked for.

    Examples
    --------
    >>> from skroute.reliability import reliability_table
    >>> morning = reliability_table(["a", "b"], y_pred=["a", "a"], confidence=[0.9, 0.7])
    >>> evening = reliability_table(["b", "b"], y_pred=["b", "a"], confidence=[0.8, 0.6])
    >>> day = morning + evening
    >>> day.of("a").count.sum()
    np.int64(3)
    """

    classes: NDArray[Any]
    kind: str
    edges: NDArray[np.float64]
    min_count: int
    confidence_level: float
    tolerance: float
    sums: NDArray[np.object_]

    def of(self, label: Any = None) -> ReliabilityRows:
        """Return the rows of one class, one for each bin.

        Parameters
        ----------
        label : class, default=None
            The class. None means all classes together; so does "all", unless a class has that name.

        Returns
        -------
        rows : ReliabilityRows
            One for each bin, empty bins included.

        Raises
        ------
        ValueError
            If `label` is not a class.
        """
        if label is None or (label == "all" and "all" not in self.classes.tolist()):
            group = 0
        else:
            group = 1 + label_positions([label], self.classes, "label")[0]
        n_bins = len(self.edges) - 1
        return self.rows._select(slice(group * n_bins, (group + 1) * n_bins))

    def summary(self) -> ReliabilityRows:
        """Return one row for all classes together and one for each class, all bins taken together.

        A class may be calibrated on the whole although its bins are not: look at the bins as well.
        """
        low, high = np.zeros(len(self._groups)), np.ones(len(self._groups))
        return self._figures(self._group_sums.sum(axis=2), self._groups, low, high, self._inverted)

    def worst(self, n: int = 1) -> ReliabilityRows:
        """Return the `n` bins of single classes that are furthest off, the worst first.

        Significant gaps come before others, larger before smaller ones; bins with the verdict "insufficient" are left
        out. For whole classes, ask ``summary().worst(n)``.

        Parameters
        ----------
        n : int, default=1
            How many bins, at least 1.

        Returns
        -------
        rows : ReliabilityRows
            At most `n` rows.
        """
        return self.rows._select(slice(len(self.edges) - 1, None)).worst(n)

    @cached_property
    def rows(self) -> ReliabilityRows:
        """Figures and verdicts of every group and bin."""
        n_groups, n_bins = self._group_sums.shape[1:]
        return self._figures(
            self._group_sums.reshape(len(STATISTICS), -1),
            np.repeat(self._groups, n_bins),
            np.tile(self.edges[:-1], n_groups),
            np.tile(self.edges[1:], n_groups),
            np.repeat(self._inverted, n_bins),
        )

    @cached_property
    def _groups(self) -> NDArray[np.object_]:
        return np.array([None, *self.classes.tolist()], dtype=object)

    @cached_property
    def _group_sums(self) -> NDArray[np.object_]:
        """Sums by group: the classes part the rows between them, so all classes together are their sum."""
        return np.concatenate([self.sums.sum(axis=1, keepdims=True), self.sums], axis=1)

    @cached_property
    def _inverted(self) -> NDArray[np.bool_]:
        hits, trials = _effective(self._group_sums)
        # Classwise, every row stands in one bin for each class, so the bins of all classes together are dependent.
        dependent = (np.arange(len(hits)) == 0) & (self.kind == "classwise")
        enough = self._group_sums[0].astype(np.int64) >= self.min_count
        return inverted_groups(hits, trials, enough, dependent)

    def _figures(
        self,
        sums: NDArray[np.object_],
        label: NDArray[np.object_],
        low: NDArray[np.float64],
        high: NDArray[np.float64],
        inverted: NDArray[np.bool_],
    ) -> ReliabilityRows:
        count, weight = sums[0].astype(np.int64), sums[1].astype(np.float64)
        # Digits beyond the twelfth are the grid's: without them, the mean of equal confidences is that confidence.
        confidence, accuracy = exact_ratio(sums[4], sums[1] * GRID).round(12), exact_ratio(sums[3], sums[1])
        gap = accuracy - confidence
        interval = exact_interval(*_effective(sums), confidence_level=self.confidence_level)
        verdict = verdicts(count, confidence, gap, *interval, min_count=self.min_count, tolerance=self.tolerance)
        return ReliabilityRows(label, low, high, count, weight, confidence, accuracy, *interval, gap, verdict, inverted)

    def __add__(self, other: Any) -> "ReliabilityTable":
        if not isinstance(other, ReliabilityTable):
            return NotImplemented
        if different := self._differences(other):
            name = different[0]
            raise ValueError(
                f"Reliability tables must have equal {name} to be added, got {_plain(getattr(self, name))} and "
                f"{_plain(getattr(other, name))}. Make both with the same classes and settings; where the edges come "
                "from the data, make the second one with n_bins=first.edges."
            )
        return replace(self, sums=self.sums + other.sums)

    def __radd__(self, other: Any) -> "ReliabilityTable":
        # sum() starts with 0.
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ReliabilityTable):
            return NotImplemented
        return not self._differences(other) and np.array_equal(self.sums, other.sums)

    __hash__ = None  # type: ignore[assignment]

    def _differences(self, other: "ReliabilityTable") -> list[str]:
        """Return the parts of the layout that differ."""
        return [name for name in LAYOUT if _plain(getattr(self, name)) != _plain(getattr(other, name))]

    def to_dict(self) -> dict[str, Any]:
        """Return the table as plain JSON types.

        Sums are written as text, "3" or "3/4", because most readers of JSON round whole numbers above 2**53.
        """
        layout = {name: _plain(getattr(self, name)) for name in LAYOUT}
        texts = [[list(map(str, row)) for row in part] for part in self.sums]
        return {**layout, "sums": dict(zip(STATISTICS, texts, strict=True))}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "ReliabilityTable":
        """Return the table that `to_dict` wrote; equal to the original.

        Raises
        ------
        ValueError
            If an entry is missing, or the sums do not fit the classes and edges.
        """
        missing = [name for name in (*LAYOUT, "sums") if not isinstance(state, Mapping) or name not in state]
        if missing:
            raise ValueError(f"state must be a dict written by ReliabilityTable.to_dict; it lacks {listed(missing)}.")
        owner = cls.__name__
        edges = read_edges(state["edges"], owner)
        layout: dict[str, Any] = {
            "classes": check_classes(state["classes"]),
            "kind": check_option(state["kind"], KINDS, "kind", owner),
            "edges": np.array(state["edges"], dtype=np.float64) if isinstance(edges, int) else edges,
            "min_count": check_count(state["min_count"], "min_count", owner),
            "confidence_level": check_level(state["confidence_level"], "confidence_level", owner),
            "tolerance": check_level(state["tolerance"], "tolerance", owner),
        }
        try:
            parts = [[list(map(_exact, row)) for row in state["sums"][name]] for name in STATISTICS]
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            raise ValueError(
                f"The sums in state must be {listed(STATISTICS)}, as whole numbers or fractions."
            ) from None
        sums = np.array(parts, dtype=object)
        shape = (len(STATISTICS), len(layout["classes"]), np.size(layout["edges"]) - 1)
        if sums.shape != shape:
            raise ValueError(f"The sums in state must have shape {shape} like its classes and edges, got {sums.shape}.")
        if not _sound(sums, layout["edges"]):
            raise ValueError("The sums in state contradict each other: no rows can have made them.")
        return cls(**layout, sums=sums)

    def _columns(self) -> dict[str, Any]:
        return self.rows._columns()

    def __repr__(self) -> str:
        n_classes, n_bins = self.sums.shape[1:]
        layout = f"{self.kind}, {counted(n_classes, 'class', 'classes')}, {counted(n_bins, 'bin')}"
        return f"ReliabilityTable({layout}: {self.summary()._brief()})"

    def _shown(self) -> Sheet:
        # Of many classes the bins fill pages.
        note = (
            f"All bins of a class taken together; gaps up to {self.tolerance:g} are tolerated. "
            "The bins: .rows, .of(label), .worst(n)"
        )
        return replace(self.summary()._shown(), caption=repr(self), note=note)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def _exact(text: str) -> int | Fraction:
    return Fraction(text) if "/" in text else int(text)


def _sound(sums: NDArray[np.object_], edges: NDArray[np.float64]) -> bool:
    """Return whether rows can have made the sums, shape (5, n_classes, n_bins)."""
    count, weight, squared_weight, hits, confidence = sums
    low, high = (np.array([Fraction(edge) for edge in ends], dtype=object) for ends in (edges[:-1], edges[1:]))
    # Squares of weights are rounded, once each, and confidences to half a unit of the grid.
    square = weight * weight * (1 + SQUARE_ROUNDING)
    rules = [
        sums >= 0,
        [number.denominator == 1 for number in count.flat],
        count.sum() <= np.iinfo(np.int64).max,
        (count > 0) == (weight > 0),
        (count > 0) == (squared_weight > 0),
        squared_weight <= square,
        weight * weight <= count * squared_weight * (1 + SQUARE_ROUNDING),
        hits <= weight,
        weight * (low * GRID - 1) <= confidence,
        confidence <= weight * (high * GRID + 1),
    ]
    return all(np.all(rule) for rule in rules)


def _effective(sums: NDArray[np.object_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return effective numbers of hits and of rows (Kish): with equal weights, the plain numbers."""
    _, weight, squared_weight, hits, _ = sums
    return (
        exact_ratio(hits * weight, squared_weight, empty=0.0),
        exact_ratio(weight * weight, squared_weight, empty=0.0),
    )
