"""What each rule of `CostPolicy` makes of the rows that it is fitted on: all numbers, and the price of a review."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute.policies._actions import choose, least_confidence, review_price, row_costs
from skroute.policies._cost_fit import GATES_FOUND, OFF, Numbers, Rows, search_gates
from skroute.policies._costs import PERSONS
from skroute.routing._gates import Gates
from skroute.routing._policy_numbers import GATES
from skroute.routing._signals import measure

__all__ = ["FitRows", "find_actions", "find_gates"]


@dataclass(frozen=True)
class FitRows:
    """The rows that a policy is fitted on."""

    values: NDArray[np.floating]
    truth: NDArray[np.intp] | None
    """Positions of the true classes, where these say what a row costs."""
    weight: NDArray[np.float64]
    """Sums to one."""
    number: float
    """How many rows of equal weight tell as much."""
    matrix: NDArray[np.float64]
    labels: list[Any]

    def by_class(self, levels: Mapping[Any, float], rest: float) -> NDArray[np.float64]:
        """Return levels in the order of the classes."""
        return np.array([levels.get(label, rest) for label in self.labels])


def find_actions(rows: FitRows, given: dict[str, Any], max_review_rate: float | None) -> tuple[dict[str, Any], float]:
    """Return all numbers, and the price of a review, under the rule "bayes"."""
    price = 0.0
    if max_review_rate is not None:
        levels, watch = rows.by_class(given["thresholds"], 0.0), rows.by_class(given["watch"], np.inf)
        choice = choose(rows.values, rows.matrix, Gates(levels, watch, *(given[name] for name in GATES)))
        free = choice.eligible
        forced = float(rows.weight[~free].sum())
        _check_bound(forced, max_review_rate)
        gain = choice.cheapest.auto - choice.cheapest.review
        price = review_price(gain[free], rows.weight[free], float(max_review_rate) - forced, choice.slack)
    priced = rows.matrix + price * (np.arange(rows.matrix.shape[1]) >= len(rows.matrix))
    bounds = dict(zip(rows.labels, least_confidence(priced).tolist(), strict=True))
    return given | {"thresholds": bounds | given["thresholds"]}, price


def find_gates(
    rows: FitRows, given: dict[str, Any], free: frozenset[str], max_review_rate: float | None
) -> tuple[dict[str, Any], float]:
    """Return all numbers, and the price of a review, under the rule "thresholds"; the gates in `free` are found."""
    signals = measure(rows.values)
    actions = [signals.top, *(np.full(len(rows.values), len(rows.labels) + i) for i in range(len(PERSONS)))]
    auto, *reviews = (rows.weight * row_costs(rows.values, rows.truth, rows.matrix, action) for action in actions)
    numbers = Numbers(
        thresholds=rows.by_class(given["thresholds"], np.nan),
        watch=rows.by_class(given["watch"], np.nan),
        **{name: OFF[name] if given[name] is None else given[name] for name in GATES_FOUND},
    )
    weighed = Rows(signals, rows.values, auto, np.array(reviews), rows.weight, rows.number)
    found, price, share = search_gates(weighed, numbers, free, given["watch_order"], max_review_rate)
    if max_review_rate is not None:
        _check_bound(share, max_review_rate)
    watch = {label: level for label, level in zip(rows.labels, found.watch.tolist(), strict=True) if level < np.inf}
    levels = {name: None if found.is_off(name, -1) else getattr(found, name) for name in free}
    thresholds = dict(zip(rows.labels, found.thresholds.tolist(), strict=True))
    return given | {"thresholds": thresholds, "watch": watch | given["watch"]} | levels, price


def _check_bound(share: float, max_review_rate: float) -> None:
    """Refuse a bound that the numbers given rule out, because they send this share of the rows to people."""
    if share - float(max_review_rate) > 1e-9:
        raise ValueError(
            f"max_review_rate={max_review_rate!r} cannot be met: the thresholds, gates and watches that are given send "
            f"a share of {share:.4g} of the rows to people. Loosen them, or raise the bound."
        )
