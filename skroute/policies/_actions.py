"""What the actions cost for each row, which of them is the cheapest, and where the gates leave it the choice."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute.policies._costs import PERSONS
from skroute.policies._sweep import ROUNDING
from skroute.routing._gates import AUTO, ESCALATE, SLACK, WATCH, Decision, Gates
from skroute.routing._route_table import RouteTable, route_table

__all__ = [
    "Cheapest",
    "Choice",
    "action_costs",
    "cheapest_actions",
    "choice_table",
    "choose",
    "least_confidence",
    "review_price",
    "row_costs",
    "tie_slack",
]

# Cells of work space a block.
BLOCK_CELLS = 1 << 19


@dataclass(frozen=True)
class Cheapest:
    """The cheapest class and the cheapest person of n rows; every field is an array of shape (n_samples,)."""

    label: NDArray[np.intp]
    """Index of the class that is cheapest to route to; the top class where that costs as little."""
    auto: NDArray[np.float64]
    """Expected cost of routing to it."""
    person: NDArray[np.intp]
    """Index in `PERSONS` of the cheapest of these; the last one that costs as little."""
    review: NDArray[np.float64]
    """Its expected cost."""


def tie_slack(matrix: NDArray[np.float64]) -> float:
    """Return the difference of expected costs that may be rounding, so that no route depends on the order of a sum."""
    return 1e-12 * (float(np.abs(matrix).max()) or 1.0)


def cheapest_actions(proba: NDArray[np.floating], matrix: NDArray[np.float64]) -> Cheapest:
    """Find the actions of least expected cost for every renormalised row."""
    n_samples, n_classes = proba.shape
    label, person = np.empty((2, n_samples), dtype=np.intp)
    auto, review = np.empty((2, n_samples))
    slack = tie_slack(matrix)
    step = max(1, BLOCK_CELLS // n_classes)
    for start in range(0, n_samples, step):
        rows = slice(start, start + step)
        block = proba[rows].astype(np.float64)
        block /= block.sum(axis=1, keepdims=True)
        expected = block @ matrix
        each = np.arange(len(block))
        top, cheapest = block.argmax(axis=1), expected[:, :n_classes].argmin(axis=1)
        auto[rows] = expected[each, cheapest]
        label[rows] = np.where(expected[each, top] <= auto[rows] + slack, top, cheapest)
        persons = expected[:, n_classes:]
        review[rows] = persons.min(axis=1)
        # Of equal costs the last: what nothing speaks for is a question, and the gates have the same order.
        person[rows] = len(PERSONS) - 1 - (persons <= review[rows, None] + slack)[:, ::-1].argmax(axis=1)
    return Cheapest(label, auto, person, review)


def action_costs(
    proba: NDArray[np.floating], matrix: NDArray[np.float64], actions: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the expected cost of one action, an index of a column of `matrix`, for every renormalised row."""
    n_samples, n_classes = proba.shape
    costs = np.empty(n_samples)
    by_action = np.ascontiguousarray(matrix.T)
    step = max(1, BLOCK_CELLS // n_classes)
    for start in range(0, n_samples, step):
        rows = slice(start, start + step)
        block = proba[rows].astype(np.float64)
        costs[rows] = np.einsum("ij,ij->i", block, by_action[actions[rows]]) / block.sum(axis=1)
    return costs


def row_costs(
    values: NDArray[np.floating],
    truth: NDArray[np.intp] | None,
    matrix: NDArray[np.float64],
    actions: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Return what an action costs for each row: for its label or, without one, in expectation."""
    return action_costs(values, matrix, actions) if truth is None else matrix[truth, actions]


def least_confidence(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each class a probability below which routing to it is never the cheapest action.

    Against any one other action the most favourable row with probability p of the class has the rest on the class
    where routing loses least; this bound holds for each action alone, and the largest of them is returned.
    """
    bounds = np.zeros(len(matrix))
    for c in range(len(matrix)):
        loss = matrix[:, [c]] - np.delete(matrix, c, axis=1)
        own, rest = loss[c], np.delete(loss, c, axis=0).min(axis=0)
        some = rest > 0.0
        never = some & (own > 0.0)
        bounds[c] = np.max(rest[some] / (rest - np.minimum(own, 0.0))[some], initial=0.0)
        bounds[c] = np.inf if never.any() else bounds[c]
    return bounds


def review_price(gain: NDArray[np.float64], weight: NDArray[np.float64], most: float, slack: float) -> float:
    """Return the least price on reviews at which the rows that are worth one weigh at most `most`.

    Parameters
    ----------
    gain : ndarray of shape (n_samples,)
        What a review saves. A row is worth one where that is not less than the price, give or take `slack`.
    weight : ndarray of shape (n_samples,)
        Weights of the rows.
    most : float
        The weight that may be reviewed.
    slack : float
        Differences of gains that are rounding.

    Returns
    -------
    price : float
        0 where the bound does not bind; else between the gains of the last row that is reviewed and the first that is
        not.
    """
    order = np.argsort(-gain)
    falling, reviewed = gain[order], np.cumsum(weight[order])
    worth = int(np.count_nonzero(falling >= -slack))
    rounding = ROUNDING * float(reviewed[-1]) if len(reviewed) else 0.0
    if not worth or reviewed[worth - 1] <= most + rounding:
        return 0.0
    last = np.flatnonzero(np.append(falling[1:] < falling[:-1] - 4 * slack, True))
    kept = last[reviewed[last] <= most + rounding]
    if not kept.size:
        return max(float(falling[0]), 0.0) * (1.0 + 1e-9) + 4 * slack
    return max((float(falling[kept[-1]]) + float(falling[kept[-1] + 1])) / 2, 2 * slack)


@dataclass(frozen=True)
class Choice:
    """What the rule "bayes" weighs for each row."""

    cheapest: Cheapest
    gated: Decision
    """What the gates and watches that were given say."""
    eligible: NDArray[np.bool_]
    """Shape (n_samples,): whether the row may be auto-routed to its cheapest class."""
    slack: float

    def route(self, price: float) -> NDArray[np.intp]:
        """Return the routes, at this price of a review."""
        cheaper = self.cheapest.auto < self.cheapest.review + price - self.slack
        forced = (self.gated.route == WATCH) | (self.gated.route == ESCALATE)
        person = np.where(forced, self.gated.route, WATCH + self.cheapest.person)
        return np.where(self.eligible & cheaper, AUTO, person)


def choose(values: NDArray[np.floating], matrix: NDArray[np.float64], gates: Gates) -> Choice:
    """Weigh the actions of every row: those of least expected cost, and what the given gates say."""
    # The class routed to need not be the top one, so that its threshold is looked at here and not by the gates.
    gated = replace(gates, thresholds=np.zeros(len(matrix))).decide(values)
    cheapest = cheapest_actions(values, matrix)
    share = values[np.arange(len(values)), cheapest.label].astype(np.float64)
    # The bounds that follow from the costs hold for renormalised rows.
    needed = gates.thresholds[cheapest.label] * np.minimum(values.sum(axis=1, dtype=np.float64), 1.0)
    return Choice(cheapest, gated, (gated.route == AUTO) & (share >= needed - SLACK), tie_slack(matrix))


def choice_table(
    values: NDArray[np.floating], matrix: NDArray[np.float64], gates: Gates, price: float, classes: NDArray[Any]
) -> RouteTable:
    """Choose the route of every row, at this price of a review, and say what led to it."""
    choice = choose(values, matrix, gates)
    route, top = choice.route(price), choice.gated.signals.top
    label = np.where(route == AUTO, choice.cheapest.label, top)
    threshold = gates.thresholds[label]
    # An auto row has passed, whatever rounding says of a row that stands on its threshold.
    passed = (route == AUTO) | (values[np.arange(len(values)), label] >= threshold)
    table = route_table(replace(choice.gated, route=route, threshold=threshold, passed_threshold=passed), classes)
    reason = np.where((table.reason == "watch") & (choice.gated.route != WATCH), "cost", table.reason)
    reason = np.where((route == AUTO) & (label != top), "cost", reason)
    held_back = (route != AUTO) & np.isposinf(gates.thresholds[choice.cheapest.label])
    return replace(table, label=classes[label], reason=np.where(held_back, "never", reason))
