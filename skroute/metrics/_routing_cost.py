"""What routes cost."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute._validation import (
    check_amount,
    check_sample_weight,
    encode_labels,
    label_positions,
    listed,
)
from skroute.metrics._truth import align_labels, read_routed
from skroute.routing import RouteTable

__all__ = ["routing_cost", "two_cost_mean"]

OWNER = "routing_cost"
ACTIONS = ("watch", "escalate", "clarify")


def routing_cost(
    y_true: Any,
    routes: RouteTable,
    *,
    costs: Mapping[Any, Mapping[Any, float]] | None = None,
    wrong_cost: float = 10.0,
    review_cost: float = 1.0,
    sample_weight: Any = None,
) -> float:
    """Compute the mean cost of a row under its route.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    routes : RouteTable
        What `explain_route` or `policy.explain` gave for the same rows.
    costs : dict of true class to dict of action to cost, default=None
        Actions are all classes (the row is auto-routed to it), "watch", "escalate" and "clarify"; none may be missing.
        None: the two costs below.
    wrong_cost : float, default=10.0
        Cost of a row auto-routed to a wrong class, at least 0; a right one costs nothing.
    review_cost : float, default=1.0
        Cost of a row that goes to a person, whatever the route; at least 0.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights, not negative.

    Returns
    -------
    cost : float
        Mean cost of a row; less is better.

    Raises
    ------
    ValueError
        If there is no row, lengths differ, a label is missing or not in the table, a cost is missing or not finite, no
        weight is positive, or none of several true labels is the label of a route.

    Examples
    --------
    >>> from skroute import RoutePolicy
    >>> from skroute.metrics import routing_cost
    >>> policy = RoutePolicy().fit([[0.5, 0.5]], classes=["unlock", "vpn"])
    >>> routes = policy.explain([[0.97, 0.03], [0.99, 0.01], [0.4, 0.6]])
    >>> routing_cost(["unlock", "vpn", "vpn"], routes)
    3.66...
    >>> costs = {
    ...     "unlock": {"unlock": 0, "vpn": 4, "watch": 2, "escalate": 2, "clarify": 1},
    ...     "vpn": {"unlock": 20, "vpn": 0, "watch": 2, "escalate": 2, "clarify": 1},
    ... }
    >>> routing_cost(["unlock", "vpn", "vpn"], routes, costs=costs)
    7.33...
    """
    truth = read_routed(y_true, routes)
    weight = check_sample_weight(sample_weight, len(truth))
    if weight is not None and not weight.any():
        raise ValueError("sample_weight must be positive in at least one row.")
    if costs is None:
        truth, labels = align_labels(truth, routes.label)
        return two_cost_mean(truth == labels, routes, wrong_cost, review_cost, weight)
    classes, table = _cost_table(costs)
    actions = encode_labels(routes.label, classes, "routes.label").copy()
    for i, action in enumerate(ACTIONS):
        actions[routes.route == action] = len(classes) + i
    return float(np.average(table[encode_labels(truth, classes, "y_true"), actions], weights=weight))


def two_cost_mean(
    right: NDArray[np.bool_],
    routes: RouteTable,
    wrong_cost: float,
    review_cost: float,
    weight: NDArray[np.float64] | None,
) -> float:
    """Return the mean cost of rows, given which labels are right: of a wrong auto row, and of a row that is held."""
    wrong_cost = check_amount(wrong_cost, "wrong_cost", OWNER)
    review_cost = check_amount(review_cost, "review_cost", OWNER)
    cost = np.where(routes.route == "auto", np.where(right, 0.0, wrong_cost), review_cost)
    return float(np.average(cost, weights=weight))


def _cost_table(costs: Any) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the classes and the costs as a matrix of shape (n_classes, n_classes + 3)."""
    if not isinstance(costs, Mapping):
        kind = type(costs).__name__
        got = f"a {kind}; pass skroute.policies.RoutingCosts(frame)" if hasattr(costs, "columns") else kind
        raise ValueError(
            f"The 'costs' parameter of {OWNER} must be a dict of true class to dict of action to cost, got {got}."
        )
    classes = np.array(list(costs))
    clash = [label for label in costs if label in ACTIONS]
    if clash:
        turned = len(clash) == len(ACTIONS)
        advice = "the table looks transposed, its keys must be the true classes" if turned else "rename these classes"
        raise ValueError(f"costs has classes named like actions: {listed(clash)}; {advice}.")
    for label, by_action in costs.items():
        if not isinstance(by_action, Mapping):
            # A row of a frame would fill the screen.
            got = f"a {type(by_action).__name__}" if hasattr(by_action, "shape") else repr(by_action)
            raise ValueError(f"costs[{label!r}] must be a dict of action to cost, got {got}.")
    names = np.array([*costs, *ACTIONS], dtype=object)
    table = np.full((len(classes), len(names)), np.nan)
    actions = dict.fromkeys(action for by_action in costs.values() for action in by_action)
    rowless = [action for action in actions if action not in ACTIONS and action not in costs]
    if rowless:
        raise ValueError(f"costs must hold a row for every class; {listed(rowless)} stands among the actions only.")
    for row, (label, by_action) in enumerate(costs.items()):
        numbers = [cost if _is_number(cost) else np.nan for cost in by_action.values()]
        table[row, label_positions(by_action, names, f"costs[{label!r}]")] = numbers
    missing = np.argwhere(~np.isfinite(table))
    if len(missing):
        row, action = missing[0]
        raise ValueError(f"costs[{list(costs)[row]!r}] must give a finite cost to the action {names[action]!r}.")
    return classes, table


def _is_number(cost: Any) -> bool:
    return isinstance(cost, Real) and not isinstance(cost, (bool, np.bool_))
