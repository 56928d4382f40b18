"""The route of a single row, by plain Python: for one row NumPy's calls cost many times what they compute."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from skroute._rows import SUM_TOLERANCE
from skroute.routing._gates import AUTO, CLARIFY, ESCALATE, SLACK, WATCH, Gates

__all__ = ["MOST_CLASSES", "route_of_row"]

# From more classes on, NumPy is quicker.
MOST_CLASSES = 64
# Entropies are sums of at most `MOST_CLASSES` terms below 0.4, over a logarithm of at least 0.69: whatever the order of
# the sum, it is known better than this.
NOISE = 1e-10


def route_of_row(gates: Gates, row: NDArray[np.floating]) -> int | None:
    """Return the code of the route that `gates.decide` chooses; None where that must be asked.

    It must be where the row is not plainly one of probabilities, and where an entropy is too close to its level for the
    order of a sum not to matter.

    Parameters
    ----------
    gates : Gates
    row : ndarray of shape (n_classes,)
        float32 or float64.

    Returns
    -------
    code : int or None
    """
    # float32 is widened without change of value.
    values: Sequence[float] = row.tolist()
    total = sum(values)
    confidence, least = max(values), min(values)
    # NaN makes the sum NaN, for which no comparison holds.
    if not (least >= 0.0 and confidence <= 1.0 and abs(total - 1.0) < SUM_TOLERANCE):
        return None
    top = values.index(confidence)
    passed: bool = confidence >= gates.thresholds[top]
    if passed and gates.margin is not None:
        second = max(max(values[:top], default=0.0), max(values[top + 1 :], default=0.0))
        passed = confidence - second >= gates.margin - SLACK
    fired = [c for c, level in enumerate(gates.watch.tolist()) if values[c] >= level]
    if gates.watch_order == "flag":
        fired = []
    elif gates.watch_order == "top":
        fired = [top] if top in fired else []
    elif gates.watch_order == "before" and any(c != top for c in fired):
        passed = False
    # Only where its gates are reached does the entropy matter.
    escalates = False
    wanted = [gates.max_entropy if passed else None, None if fired else gates.escalate_entropy]
    if wanted != [None, None]:
        entropy = (math.log(total) - sum(p * math.log(p) for p in values if p > 0.0) / total) / math.log(len(values))
        if any(level is not None and abs(entropy - level) < NOISE for level in wanted):
            return None
        passed = passed and (gates.max_entropy is None or entropy < gates.max_entropy)
        escalates = gates.escalate_entropy is not None and entropy > gates.escalate_entropy
    if passed:
        return AUTO
    if fired:
        return WATCH
    return ESCALATE if escalates else CLARIFY
