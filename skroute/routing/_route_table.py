"""The full account of a routing decision, one entry a row."""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._tabular import RowTable, Sheet, counted, more_text
from skroute.routing._gates import AUTO, ROUTES, Decision

__all__ = ["RouteTable", "route_table"]

SHOWN_ROWS = 10


@dataclass(frozen=True, eq=False, repr=False)
class RouteTable(RowTable):
    """Routes with everything that led to them; every field but the index is an array of shape (n_samples,).

    It has a length, slices like an array, and converts with `to_pandas`, `to_polars` and `to_records`.

    Attributes
    ----------
    route : ndarray of str
        "auto", "watch", "escalate" or "clarify".
    label : ndarray
        For an auto row the class that it is routed to (of a `CostPolicy` not always the top one), else its top class.
    confidence : ndarray of float
        The largest probability, in [0, 1].
    threshold : ndarray of float
        The threshold of the label; +inf: never auto-routed.
    margin : ndarray of float
        Largest minus second largest probability, in [0, 1].
    entropy : ndarray of float
        Normalised entropy, in [0, 1].
    watch : ndarray of object
        The fired watch class with the largest excess over its level, or None.
    passed_threshold, passed_margin, passed_entropy : ndarray of bool
        Whether the row passed each gate; a gate that is switched off passes.
    reason : ndarray of str
        "passed" for an auto row, else the first thing that stopped it: "never" (the class is never auto-routed),
        "confidence", "margin", "entropy", "watch". Of a `CostPolicy` also "cost": a person is cheaper or, of an auto
        row, another class than the top one.
    index : pandas.Index or None
        Of the frame or Series that the rows came in, kept by `to_pandas`. None: they are numbered.

    Examples
    --------
    >>> from skroute import RoutePolicy
    >>> policy = RoutePolicy().fit([[0.97, 0.02, 0.01]], classes=["unlock", "vpn", "security"])
    >>> table = policy.explain([[0.974, 0.022, 0.004], [0.576, 0.386, 0.039]])
    >>> table
    RouteTable(2 rows: 1 auto, 0 watch, 0 escalate, 1 clarify)
    >>> table.reason.tolist()
    ['passed', 'confidence']
    >>> table[table.route == "clarify"].label.tolist()
    ['unlock']
    """

    route: NDArray[np.str_]
    label: NDArray[Any]
    confidence: NDArray[np.float64]
    threshold: NDArray[np.float64]
    margin: NDArray[np.float64]
    entropy: NDArray[np.float64]
    watch: NDArray[np.object_]
    passed_threshold: NDArray[np.bool_]
    passed_margin: NDArray[np.bool_]
    passed_entropy: NDArray[np.bool_]
    reason: NDArray[np.str_]
    index: Any = field(default=None, kw_only=True)

    def _columns(self) -> dict[str, NDArray[Any]]:
        return {column.name: getattr(self, column.name) for column in fields(self) if column.name != "index"}

    def __getitem__(self, rows: Any) -> "RouteTable":
        """Return the table of some rows: a slice, a mask, indices, or one index (a table of one row)."""
        if isinstance(rows, (int, np.integer)):
            # A lone index keeps a table, and -1 is a valid start that -1:0 would not be.
            rows = [int(rows)]
        rows = self._asked(rows)
        index = self._index_of(rows)
        return RouteTable(**{name: values[rows] for name, values in self._columns().items()}, index=index)

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each route."""
        return {route: int(np.count_nonzero(self.route == route)) for route in ROUTES}

    def __repr__(self) -> str:
        """Return one line: how many rows took each route."""
        shares = ", ".join(f"{count} {route}" for route, count in self.counts().items())
        return f"RouteTable({counted(len(self), 'row')}: {shares})"

    def _shown(self) -> Sheet:
        # The reason says which gate stopped a row; the three flags would only widen the table.
        rows = self[:SHOWN_ROWS]._columns()
        columns = {name: values for name, values in rows.items() if not name.startswith("passed")}
        cells = [map(_name if field in ("label", "watch") else _cell, values) for field, values in columns.items()]
        return Sheet(
            header=list(columns),
            rows=list(zip(*cells, strict=True)),
            words=("route", "label", "watch", "reason"),
            caption=repr(self),
            note=more_text(len(self) - SHOWN_ROWS),
        )


def _name(label: Any) -> str:
    # As it is spelled: a class True is not a "yes", and a class 2.5 is not a 2.500.
    return "-" if label is None else str(label)


def _cell(value: Any) -> str:
    if isinstance(value, np.floating):
        return "never" if np.isposinf(value) else f"{value:.3f}"
    return str(value)


def route_table(decision: Decision, classes: NDArray[Any]) -> RouteTable:
    """Put a decision into words: routes and classes by name, and the reason why a row was not auto-routed."""
    watch = np.full(len(decision.watch), None, dtype=object)
    fired = decision.watch >= 0
    watch[fired] = np.array(classes.tolist(), dtype=object)[decision.watch[fired]]
    stopped_by = [
        (decision.route == AUTO, "passed"),
        (np.isposinf(decision.threshold), "never"),
        (~decision.passed_threshold, "confidence"),
        (~decision.passed_margin, "margin"),
        (~decision.passed_entropy, "entropy"),
    ]
    holds, reasons = zip(*stopped_by, strict=True)
    return RouteTable(
        route=np.array(ROUTES)[decision.route],
        label=classes[decision.signals.top],
        confidence=decision.signals.confidence,
        threshold=decision.threshold,
        margin=decision.signals.margin,
        entropy=decision.signals.entropy,
        watch=watch,
        passed_threshold=decision.passed_threshold,
        passed_margin=decision.passed_margin,
        passed_entropy=decision.passed_entropy,
        reason=np.select(holds, reasons, default="watch"),
    )
