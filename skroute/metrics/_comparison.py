"""What a comparison of policies found: shares and errors, errors by class, moves between routes."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._tabular import Tabular, html_table, text_table
from skroute._validation import listed
from skroute.metrics._routing_report import RoutingReport
from skroute.routing._gates import AUTO, ROUTES

__all__ = ["ERRORS", "ClassErrors", "ComparedRows", "PolicyComparison", "PolicyMoves", "object_array"]

SHARES = (*ROUTES, "moved")
SHOWN_ROWS = 40
ERRORS = ("error", "error_low", "error_high")


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
    label: NDArray[Any]
    before: NDArray[np.str_]
    after: NDArray[np.str_]
    rows: NDArray[np.float64]
    wrong_before: NDArray[np.float64] | None = None
    wrong_after: NDArray[np.float64] | None = None

    def _columns(self) -> dict[str, NDArray[Any]]:
        return _given(self, skip=("policy", "baseline", "matrix"))

    def __repr__(self) -> str:
        """Return one line: how many rows moved."""
        return f"PolicyMoves({self.baseline} to {self.policy}: {self.rows.sum():g} of {self.matrix.sum():g} rows moved)"

    def __str__(self) -> str:
        """Return the matrix of routes and the moves of each class as text."""
        return f"{self!r}\n{text_table(*self._square())}\n\n{text_table(*_cells(self._columns()))}{_more(self)}"

    def _repr_html_(self) -> str:
        return html_table(*self._square(), caption=repr(self)) + html_table(*_cells(self._columns()))

    def _square(self) -> tuple[list[str], list[list[str]]]:
        header = [f"{self.baseline} \\ {self.policy}", *ROUTES]
        return header, [[r, *(f"{n:g}" for n in line)] for r, line in zip(ROUTES, self.matrix, strict=True)]


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
        return f"ClassErrors({len(set(self.policy))} policies, {len(set(self.label)) - 1} classes)"

    def __str__(self) -> str:
        """Return the errors as text."""
        return f"{text_table(*_cells(self._columns()))}{_more(self)}"

    def _repr_html_(self) -> str:
        return html_table(*_cells(self._columns()), caption=repr(self))


@dataclass(frozen=True)
class ComparedRows:
    """What the policies made of each row; `route` and `label` have the shape (n_policies, n_samples)."""

    classes: NDArray[Any]
    truth: NDArray[np.intp] | None
    top: NDArray[np.intp]
    route: NDArray[np.intp]
    label: NDArray[np.intp]
    weight: NDArray[np.float64]

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
            raise ValueError(f"name must be one of the policies {listed(self._names)}, got {name!r}.")
        return self._names.index(name)

    def _find_group(self, group: Any) -> Any:
        by_text = {str(known): known for known in self._parts if known is not None}
        if group is not None and str(group) not in by_text:
            raise ValueError(f"group must be None or one of {listed(by_text) or 'the groups in by'}, got {group!r}.")
        return None if group is None else by_text[str(group)]

    def _columns(self) -> dict[str, NDArray[Any]]:
        return _given(self)

    def __repr__(self) -> str:
        """Return one line: what was compared."""
        groups = f", {len(self._parts) - 1} groups" if self.group is not None else ""
        shares = ", ".join(f"{name} {share:.1%}" for name, share in zip(self._names, self.auto, strict=False))
        return f"PolicyComparison({self.total[0]:g} rows{groups}; auto-routed: {shares})"

    def __str__(self) -> str:
        """Return the comparison as text."""
        return f"{self!r}\n{text_table(*_cells(self._columns(), SHARES))}{_more(self)}"

    def _repr_html_(self) -> str:
        return html_table(*_cells(self._columns(), SHARES), caption=repr(self))


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


def _cells(columns: Mapping[str, NDArray[Any]], shares: tuple[str, ...] = ()) -> tuple[list[str], list[list[str]]]:
    """Return header and cells of the first rows, with the interval of an error as one column."""
    texts = {
        name: [f"{value:.1%}" if name in shares else _cell(name, value) for value in values[:SHOWN_ROWS].tolist()]
        for name, values in columns.items()
    }
    if "error" in texts:
        low, high = texts.pop("error_low"), texts.pop("error_high")
        pairs = [a if a == "-" else f"{a} to {b}" for a, b in zip(low, high, strict=True)]
        texts = {
            name: values
            for key, cells in texts.items()
            for name, values in ([(key, cells), ("interval", pairs)] if key == "error" else [(key, cells)])
        }
    return list(texts), [list(line) for line in zip(*texts.values(), strict=True)]


def _more(table: Tabular) -> str:
    return f"\n({len(table) - SHOWN_ROWS} more rows)" if len(table) > SHOWN_ROWS else ""


def _cell(name: str, value: Any) -> str:
    if name in ("group", "label", "policy", "before", "after"):
        return "(all)" if value is None else str(value)
    if value != value:
        return "-"
    if name in ERRORS or name == "cost":
        return f"{value:.3f}"
    return f"{value:g}"
