"""The route of a single row, by plain Python: for one row NumPy's calls cost many times what they compute."""

import math
from collections.abc import Sequence

from skroute._rows import SUM_TOLERANCE
from skroute.routing._gates import AUTO, CLARIFY, ESCALATE, SLACK, WATCH
from skroute.routing._policy_numbers import PolicyNumbers

__all__ = ["MOST_CLASSES", "route_of_row"]

# From more classes on, NumPy is quicker.
MOST_CLASSES = 512
# Entropies are sums of at most `MOST_CLASSES` terms below 0.4, over a logarithm of at least 0.69: whatever the order of
# the sum, it is known better than this.
NOISE = 1e-10


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
    fired, order = [], policy.watch_order_
    if policy.watch_ and order != "flag":
        watched = [(labels.index(label), level) for label, level in policy.watch_.items() if label in labels]
        fired = [c for c, level in watched if row[c] >= float(level)]
        if order == "top":
            fired = [top] if top in fired else []
        elif order == "before" and fired and fired != [top]:
            passed = False
    # Only where its gates are reached does the entropy matter.
    escalates = False
    most, escalation = policy.max_entropy_, policy.escalate_entropy_
    wanted = [most if passed else None, None if fired else escalation]
    if wanted != [None, None]:
        entropy = (math.log(total) - sum([p * math.log(p) for p in row if p > 0.0]) / total) / math.log(len(row))
        if any(level is not None and abs(entropy - level) < NOISE for level in wanted):
            return None
        passed = passed and (most is None or entropy < most)
        escalates = escalation is not None and entropy > escalation
    if passed:
        return AUTO
    if fired:
        return WATCH
    return ESCALATE if escalates else CLARIFY
