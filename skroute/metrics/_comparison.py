"""What a comparison of policies found: shares and errors, errors by class, moves between routes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._tabular import (
    Sheet,
    Tabular,
    count_text,
    counted,
    interval_text,
    level_text,
    more_text,
    share_text,
)
from skroute._validation import listed, shown
from skroute.metrics._routing_report import LEVEL, RoutingReport
from skroute.routing._gates import AUTO, ROUTES

__all__ = ["ERRORS", "ClassErrors", "ComparedRows", "PolicyComparison", "PolicyMoves", "object_array"]

ERRORS = ("error", "error_low", "error_high")
WORDS = ("group", "class", "policy", "before", "after")
SHARES = (*ROUTES, "moved")
# What columns are called where they are shown under another name than their own.
SHOWN_AS = {
    "label": "class",
    "total": "rows",
    "cost": "cost per row",
    "wrong_before": "wrong before",
    "wrong_after": "wrong after",
}
SHOWN_GROUPS, SHOWN_CLASSES = 40, 100
LEGEND = """\
auto, wrong, error: rows auto-routed to the class
missed: rows of the class that were auto-routed to another one"""


@dataclass(frozen=True, eq=False, repr=False)
class PolicyMoves(Tabular):
    """The rows that one policy treats otherwise than the first one: for each class, from where to where.

    As a table it has one entry for each class and move that occurs, the most frequent first.

    Attributes
    ----------
    policy, baseline : str
        Names of the policy and of the first one.
    matrix : ndarray of float of shape (4, 4)
        Rows (their weight, where weights are given) by route under the first policy (down) and under this one
        (across), in the order "auto", "watch", "escalate", "clarify".
    index : ndarray of int
        Which rows moved: their positions among the rows that were given, of all groups and weights.
    label : ndarray
        True class of the moved rows; where the comparison has no labels, their top class.
    before, after : ndarray of str
        Their route under the first policy and under this one. Both are "auto" where only the class changed.
    rows : ndarray of float
        How many they are, or their weight.
    wrong_before, wrong_after : ndarray of float or None
        How many of them were, and are, auto-routed to a wrong class; None without labels.
    """

    policy: str
    baseline: str
    matrix: NDArray[np.float64]
    index: NDArray[np.intp]
    label: NDArray[Any]
    before: NDArray[np.str_]
    after: NDArray[np.str_]
    rows: NDArray[np.float64]
    wrong_before: NDArray[np.float64] | None = None
    wrong_after: NDArray[np.float64] | None = None

    def _columns(self) -> dict[str, NDArray[Any]]:
        return _given(self, skip=("policy", "baseline", "matrix", "index"))

    def __repr__(self) -> str:
        """Return one line: how many rows moved."""
        rows = f"{count_text(self.rows.sum())} of {counted(self.matrix.sum(), 'row')} moved"
        return f"PolicyMoves({self.baseline} to {self.policy}: {rows})"

    def __str__(self) -> str:
        """Return the matrix of routes and the moves of each class as text."""
        return f"{self._square().text()}\n\n{self._shown().text()}"

    def _repr_html_(self) -> str:
        return self._square().html() + self._shown().html()

    def _square(self) -> Sheet:
        corner = f"{self.baseline} \\ {self.policy}"
        rows = [[route, *map(count_text, line)] for route, line in zip(ROUTES, self.matrix, strict=True)]
        return Sheet([corner, *ROUTES], rows, words=(corner,), caption=repr(self))

    def _shown(self) -> Sheet:
        sheet = _sheet(self._columns(), SHOWN_CLASSES)
        first = "top class" if self.wrong_before is None else "true class"
        return replace(sheet, header=[first, *sheet.header[1:]], words=(first, *sheet.words))


@dataclass(frozen=True, eq=False, repr=False)
class ClassErrors(Tabular):
    """What each policy auto-routes to each class, and how much of that is wrong; first all rows, as label None.

    Attributes
    ----------
    group : ndarray of object or None
        None for all rows, then the groups; no column where the comparison has no groups.
    label : ndarray of object
        The class.
    policy : ndarray of object
        Name of the policy.
    auto, wrong, error, error_low, error_high, missed : ndarray of float
        As in `RoutingReport`.
    """

    group: NDArray[np.object_] | None
    label: NDArray[np.object_]
    policy: NDArray[np.object_]
    auto: NDArray[np.float64]
    wrong: NDArray[np.float64]
    error: NDArray[np.float64]
    error_low: NDArray[np.float64]
    error_high: NDArray[np.float64]
    missed: NDArray[np.float64]

    def _columns(self) -> dict[str, NDArray[Any]]:
        return _given(self)

    def __repr__(self) -> str:
        """Return one line."""
        policies = counted(len(set(self.policy)), "policy", "policies")
        return f"ClassErrors({policies}, {counted(len(set(self.label)) - 1, 'class', 'classes')})"

    def _shown(self) -> Sheet:
        return _sheet(self._columns(), SHOWN_CLASSES, len(set(self.policy)), caption=repr(self), note=LEGEND)


@dataclass(frozen=True)
class ComparedRows:
    """What the policies made of each row; `route` and `label` have the shape (n_policies, n_samples)."""

    classes: NDArray[Any]
    truth: NDArray[np.intp] | None
    top: NDArray[np.intp]
    route: NDArray[np.intp]
    label: NDArray[np.intp]
    weight: NDArray[np.float64]
    index: NDArray[np.intp]
    """Their positions among the rows that were given."""

    def moved(self, policy: int) -> NDArray[np.bool_]:
        """Return which rows have another route, or are auto-routed to another class, than under the first policy."""
        elsewhere = (self.route[policy] == AUTO) & (self.label[policy] != self.label[0])
        moved: NDArray[np.bool_] = elsewhere | (self.route[policy] != self.route[0])
        return moved

    def wrong(self, policy: int) -> NDArray[np.bool_] | None:
        """Return which rows are auto-routed to a wrong class; None without labels."""
        if self.truth is None:
            return None
        wrong: NDArray[np.bool_] = (self.route[policy] == AUTO) & (self.label[policy] != self.truth)
        return wrong


@dataclass(frozen=True, eq=False, repr=False)
class PolicyComparison(Tabular):
    """The same rows under several policies, one entry for each policy, or for each group and policy.

    Made by `compare_policies`. Errors by class are in `errors`, what moved from where to where in `moves`.

    Attributes
    ----------
    group : ndarray of object or None
        None for all rows, then the groups in order; no column where no groups were given.
    policy : ndarray of object
        Name of the policy.
    total : ndarray of float
        Rows (their weight, where weights are given).
    auto, watch, escalate, clarify : ndarray of float
        Share of the rows with each route, in [0, 1].
    moved : ndarray of float
        Share of the rows with another route, or auto-routed to another class, than under the first policy.
    wrong : ndarray of float or None
        Rows that are auto-routed to a wrong class; this and what follows is None without labels.
    error, error_low, error_high : ndarray of float or None
        Their share of the rows that are auto-routed, NaN where none is, and its exact interval.
    cost : ndarray of float or None
        Mean cost of a row; None without costs.
    """

    group: NDArray[np.object_] | None
    policy: NDArray[np.object_]
    total: NDArray[np.float64]
    auto: NDArray[np.float64]
    watch: NDArray[np.float64]
    escalate: NDArray[np.float64]
    clarify: NDArray[np.float64]
    moved: NDArray[np.float64]
    wrong: NDArray[np.float64] | None
    error: NDArray[np.float64] | None
    error_low: NDArray[np.float64] | None
    error_high: NDArray[np.float64] | None
    cost: NDArray[np.float64] | None
    _names: list[str]
    _parts: dict[Any, NDArray[np.intp]]
    _rows: ComparedRows
    _reports: dict[tuple[Any, str], RoutingReport]

    @property
    def errors(self) -> ClassErrors:
        """What each policy auto-routes to each class, and how much of it is wrong.

        Raises
        ------
        ValueError
            If the comparison has no labels.
        """
        self._needs_labels("errors")
        figures: dict[str, list[Any]] = {field.name: [] for field in fields(ClassErrors)}
        for group in self._parts:
            for position, label in enumerate([None, *self._rows.classes.tolist()]):
                for name in self._names:
                    report = self._reports[group, name]
                    entry = {"group": group, "label": label, "policy": name}
                    for field, values in figures.items():
                        values.append(entry[field] if field in entry else getattr(report, field)[position])
        columns: dict[str, Any] = {
            name: object_array(values) if name in ("group", "label", "policy") else np.array(values)
            for name, values in figures.items()
        }
        return ClassErrors(**(columns | ({"group": None} if self.group is None else {})))

    def report(self, name: str, group: Any = None) -> RoutingReport:
        """Return all counts of one policy, class by class.

        Parameters
        ----------
        name : str
            The policy.
        group : object, default=None
            A group, by its value or its text. None: all rows.

        Returns
        -------
        report : RoutingReport

        Raises
        ------
        ValueError
            If there is no such policy or group, or the comparison has no labels.
        """
        self._needs_labels("report()")
        return self._reports[self._find_group(group), self._names[self._find_policy(name)]]

    def moves(self, name: str, group: Any = None) -> PolicyMoves:
        """Return what moved from where to where between the first policy and another one.

        Parameters
        ----------
        name : str
            The other policy.
        group : object, default=None
            A group, by its value or its text. None: all rows.

        Returns
        -------
        moves : PolicyMoves

        Raises
        ------
        ValueError
            If there is no such policy or group.
        """
        policy, part, rows = self._find_policy(name), self._parts[self._find_group(group)], self._rows
        n_routes, weight = len(ROUTES), rows.weight[part]
        label = (rows.top if rows.truth is None else rows.truth)[part]
        pair = rows.route[0][part] * n_routes + rows.route[policy][part]
        moved = rows.moved(policy)[part]
        cell = (label * n_routes**2 + pair)[moved]
        occurs = np.unique(cell)

        def count(chosen: NDArray[np.bool_] | None) -> Any:
            """Return the weight of the chosen rows among those of each move that occurs."""
            if chosen is None:
                return None
            return np.bincount(np.searchsorted(occurs, cell), (weight * chosen[part])[moved], len(occurs))

        counts = count(np.ones(len(rows.weight), dtype=bool))
        order = np.argsort(-counts, kind="stable")
        wrong = [count(rows.wrong(which)) for which in (0, policy)]
        wrong_before, wrong_after = (None if part is None else part[order] for part in wrong)
        return PolicyMoves(
            policy=name,
            baseline=self._names[0],
            matrix=np.bincount(pair, weight, n_routes**2).reshape(n_routes, n_routes).astype(np.float64),
            index=rows.index[part][moved],
            label=rows.classes[occurs[order] // n_routes**2],
            before=np.array(ROUTES)[occurs[order] // n_routes % n_routes],
            after=np.array(ROUTES)[occurs[order] % n_routes],
            rows=counts[order],
            wrong_before=wrong_before,
            wrong_after=wrong_after,
        )

    def _needs_labels(self, what: str) -> None:
        if not self._reports:
            raise ValueError(f"{what} needs true labels: pass y to compare_policies.")

    def _find_policy(self, name: Any) -> int:
        if name not in self._names:
            raise ValueError(f"name must be one of the policies {listed(self._names)}, got {shown(name)}.")
        return self._names.index(name)

    def _find_group(self, group: Any) -> Any:
        by_text = {str(known): known for known in self._parts if known is not None}
        if group is not None and str(group) not in by_text:
            raise ValueError(
                f"group must be None or one of {listed(by_text) or 'the groups in by'}, got {shown(group)}."
            )
        return None if group is None else by_text[str(group)]

    def _columns(self) -> dict[str, NDArray[Any]]:
        return _given(self)

    def __repr__(self) -> str:
        """Return one line: what was compared."""
        groups = f", {counted(len(self._parts) - 1, 'group')}" if self.group is not None else ""
        shares = ", ".join(f"{name} {share_text(share)}" for name, share in zip(self._names, self.auto, strict=False))
        return f"PolicyComparison({counted(self.total[0], 'row')}{groups}; auto-routed: {shares})"

    def _shown(self) -> Sheet:
        # Against itself no policy can move a row.
        moved = np.where(self.policy == self._names[0], np.nan, self.moved)
        columns = self._columns() | {"moved": moved}
        return _sheet(columns, SHOWN_GROUPS, len(self._names), shares=SHARES, caption=repr(self))


def object_array(values: list[Any]) -> NDArray[np.object_]:
    # Entry by entry, because NumPy would take a tuple for a row.
    array = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        array[i] = value
    return array


def _given(table: Any, skip: tuple[str, ...] = ()) -> dict[str, NDArray[Any]]:
    """Return the columns of a table that it has."""
    columns = {f.name: getattr(table, f.name) for f in fields(table) if f.name not in skip and f.name[0] != "_"}
    return {name: values for name, values in columns.items() if values is not None}


def _sheet(
    columns: Mapping[str, NDArray[Any]],
    most: int,
    block: int = 1,
    *,
    shares: tuple[str, ...] = (),
    caption: str = "",
    note: str = "",
) -> Sheet:
    """Show up to `most` rows, and no part of a block of rows, with the interval of an error as one column."""
    n_rows = len(next(iter(columns.values())))
    shown = n_rows if n_rows <= most else max(most // block, 1) * block
    values = {name: column[:shown].tolist() for name, column in columns.items()}
    texts = {
        SHOWN_AS.get(name, name): [_cell(name, value, shares) for value in column] for name, column in values.items()
    }
    if "error" in texts:
        ends = zip(values["error_low"], values["error_high"], strict=True)
        texts["error_low"] = [interval_text(*pair) for pair in ends]
        del texts["error_high"]
    header = [f"{level_text(LEVEL)} interval" if name == "error_low" else name for name in texts]
    rows = [list(line) for line in zip(*texts.values(), strict=True)]
    notes = "\n".join(filter(None, [more_text(n_rows - shown), note]))
    return Sheet(header, rows, WORDS, caption=caption, note=notes)


def _cell(name: str, value: Any, shares: tuple[str, ...]) -> str:
    if SHOWN_AS.get(name, name) in WORDS:
        return "(all)" if value is None else str(value)
    if name in (*shares, *ERRORS):
        return share_text(value)
    if name == "cost":
        return "-" if math.isnan(value) else f"{value:.3f}"
    return count_text(value)
