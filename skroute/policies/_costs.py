"""What every action costs for every true class."""

import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from skroute._tabular import Sheet
from skroute._validation import check_classes, label_positions, listed, shown

__all__ = ["PERSONS", "RoutingCosts", "as_costs"]

# The actions that are no class, in the order of their columns.
PERSONS = ("watch", "escalate", "clarify")
REST = "*"
# Whole numbers can be larger than any float.
MOST_COST = sys.float_info.max


class RoutingCosts(Mapping[Any, Mapping[Any, float]]):
    """A table of costs: true class -> action -> cost.

    The actions are all classes (the row is auto-routed to this class), "watch", "escalate" and "clarify". The object
    is a read-only nested dict, so that it goes wherever one is asked for, `skroute.metrics.routing_cost` included.

    Parameters
    ----------
    table : dict of dict, DataFrame or RoutingCosts
        A nested dict, or a pandas or polars frame with a column for each action. Its rows are the true classes, named
        by the index or, where there is none, by the first column. Costs are finite numbers in any unit; a negative one
        is a gain.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        The classes, in the order of the table.
    actions : tuple
        The classes and the three other actions.

    Raises
    ------
    ValueError
        If a class is named like one of the three other actions, a row or an action is missing, unknown or there twice,
        or a cost is no finite number. The message names all of them.

    See Also
    --------
    skroute.policies.CostPolicy : Routes at the least cost.
    skroute.metrics.routing_cost : Measures what routes cost.

    Examples
    --------
    >>> from skroute.policies import RoutingCosts
    >>> costs = RoutingCosts({
    ...     "unlock": {"unlock": 0, "security": 20, "watch": 4, "escalate": 8, "clarify": 3},
    ...     "security": {"unlock": 200, "security": 0, "watch": 5, "escalate": 1, "clarify": 60},
    ... })
    >>> costs
    RoutingCosts(2 classes: unlock, security; costs from 0 to 200)
    >>> costs["security"]["unlock"]
    200.0
    >>> costs.matrix(["security", "unlock"])
    array([[  0., 200.,   5.,   1.,  60.],
           [ 20.,   0.,   4.,   8.,   3.]])
    """

    classes: NDArray[Any]
    actions: tuple[Any, ...]

    def __init__(self, table: Any) -> None:
        rows = _rows_of_frame(table) if hasattr(table, "columns") and hasattr(table, "to_numpy") else table
        if not isinstance(rows, Mapping):
            raise ValueError(
                f"costs must be a dict of true class to dict of action to cost, or a frame; got {shown(table)}. Few "
                "numbers make a table by RoutingCosts.from_defaults(classes, wrong=10, review=1)."
            )
        classes = check_classes(list(rows), "The true classes of costs")
        self._store(classes, _matrix(rows, classes))

    @classmethod
    def from_defaults(cls, classes: Any, *, wrong: Any = 10.0, review: Any = 1.0) -> Self:
        """Build a table from few numbers; auto-routing to the true class costs nothing.

        Parameters
        ----------
        classes : array-like of shape (n_classes,)
            All classes.
        wrong : float or dict of class to float, default=10.0
            Cost, not negative, of auto-routing a row of a class to another one. In a dict the key ``"*"`` stands for
            the classes not named.
        review : float or dict of action to float, default=1.0
            Cost, not negative, of a row that goes to a person: one number, or "watch", "escalate" and "clarify" each
            with its own.

        Returns
        -------
        costs : RoutingCosts

        Raises
        ------
        ValueError
            If a number is missing, negative, not finite, or given to an unknown class or action.

        Examples
        --------
        >>> from skroute.policies import RoutingCosts
        >>> costs = RoutingCosts.from_defaults(["unlock", "security"], wrong={"security": 200, "*": 5})
        >>> costs["security"]
        {'unlock': 200.0, 'security': 0.0, 'watch': 1.0, 'escalate': 1.0, 'clarify': 1.0}
        """
        labels = check_classes(classes)
        wrong_costs = _spread(wrong, labels, "wrong")
        by_person = _spread(review, np.array(PERSONS), "review")
        known = labels.tolist()
        persons = dict(zip(PERSONS, by_person, strict=True))
        return cls(
            {
                true: {routed: 0.0 if routed == true else cost for routed in known} | persons
                for true, cost in zip(known, wrong_costs, strict=True)
            }
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Build a table from what `to_dict` returned.

        Parameters
        ----------
        data : dict
            A table as plain JSON.

        Returns
        -------
        costs : RoutingCosts

        Raises
        ------
        ValueError
            If the data are no such dict, or hold no valid table.
        """
        if not isinstance(data, Mapping) or set(data) != {"classes", "costs"}:
            raise ValueError("data must be a dict as RoutingCosts.to_dict() returns it, with 'classes' and 'costs'.")
        return cls(data["costs"]).of(data["classes"])

    def to_dict(self) -> dict[str, Any]:
        """Return the table as plain JSON: the classes, and the nested dict with the labels as text.

        Returns
        -------
        data : dict
            To be read by `from_dict`.
        """
        rows = {str(true): {str(action): cost for action, cost in self[true].items()} for true in self}
        return {"classes": self.classes.tolist(), "costs": rows}

    def matrix(self, classes: Any) -> NDArray[np.float64]:
        """Return the costs as a matrix.

        Parameters
        ----------
        classes : array-like of shape (n_classes,)
            The classes, in the order wanted. They match by value or by their text. A class that the table knows and
            `classes` does not hold is left out.

        Returns
        -------
        matrix : ndarray of shape (n_classes, n_classes + 3)
            A row for each true class; a column for each class routed to, then "watch", "escalate" and "clarify".

        Raises
        ------
        ValueError
            If a class has no row.
        """
        labels = check_classes(classes)
        by_text = {str(label): i for i, label in enumerate(self.classes.tolist())}
        missing = [label for label in labels.tolist() if str(label) not in by_text]
        if missing:
            raise ValueError(
                f"costs must hold a row for every class; it lacks {listed(missing)}. Its rows are "
                f"{listed(self.classes.tolist())}."
            )
        rows = np.array([by_text[str(label)] for label in labels.tolist()])
        columns = np.concatenate([rows, len(self.classes) + np.arange(len(PERSONS))])
        chosen: NDArray[np.float64] = self._values[np.ix_(rows, columns)]
        return chosen

    def of(self, classes: Any) -> Self:
        """Return the table of these classes, in this order and with their labels.

        Parameters
        ----------
        classes : array-like of shape (n_classes,)
            Classes of the table.

        Returns
        -------
        costs : RoutingCosts

        Raises
        ------
        ValueError
            If a class has no row.
        """
        values = self.matrix(classes)
        table = object.__new__(type(self))
        table._store(check_classes(classes), values)
        return table

    def _store(self, classes: NDArray[Any], values: NDArray[np.float64]) -> None:
        self.classes = classes
        self.actions = (*classes.tolist(), *PERSONS)
        self._values = values
        rows = (dict(zip(self.actions, row, strict=True)) for row in values.tolist())
        self._by_class = dict(zip(classes.tolist(), rows, strict=True))

    def __getitem__(self, label: Any) -> dict[Any, float]:
        """Return the costs of a true class, by action."""
        return dict(self._by_class[label])

    def __iter__(self) -> Iterator[Any]:
        return iter(self._by_class)

    def __len__(self) -> int:
        return len(self._by_class)

    def __repr__(self) -> str:
        """Return one line: the classes and the range of the costs."""
        low, high = self._values.min(), self._values.max()
        spread = f"costs from {_texts([low])[0]} to {_texts([high])[0]}"
        return f"RoutingCosts({len(self)} classes: {listed(self, 3)}; {spread})"

    def __str__(self) -> str:
        """Return the table as text."""
        return self._shown().text()

    def _repr_html_(self) -> str:
        return self._shown().html()

    def _shown(self) -> Sheet:
        columns = [[str(true) for true in self], *map(_texts, self._values.T.tolist())]
        return Sheet(
            header=["true class", *map(str, self.actions)],
            rows=list(zip(*columns, strict=True)),
            words=("true class",),
            caption=repr(self),
            note="rows: true class; columns: where it is routed",
        )


def _texts(costs: Sequence[float]) -> list[str]:
    """Write costs with as few decimals as spell them all out, else with so many that the least one shows."""
    least = min((abs(cost) for cost in costs if cost), default=1.0)
    most = max(2, 1 - math.floor(math.log10(least)))
    decimals = next((n for n in range(most) if all(round(cost, n) == cost for cost in costs)), most)
    return [f"{cost:.{decimals}f}" for cost in costs]


def as_costs(costs: Any) -> RoutingCosts:
    """Return a parameter that is a table, or that one can be made of."""
    return costs if isinstance(costs, RoutingCosts) else RoutingCosts(costs)


def _rows_of_frame(frame: Any) -> dict[Any, dict[Any, Any]]:
    """Return a pandas or polars frame as a nested dict."""
    names = list(frame.columns)
    if len(set(names)) < len(names):
        raise ValueError(f"costs must have one column an action; its columns are {listed(names)}.")
    index = getattr(frame, "index", None)
    labels = None if index is None else list(index)
    # Rows that are merely numbered are named by their first column, unless the numbers are the classes.
    if labels is None or (labels == list(range(len(labels))) and not {*map(str, labels)} <= {*map(str, names)}):
        if not names:
            raise ValueError("costs must have a column that names the true classes, and one for each action.")
        labels, names = frame[names[0]].to_list(), names[1:]
    if _is_turned(labels, names):
        raise ValueError(
            "costs must have a row for each true class and a column for each action; this table looks transposed: pass "
            f"{_turn(frame, names)}."
        )
    check_classes(labels, "The true classes of costs")
    cells = [frame[name].to_list() for name in names]
    # A label out of a frame may be a NumPy scalar, which would not be found by its text.
    plain = [label.item() if isinstance(label, np.generic) else label for label in labels]
    return {label: dict(zip(names, row, strict=True)) for label, *row in zip(plain, *cells, strict=True)}


def _is_turned(labels: Iterable[Any], names: Iterable[Any]) -> bool:
    """Return whether the three other actions stand where the true classes should, and only there."""
    return {*PERSONS} <= {*map(str, labels)} and {*PERSONS}.isdisjoint(map(str, names))


def _turn(frame: Any, names: list[Any]) -> str:
    """Return how to transpose a frame, whose first column names its rows unless `names` are all its columns."""
    first = frame.columns[0]
    if not hasattr(frame, "index"):
        return f"frame.transpose(include_header=True, column_names={first!r})"
    return "frame.T" if len(names) == len(frame.columns) else f"frame.set_index({first!r}).T"


def _matrix(rows: Mapping[Any, Any], classes: NDArray[Any]) -> NDArray[np.float64]:
    """Return checked costs of shape (n_classes, n_classes + 3)."""
    known = classes.tolist()
    if _is_turned(known, [action for row in rows.values() if isinstance(row, Mapping) for action in row]):
        raise ValueError(
            "costs must be a dict of true class to dict of action to cost; this one looks transposed: swap its two "
            "levels."
        )
    clash = [label for label in known if str(label) in PERSONS]
    if clash:
        raise ValueError(f"costs has classes named like actions: {listed(clash)}; rename these classes.")
    flat = [label for label in rows if not isinstance(rows[label], Mapping)]
    if flat:
        row = rows[flat[0]]
        # A row of a frame would fill the screen.
        got = f"a {type(row).__name__}" if hasattr(row, "shape") else repr(row)
        raise ValueError(f"costs[{flat[0]!r}] must be a dict of action to cost, got {got}.")
    actions = np.array([*known, *PERSONS], dtype=object)
    _refuse_rowless(list(rows.values()), {str(action) for action in actions})
    values = np.full((len(known), len(actions)), np.nan)
    complaints = []
    for i, (label, costs) in enumerate(rows.items()):
        positions = label_positions(costs, actions, f"costs[{label!r}]")
        if len(set(positions)) < len(positions):
            raise ValueError(f"costs[{label!r}] names one action twice: {list(costs)}.")
        values[i, positions] = [float(cost) if _is_number(cost) else np.nan for cost in costs.values()]
        given = {actions[j] for j in positions}
        lacks = [action for action in actions if action not in given]
        bad = [f"{action} ({cost!r})" for action, cost in costs.items() if not (_is_number(cost) and np.isfinite(cost))]
        faults = [f"lacks {listed(lacks)}"] * bool(lacks) + [f"has no finite number for {listed(bad)}"] * bool(bad)
        complaints += [f"costs[{label!r}] {' and '.join(faults)}"] * bool(faults)
    if complaints:
        raise ValueError(f"costs must give every action a finite cost: {'; '.join(complaints[:8])}.")
    return values


def _refuse_rowless(rows: list[Mapping[Any, Any]], known: set[str]) -> None:
    """Refuse classes that every row can be routed to, but that have no row of their own."""
    everywhere = set.intersection(*({str(action) for action in row} for row in rows))
    somewhere = set.union(*({str(action) for action in row} for row in rows))
    rowless = sorted(everywhere - known)
    # Where a known action is missing from all rows, the unknown one is a misspelling, which the next check names.
    if rowless and known <= somewhere:
        raise ValueError(f"costs must hold a row for every class; {listed(rowless)} stands among the actions only.")


def _spread(costs: Any, labels: NDArray[Any], name: str) -> NDArray[np.float64]:
    """Return a cost for each label, from one number or a dict."""
    known = labels.tolist()
    if not isinstance(costs, Mapping):
        costs = {REST: costs}
    named = {label: cost for label, cost in costs.items() if label != REST or REST in known}
    good = [_is_number(cost) and 0.0 <= cost <= MOST_COST for cost in costs.values()]
    bad = [f"{label!r} ({shown(cost)})" for (label, cost), fine in zip(costs.items(), good, strict=True) if not fine]
    if bad:
        raise ValueError(
            f"{name!r} must be a finite cost of at least 0, or a dict of these; got {listed(bad)}. Gains go into a "
            "table: RoutingCosts({...})."
        )
    spread = np.full(len(labels), np.nan if REST in named else float(costs.get(REST, np.nan)))
    spread[label_positions(named, labels, repr(name))] = list(named.values())
    lacks = [label for label, cost in zip(known, spread, strict=True) if np.isnan(cost)]
    if lacks:
        raise ValueError(f"{name!r} must give a cost to {listed(lacks)}, or to all that are not named by the key '*'.")
    return spread


def _is_number(cost: Any) -> bool:
    return isinstance(cost, Real) and not isinstance(cost, (bool, np.bool_))
