"""The route of a single row, by plain Python: for a few values NumPy's calls cost many times what they compute."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from skroute._rows import SUM_TOLERANCE
from skroute.routing._cut_points import entropy_cuts
from skroute.routing._gates import AUTO, CLARIFY, ESCALATE, SLACK, WATCH
from skroute.routing._policy_numbers import PolicyNumbers

__all__ = ["codes_of_rows", "is_quicker_by_row", "route_of_row"]

# For one row of more classes NumPy is quicker; and for more rows, each of which costs as much as so many classes, if
# there are more classes in all.
MOST_CLASSES, CLASSES_A_ROW, MOST_VALUES = 1024, 32, 400
# Entropies are sums of at most `MOST_CLASSES` terms below 0.4, over a logarithm of at least 0.69: whatever the order of
# the sum, it is known better than this.
NOISE = 1e-10


def is_quicker_by_row(n_rows: int, n_classes: int) -> bool:
    """Return whether rows are so few that one after the other is quicker."""
    if n_rows == 1:
        return n_classes <= MOST_CLASSES
    return n_rows > 0 and n_rows * (n_classes + CLASSES_A_ROW) <= MOST_VALUES


def codes_of_rows(policy: PolicyNumbers, rows: Iterable[Sequence[float]]) -> list[int] | None:
    """Return the codes of the routes of all rows; None where `Gates.decide` must be asked for one."""
    codes = []
    for row in rows:
        code = route_of_row(policy, row)
        if code is None:
            return None
        codes.append(code)
    return codes


def route_of_row(policy: PolicyNumbers, row: Sequence[float]) -> int | None:
    """Return the code of the route that `Gates.decide` chooses; None where that must be asked.

    It must be where the row is not plainly one of probabilities, and where an entropy is too close to its level for the
    order of a sum not to matter.

    Parameters
    ----------
    policy : fitted policy
        Its numbers are read class by class, since arrays of them would take longer to make than all the rest.
    row : sequence of float, of length n_classes

    Returns
    -------
    code : int or None
    """
    total = sum(row)
    confidence, least = max(row), min(row)
    # NaN makes the sum NaN, for which no comparison holds.
    if not (least >= 0.0 and confidence <= 1.0 and abs(total - 1.0) < SUM_TOLERANCE):
        return None
    top = row.index(confidence)
    labels = policy.classes_.tolist()
    # Numbers that were put in place of those of the fit may be of any type; in float32 a comparison would be another.
    passed: bool = confidence >= float(policy.thresholds_[labels[top]])
    if passed and policy.margin_ is not None:
        passed = confidence - sorted(row)[-2] >= float(policy.margin_) - SLACK
    fired = _fired(policy, labels, row, top) if policy.watch_ else []
    if policy.watch_order_ == "before" and fired and fired != [top]:
        passed = False
    if passed and policy.max_entropy_ is not None:
        over = _exceeds(row, total, confidence, float(policy.max_entropy_))
        if over is None:
            return None
        passed = not over
    if passed:
        return AUTO
    if fired:
        return WATCH
    if policy.escalate_entropy_ is None:
        return CLARIFY
    over = _exceeds(row, total, confidence, float(policy.escalate_entropy_))
    return None if over is None else ESCALATE if over else CLARIFY


def _fired(policy: PolicyNumbers, labels: list[Any], row: Sequence[float], top: int) -> list[int]:
    """Return the positions of the watches that fired and count."""
    if policy.watch_order_ == "flag":
        return []
    watched = [(labels.index(label), level) for label, level in policy.watch_.items() if label in labels]
    fired = [c for c, level in watched if row[c] >= float(level)]
    if policy.watch_order_ == "top":
        return [top] if top in fired else []
    return fired


def _exceeds(row: Sequence[float], total: float, confidence: float, level: float) -> bool | None:
    """Return whether the entropy is over a level; None where it is too close to it to tell."""
    if confidence >= entropy_cuts(level, len(row))[1]:
        return False
    log = math.log
    distance = (log(total) - sum([p * log(p) for p in row if p > 0.0]) / total) / log(len(row)) - level
    return None if abs(distance) < NOISE else distance > 0.0
