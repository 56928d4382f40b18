"""The gates and the order of the routes: the plain definition that every faster path must equal."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skroute.routing._signals import Signals, measure

__all__ = ["AUTO", "CLARIFY", "ESCALATE", "ROUTES", "WATCH", "WATCH_ORDERS", "Decision", "Gates"]

ROUTES = ("auto", "watch", "escalate", "clarify")
AUTO, WATCH, ESCALATE, CLARIFY = range(4)

WATCH_ORDERS = ("before", "after", "flag", "top")

# Margin and entropy are computed, so their last digits are rounding noise: a row that sits on a gate must not fall to
# either side of it by the order of a sum. Confidence is compared as given, without slack.
SLACK = 1e-12


@dataclass(frozen=True)
class Decision:
    """What the gates said of n rows; every field is an array of shape (n_samples,)."""

    route: NDArray[np.intp]
    signals: Signals
    threshold: NDArray[np.float64]
    """Threshold of the row's top class."""
    watch: NDArray[np.intp]
    """Index of the fired watch class with the largest excess over its level; -1 where none fired."""
    passed_threshold: NDArray[np.bool_]
    passed_margin: NDArray[np.bool_]
    passed_entropy: NDArray[np.bool_]


@dataclass(frozen=True)
class Gates:
    """The numbers of a policy, in the order of the classes; a gate that is switched off can not fail."""

    thresholds: NDArray[np.float64]
    """Shape (n_classes,); +inf: never auto-route."""
    watch: NDArray[np.float64]
    """Shape (n_classes,); +inf: not watched."""
    margin: float | None
    max_entropy: float | None
    escalate_entropy: float | None
    watch_order: str

    def decide(self, proba: NDArray[np.floating]) -> Decision:
        """Measure every row, try it against the gates, and choose its route."""
        signals = measure(proba)
        threshold = self.thresholds[signals.top]
        everything = np.ones(len(proba), dtype=bool)
        passed_threshold = signals.confidence >= threshold
        passed_margin = everything if self.margin is None else signals.margin >= self.margin - SLACK
        passed_entropy = everything if self.max_entropy is None else signals.entropy <= self.max_entropy + SLACK
        escalates = ~everything if self.escalate_entropy is None else signals.entropy >= self.escalate_entropy - SLACK
        watch, fired_top, fired_elsewhere = self._watches(proba, signals.top)
        passed = passed_threshold & passed_margin & passed_entropy
        fired = fired_top | fired_elsewhere
        # A row takes the first route that holds; what holds nowhere is a question for the sender.
        if self.watch_order == "before":
            order = [(passed & ~fired_elsewhere, AUTO), (fired, WATCH), (escalates, ESCALATE)]
        elif self.watch_order == "after":
            order = [(passed, AUTO), (fired, WATCH), (escalates, ESCALATE)]
        elif self.watch_order == "flag":
            order = [(passed, AUTO), (escalates, ESCALATE)]
        else:
            order = [(passed, AUTO), (fired_top, WATCH), (escalates, ESCALATE)]
        holds, routes = zip(*order, strict=True)
        route = np.select(holds, routes, default=CLARIFY)
        return Decision(route, signals, threshold, watch, passed_threshold, passed_margin, passed_entropy)

    def _watches(
        self, proba: NDArray[np.floating], top: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], NDArray[np.bool_], NDArray[np.bool_]]:
        """Return the strongest fired watch, and whether one fired for the top class and for another class."""
        watched = np.flatnonzero(np.isfinite(self.watch))
        if not watched.size:
            nowhere = np.zeros(len(proba), dtype=bool)
            return np.full(len(proba), -1), nowhere, nowhere
        excess = proba[:, watched].astype(np.float64) - self.watch[watched]
        strongest = watched[np.argmax(excess, axis=1)]
        fired = excess >= 0.0
        on_top = watched == top[:, None]
        return (
            np.where(fired.any(axis=1), strongest, -1),
            (fired & on_top).any(axis=1),
            (fired & ~on_top).any(axis=1),
        )
