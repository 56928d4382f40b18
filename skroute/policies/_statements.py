"""From the rows of a class to one statement on it, as a dict with the names of `Certificates`."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute.policies._certify import certify_class
from skroute.policies._recall import watch_level
from skroute.routing._gates import AUTO, Gates

__all__ = ["GatedRows", "state_error", "state_nothing", "state_recall"]


class GatedRows:
    """Rows by their top class, and whether everything but the threshold lets them pass."""

    def __init__(self, gates: Gates, values: NDArray[np.floating], weight: NDArray[np.float64] | None = None) -> None:
        decision = gates.decide(values)
        top, self.confidence = decision.signals.top, decision.signals.confidence
        n_classes = values.shape[1]
        self.on_top = np.bincount(top, weight, n_classes)
        # Of all rows: the heavy ones that would be wrong in a class need not be among the few that were drawn of it.
        varied = weight is not None and len(weight) > 0 and weight.min() < weight.max()
        self.largest_weight = float(weight.max()) if weight is not None and varied else None
        passed = np.flatnonzero(decision.route == AUTO)
        # Sorted once for all classes; small integers by radix, in linear time.
        kind = np.uint8 if n_classes <= 2**8 else np.uint16 if n_classes <= 2**16 else np.intp
        narrow: NDArray[Any] = top[passed].astype(kind)
        order = np.argsort(narrow, kind="stable")
        self._rows = np.split(passed[order], np.cumsum(np.bincount(narrow, minlength=n_classes))[:-1])

    def of(self, place: int) -> NDArray[np.intp]:
        """Return the rows that pass with this top class."""
        return self._rows[place]


def state_error(
    label: Any,
    place: int,
    max_error: float,
    rows: GatedRows,
    codes: NDArray[np.intp] | None,
    weight: NDArray[np.float64] | None,
    weights: str,
    risk: float,
    reference: NDArray[np.float64] | None,
) -> dict[str, Any]:
    """Return the statement on the error of one class, and the threshold that it holds at."""
    part = rows.of(place)
    wrong = np.asarray(codes)[part] != place
    found = certify_class(
        rows.confidence[part], wrong, max_error=max_error, risk=risk, reference=reference,
        weight=None if weight is None else weight[part], weights=weights, largest_weight=rows.largest_weight,
    )  # fmt: skip
    above = part[rows.confidence[part] >= found.threshold]
    # By weight, as the rows on top: importances are no counts of rows.
    mass = float(len(above) if weight is None else weight[above].sum())
    on_top = float(rows.on_top[place])
    routed, errors = found.routed, found.errors
    if found.status == "too_few_rows":
        # What was seen in all of them, which is too little to test.
        routed, errors = len(part), int(wrong.sum())
    return {
        "label": label, "kind": "error", "target": max_error, "risk": risk, "status": found.status,
        "guarantee": _guarantee(found.status, reference is not None and len(reference) > 0),
        "threshold": found.threshold, "rows": found.rows, "rows_needed": found.rows_needed, "routed": routed,
        "errors": errors, "p_value": found.p_value, "upper_bound": found.upper_bound,
        "coverage": mass / on_top if on_top else 0.0,
    }  # fmt: skip


def state_recall(
    label: Any,
    place: int,
    min_recall: float,
    values: NDArray[np.floating],
    codes: NDArray[np.intp] | None,
    weight: NDArray[np.float64] | None,
    weights: str,
    risk: float,
    is_exact: bool,
) -> dict[str, Any]:
    """Return the statement on the recall of one class, and the level of its watch."""
    own = np.asarray(codes) == place
    scores = values[:, place].astype(np.float64)
    own_weight = None if weight is None else weight[own]
    found = watch_level(scores[own], max_miss=1.0 - min_recall, risk=risk, weight=own_weight, weights=weights)
    w = np.ones(len(scores)) if weight is None else weight
    # Importances are no counts of rows.
    repeats = w if weights == "frequency" else np.ones(len(scores))
    missed = own & (scores < found.level)
    others = float(w[~own].sum())
    watched = float(w[~own & (scores >= found.level)].sum())
    return {
        "label": label, "kind": "recall", "target": min_recall, "risk": risk, "status": found.status,
        "guarantee": _guarantee(found.status, is_exact), "threshold": found.level, "rows": found.rows,
        "rows_needed": found.rows_needed, "routed": float(repeats[own].sum()), "errors": float(repeats[missed].sum()),
        "p_value": math.nan, "upper_bound": math.nan, "coverage": watched / others if others else 0.0,
    }  # fmt: skip


def state_nothing(label: Any, status: str, threshold: float, kind: str = "error") -> dict[str, Any]:
    """Return the statement that nothing is promised of a class, and why."""
    names = ("target", "risk", "rows", "rows_needed", "routed", "errors", "p_value", "upper_bound", "coverage")
    unknown = dict.fromkeys(names, math.nan)
    return {"label": label, "kind": kind, "status": status, "guarantee": "none", "threshold": threshold} | unknown


def _guarantee(status: str, is_exact: bool) -> str:
    return ("exact" if is_exact else "approximate") if status == "certified" else "none"
