"""Rows of a reliability table: figures, verdicts, and how they are shown."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._tabular import Sheet, Tabular, count_text, counted
from skroute._validation import check_count

__all__ = ["ReliabilityRows", "verdicts"]


@dataclass(frozen=True, repr=False, eq=False)
class ReliabilityRows(Tabular):
    """Rows of a `ReliabilityTable`: one for each bin of a group, or one for each group.

    Attributes
    ----------
    label : ndarray of shape (n_rows,), dtype object
        Class of the row; None for the group of all classes.
    low, high : ndarray of shape (n_rows,)
        Edges of the bin; 0 and 1 where a row stands for all bins.
    count : ndarray of shape (n_rows,)
        Number of rows (of pairs of row and class, where the kind is "classwise" and the label None).
    weight : ndarray of shape (n_rows,)
        Sum of their weights.
    confidence, accuracy : ndarray of shape (n_rows,)
        Weighted mean confidence, and the weighted share that is right. NaN where nothing was counted.
    interval_low, interval_high : ndarray of shape (n_rows,)
        Exact interval of the accuracy.
    gap : ndarray of shape (n_rows,)
        ``accuracy - confidence``: negative where the probabilities promise too much.
    verdict : ndarray of shape (n_rows,), dtype object
        "insufficient", "overconfident", "underconfident" or "calibrated".
    inverted : ndarray of shape (n_rows,)
        Whether the accuracy of the row's group falls significantly while confidence rises.
    """

    label: NDArray[np.object_]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    count: NDArray[np.int64]
    weight: NDArray[np.float64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    interval_low: NDArray[np.float64]
    interval_high: NDArray[np.float64]
    gap: NDArray[np.float64]
    verdict: NDArray[np.object_]
    inverted: NDArray[np.bool_]

    def worst(self, n: int = 1) -> "ReliabilityRows":
        """Return the `n` rows that are furthest off, the worst first.

        Rows whose gap is more than chance and tolerance explain come before those that may be calibrated, larger gaps
        before smaller ones; rows with the verdict "insufficient" are left out, and so is the row of all classes
        together, unless there is no other.

        Parameters
        ----------
        n : int, default=1
            How many rows, at least 1.

        Returns
        -------
        rows : ReliabilityRows
            At most `n` rows.
        """
        n = check_count(n, "n", "worst")
        of_class = np.array([label is not None for label in self.label], dtype=bool)
        enough = np.flatnonzero((self.verdict != "insufficient") & (of_class | ~of_class.any()))
        plausible = self.verdict[enough] == "calibrated"
        order = np.lexsort([-np.abs(self.gap[enough]), plausible])
        return self._select(enough[order[:n]])

    def _columns(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def _select(self, rows: Any) -> "ReliabilityRows":
        return ReliabilityRows(**{name: values[rows] for name, values in self._columns().items()})

    def __repr__(self) -> str:
        return f"ReliabilityRows({counted(int(self._kept.sum()), 'entry', 'entries')}: {self._brief()})"

    @property
    def _kept(self) -> NDArray[np.bool_]:
        """The rows that are shown: no empty bins, but a class that is empty altogether."""
        kept: NDArray[np.bool_] = (self.count > 0) | (self.high - self.low == 1.0)
        return kept

    def _brief(self) -> str:
        """Return the number of the verdicts that call for action, and of those that say nothing."""
        verdict = self.verdict[self._kept]
        parts = [f"{np.sum(verdict == name)} {name}" for name in ("overconfident", "underconfident")]
        unknown = np.sum(verdict == "insufficient")
        return ", ".join(parts + [f"{unknown} insufficient"] * bool(unknown))

    def _shown(self) -> Sheet:
        shown = self._select(self._kept)
        columns = {
            "class": ["(all)" if label is None else str(label) for label in shown.label],
            "bin": [_bin_text(*edges) for edges in zip(shown.low, shown.high, strict=True)],
            "rows": [str(count) for count in shown.count],
            "weight": [count_text(weight) for weight in shown.weight],
            "confidence": [_figure(value) for value in shown.confidence],
            "accuracy": [_figure(value) for value in shown.accuracy],
            "interval": [
                f"{_figure(low)} to {_figure(high)}" if not np.isnan(low) else "-"
                for low, high in zip(shown.interval_low, shown.interval_high, strict=True)
            ],
            "gap": [_figure(value, "+") for value in shown.gap],
            "verdict": shown.verdict.tolist(),
            "inverted": ["yes" if inverted else "" for inverted in shown.inverted],
        }
        if (shown.high - shown.low == 1.0).all():
            del columns["bin"]
        if np.array_equal(self.weight, self.count):
            del columns["weight"]
        if not self.inverted.any():
            del columns["inverted"]
        return Sheet(
            header=list(columns),
            rows=[list(row) for row in zip(*columns.values(), strict=True)],
            words=("class", "bin", "verdict", "inverted"),
            caption=repr(self),
            note=f"({counted(len(self) - len(shown), 'empty bin')} not shown)" if len(shown) < len(self) else "",
        )


def _figure(value: float, sign: str = "") -> str:
    return "-" if np.isnan(value) else f"{value:{sign}.3f}"


def _bin_text(low: float, high: float) -> str:
    return f"[{low:.4g}, {high:.4g}{']' if high == 1.0 else ')'}"


def verdicts(
    count: NDArray[np.int64],
    confidence: NDArray[np.float64],
    gap: NDArray[np.float64],
    interval_low: NDArray[np.float64],
    interval_high: NDArray[np.float64],
    *,
    min_count: int,
    tolerance: float,
) -> NDArray[np.object_]:
    """Return the verdict on every row; the first that holds, in the order below."""
    rules = [
        ("insufficient", count < min_count),
        ("overconfident", (gap < -tolerance) & (confidence > interval_high)),
        ("underconfident", (gap > tolerance) & (confidence < interval_low)),
    ]
    names, holds = zip(*rules, strict=True)
    # Objects, because a fixed-width text column would reach pandas and polars as a type of its own.
    return np.select(holds, [np.array(name, dtype=object) for name in names], np.array("calibrated", dtype=object))
