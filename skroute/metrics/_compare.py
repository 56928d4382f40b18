"""The same rows under several policies: routes, errors, costs, and what moved from where to where."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError

from skroute._column_doubt import doubt_columns
from skroute._frames import check_proba
from skroute._tabular import counted
from skroute._validation import (
    check_sample_weight,
    closest,
    column,
    counts_rows,
    distinct_labels,
    encode_labels,
    label_positions,
    listed,
    shown,
)
from skroute._warn_caller import warn_caller
from skroute.exceptions import SkrouteWarning
from skroute.metrics._comparison import ERRORS, ComparedRows, PolicyComparison, object_array
from skroute.metrics._routing_cost import routing_cost
from skroute.metrics._routing_report import RoutingReport, routing_report
from skroute.metrics._truth import read_truth, unknown_labels
from skroute.routing import RouteTable
from skroute.routing._gates import ROUTES

__all__ = ["compare_policies"]

# Unknown labels that a warning names.
SHOWN_LABELS = 3


def compare_policies(
    policies: Mapping[str, Any], proba: Any, y: Any = None, *, by: Any = None, costs: Any = None,
    sample_weight: Any = None,
) -> PolicyComparison:  # fmt: skip
    """Compare what several policies do with the same rows: routes, errors, costs, and what moves between them.

    Parameters
    ----------
    policies : dict of str to policy
        Fitted policies for the same classes; the first one is what the others are compared with.
    proba : array-like or frame of shape (n_samples, n_classes)
        Rows of probabilities, the columns in the order of the first policy's classes. Named columns of a frame are
        matched to them.
    y : array-like of shape (n_samples,), default=None
        True labels; those that are no class of the policies are always wrong. None: routes and moves only.
    by : array-like of shape (n_samples,), default=None
        Group of each row, such as its day or its queue: the same figures for every group.
    costs : dict of true class to dict of action to cost, default=None
        As `routing_cost` takes it.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights, not negative; rows of weight 0 are left out. Whole numbers are counts of equal rows.

    Returns
    -------
    comparison : PolicyComparison

    Raises
    ------
    ValueError
        If there is no policy or no row, the policies know different classes, lengths differ, rows are no
        probabilities, or there are costs without labels.
    NotFittedError
        If a policy is not fitted.

    Warns
    -----
    SkrouteWarning
        If `y` holds labels that are no class of the policies.

    Notes
    -----
    The interval is that of one policy's error. Policies that are compared share their rows, so that two intervals may
    overlap although the difference is certain; `moves` counts the rows that make the difference.

    Examples
    --------
    >>> from skroute import RoutePolicy
    >>> from skroute.metrics import compare_policies
    >>> proba = [[0.97, 0.02, 0.01], [0.83, 0.11, 0.06], [0.04, 0.94, 0.02], [0.02, 0.82, 0.16]]
    >>> old = RoutePolicy(max_entropy=None).fit(proba, classes=["unlock", "vpn", "security"])
    >>> new = RoutePolicy(max_entropy=None, watch={"security": 0.15}).fit(proba, classes=old.classes_)
    >>> comparison = compare_policies({"old": old, "new": new}, proba, ["unlock", "unlock", "vpn", "security"])
    >>> comparison
    PolicyComparison(4 rows; auto-routed: old 100.0%, new 75.0%)
    >>> comparison.wrong.tolist()
    [1.0, 0.0]
    >>> comparison.moves("new").to_records()[0]["after"]
    'watch'
    """
    classes = _common_classes(policies)
    values, truth, groups, weight, index = _read(proba, y, by, sample_weight, classes)
    if costs is not None and truth is None:
        raise ValueError("costs needs true labels: pass y.")
    tables = {
        name: policy.explain(values[:, label_positions(policy.classes_.tolist(), classes, "classes")])
        for name, policy in policies.items()
    }
    rows = _rows(tables, values, truth, weight, classes, index)
    if rows.truth is not None:
        known = rows.truth < len(classes)
        doubt_columns(values[known], rows.truth[known], None if weight is None else weight[known], classes)
    if rows.truth is not None and len(rows.classes) > len(classes):
        counts = np.bincount(rows.truth)[len(classes) :].tolist()
        unknown = dict(zip(rows.classes[len(classes) :].tolist(), counts, strict=True))
        _warn_of_labels(unknown, classes.tolist())
    parts = _parts(groups, len(values))
    reports = {} if truth is None else _reports(tables, truth, weight, parts, rows.classes)
    cost = None if costs is None or truth is None else _costs(tables, truth, weight, parts, costs)
    figures: dict[str, Any] = {name: None if truth is None else _first(reports, name) for name in ("wrong", *ERRORS)}
    return PolicyComparison(
        group=None if groups is None else object_array([group for group in parts for _ in tables]),
        policy=object_array([name for _ in parts for name in tables]),
        **_shares(rows, list(parts.values())),
        **figures,
        cost=cost,
        _names=list(tables),
        _parts=parts,
        _rows=rows,
        _reports=reports,
    )


def _common_classes(policies: Any) -> NDArray[Any]:
    """Return the classes of the first policy; refuse what is no fitted policy, or one for other classes."""
    if not isinstance(policies, Mapping) or not policies or not all(isinstance(name, str) for name in policies):
        raise ValueError(f"policies must be a dict of name to fitted policy, got {shown(policies)}.")
    classes: Any = None
    for name, policy in policies.items():
        if not hasattr(policy, "explain"):
            hint = "; pass its policy_" if hasattr(policy, "explain_route") else ""
            raise ValueError(f"policies[{name!r}] must be a policy with explain(), got {type(policy).__name__}{hint}.")
        if not hasattr(policy, "classes_"):
            raise NotFittedError(f"policies[{name!r}] is not fitted: call its fit, with the classes that it knows.")
        classes = policy.classes_ if classes is None else classes
        known, expected = (set(map(str, labels.tolist())) for labels in (policy.classes_, classes))
        if known != expected:
            raise ValueError(
                f"policies must know the same classes: {name!r} and {next(iter(policies))!r} differ in "
                f"{listed(sorted(known ^ expected))}."
            )
    return np.asarray(classes)


def _read(
    proba: Any, y: Any, by: Any, sample_weight: Any, classes: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any] | None, NDArray[Any] | None, NDArray[np.float64] | None, NDArray[np.intp]]:
    """Return probabilities, labels, groups and weights of the rows that have a weight, and which rows these are."""
    values, _ = check_proba(proba, classes=classes)
    truth = None if y is None else read_truth(y)
    groups = None if by is None else column(by, "by")
    weight = check_sample_weight(sample_weight, len(values))
    for name, given in (("y", truth), ("by", groups)):
        if given is not None and len(given) != len(values):
            raise ValueError(f"{name} must have one value a row: {len(values)} rows, got {len(given)}.")
    index = np.arange(len(values))
    if weight is not None:
        kept = weight > 0.0
        index = index[kept]
        values, weight = values[kept], weight[kept]
        truth, groups = (None if part is None else part[kept] for part in (truth, groups))
    if not len(values):
        raise ValueError("proba must have at least one row, with a positive weight where there are weights.")
    return values, truth, groups, weight, index


def _warn_of_labels(rows: Mapping[Any, int], known: Sequence[Any]) -> None:
    """Warn once of labels that are no class, given the rows of each, the most frequent first."""
    by_text = {str(label): label for label in known}
    texts = []
    for label in sorted(rows, key=lambda label: -rows[label]):
        close = closest(label, by_text)
        hint = f"; did you mean {by_text[close]!r}?" if close is not None else ""
        texts.append(f"{label!r} ({counted(rows[label], 'row')}{hint})")
    warn_caller(
        f"y holds labels that are no class of the policies: {listed(texts, SHOWN_LABELS)}. Their rows are wrong "
        "wherever they are auto-routed.",
        SkrouteWarning,
    )


def _rows(
    tables: Mapping[str, RouteTable],
    values: NDArray[Any],
    truth: NDArray[Any] | None,
    weight: NDArray[np.float64] | None,
    classes: NDArray[Any],
    index: NDArray[np.intp],
) -> ComparedRows:
    if truth is not None and (unknown := unknown_labels(truth, classes)):
        classes = object_array([*classes.tolist(), *unknown])
    return ComparedRows(
        classes=classes,
        truth=None if truth is None else encode_labels(truth, classes),
        top=np.argmax(values, axis=1),
        route=np.array([encode_labels(table.route, np.array(ROUTES), "route") for table in tables.values()]),
        label=np.array([encode_labels(table.label, classes, "label") for table in tables.values()]),
        weight=np.ones(len(values)) if weight is None else weight,
        index=index,
    )


def _parts(groups: NDArray[Any] | None, n_rows: int) -> dict[Any, NDArray[np.intp]]:
    """Return the rows of all groups together, as None, and of each group."""
    parts = {None: np.arange(n_rows)}
    if groups is None:
        return parts
    if groups.dtype.kind == "M":
        # Whole days are named as days; NumPy turns finer than microseconds into whole numbers.
        days = groups.astype("M8[D]")
        groups = days if np.all(np.isnat(groups) | (days == groups)) else groups.astype("M8[us]")
    names = distinct_labels(groups, "by")
    codes = np.searchsorted(names, groups)
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))[:-1]
    return parts | dict(zip(names.tolist(), np.split(order, ends), strict=True))


def _shares(rows: ComparedRows, parts: list[NDArray[np.intp]]) -> dict[str, NDArray[np.float64]]:
    """Return weight, share of each route, and share of moved rows, of every part and policy."""
    moved = [rows.moved(policy) for policy in range(len(rows.route))]
    lines = []
    for part in parts:
        weight = rows.weight[part]
        for policy, route in enumerate(rows.route):
            sums = np.bincount(route[part], weight, len(ROUTES)) / weight.sum()
            lines.append([weight.sum(), *sums, weight[moved[policy][part]].sum() / weight.sum()])
    return dict(zip(("total", *ROUTES, "moved"), np.array(lines).T, strict=True))


def _reports(
    tables: Mapping[str, RouteTable],
    truth: NDArray[Any],
    weight: NDArray[np.float64] | None,
    parts: Mapping[Any, NDArray[np.intp]],
    classes: NDArray[Any],
) -> dict[tuple[Any, str], RoutingReport]:
    # Decided for all rows: one group's weights may be whole numbers by chance.
    kind = "frequency" if counts_rows("auto", weight, "compare_policies") else "importance"
    reports = {}
    for group, part in parts.items():
        some = None if weight is None else weight[part]
        for name, table in tables.items():
            reports[group, name] = routing_report(
                truth[part], table[part], classes=classes, sample_weight=some, weights=kind
            )
    return reports


def _costs(
    tables: Mapping[str, RouteTable],
    truth: NDArray[Any],
    weight: NDArray[np.float64] | None,
    parts: Mapping[Any, NDArray[np.intp]],
    costs: Any,
) -> NDArray[np.float64]:
    values = [
        routing_cost(truth[part], table[part], costs=costs, sample_weight=None if weight is None else weight[part])
        for part in parts.values()
        for table in tables.values()
    ]
    return np.array(values)


def _first(reports: Mapping[Any, RoutingReport], name: str) -> NDArray[np.float64]:
    return np.array([getattr(report, name)[0] for report in reports.values()])
