"""Which gates imply each other: a feasibility audit of a policy, in closed form.

Entropy is Schur-concave, so among all rows with top probability p it is largest when the rest is spread evenly and
smallest when the rest is packed into as few atoms as possible. Both extremes fall as p grows, so that every gate has a
confidence below which it always fails and one from which it always passes, found by one bracketed root each.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from scipy.optimize import bisect
from scipy.special import entr

from skroute._tabular import Sheet, Tabular

__all__ = ["GateAudit", "PolicyAudit", "audit_gates"]

NOTE = """\
margin, max_entropy: always fail where the confidence is below lower, always pass from upper on
escalate_entropy: always fires below lower, never above upper
watch: fires only where no other class has more than upper"""
# Roots are found to this accuracy; numbers closer than this to a bound count as on it.
ACCURACY = 1e-9


def most_entropy(top: float, n_classes: int) -> float:
    """Return the largest normalised entropy of a row with top probability `top`: the rest spread evenly."""
    rest = 1.0 - top
    return float(entr(top) + entr(rest) + rest * math.log(n_classes - 1)) / math.log(n_classes)


def least_entropy(top: float, n_classes: int, margin: float = 0.0) -> float:
    """Return the smallest normalised entropy of a row with top probability `top` and at least this margin.

    The rest is packed into atoms of the largest size that the margin leaves, ``top - margin``.
    """
    rest, atom = 1.0 - top, top - margin
    # One ulp under a top, or a margin, of 1 the atom is rounded to nothing, and with it the rest.
    if rest <= 0.0 or atom <= 0.0:
        return 0.0
    full = math.floor(rest / atom + ACCURACY)
    remainder = max(rest - full * atom, 0.0)
    return float(entr(top) + full * entr(atom) + entr(remainder)) / math.log(n_classes)


def _crossing(falling: Callable[[float], float], level: float, low: float) -> float:
    """Return the smallest p in [low, 1] from which the falling function is at most `level`."""
    if falling(low) <= level:
        return low
    if falling(1.0) >= level:
        return 1.0
    # Not by a faster method: where the function has a corner at the very level, those may never arrive.
    return float(bisect(lambda p: falling(p) - level, low, 1.0, xtol=1e-14))


# A search fits policies that differ in other numbers.
@lru_cache(maxsize=1024)
def entropy_needs(level: float, n_classes: int, margin: float = 0.0) -> float:
    """Return the least confidence of a row that meets the entropy gate (and the margin gate)."""
    low = margin_needs(margin, n_classes)
    return _crossing(lambda p: least_entropy(p, n_classes, margin), level, low)


@lru_cache(maxsize=1024)
def entropy_sure(level: float, n_classes: int) -> float:
    """Return the confidence from which every row meets the entropy gate."""
    return _crossing(lambda p: most_entropy(p, n_classes), level, 1.0 / n_classes)


def margin_needs(margin: float, n_classes: int) -> float:
    """Return the least confidence of a row that meets the margin gate: the rest spread evenly."""
    return (1.0 + margin * (n_classes - 1)) / n_classes


def margin_sure(margin: float) -> float:
    """Return the confidence from which every row meets the margin gate: all of the rest on the runner-up."""
    return (1.0 + margin) / 2.0


@dataclass(frozen=True)
class GateAudit:
    """What one number of a policy can do.

    Attributes
    ----------
    gate : str
        "threshold", "margin", "max_entropy", "escalate_entropy" or "watch".
    label : object
        The class that the number belongs to; None where it holds for all.
    value : float
        The number, or NaN where the gate is switched off.
    lower, upper : float
        Confidence below which, and from which on, the rest of the row no longer matters: a gate that must be passed
        always fails below `lower` and always passes from `upper`; "escalate_entropy" always fires below `lower` and
        never above `upper`. For a watch, `upper` is the largest confidence that another class can have when it fires.
    status : str
        "live"; "dead": with the other numbers as they are it can never change a route; "off": switched off, or a watch
        that is reported only; "never": the class is never auto-routed or watched.
    note : str
        Why, in a few words.
    """

    gate: str
    label: object
    value: float
    lower: float
    upper: float
    status: str
    note: str


@dataclass(frozen=True, repr=False)
class PolicyAudit(Tabular):
    """The audit of a whole policy: one entry for every number in it.

    Attributes
    ----------
    n_classes : int
        Number of classes that the audit holds for.
    gates : tuple of GateAudit
        One for each number; the thresholds first.
    """

    n_classes: int
    gates: tuple[GateAudit, ...]

    @property
    def dead(self) -> tuple[GateAudit, ...]:
        """The numbers that can never change a route."""
        return tuple(gate for gate in self.gates if gate.status == "dead")

    def of(self, gate: str, label: object = None) -> GateAudit:
        """Return the entry of one gate, and of one class where the gate has a number for each.

        Parameters
        ----------
        gate : str
            "threshold", "margin", "max_entropy", "escalate_entropy" or "watch".
        label : class, default=None
            The class of a threshold or watch.

        Returns
        -------
        entry : GateAudit

        Raises
        ------
        KeyError
            If the policy has no such number.
        """
        for entry in self.gates:
            if entry.gate == gate and str(entry.label) == str(label):
                return entry
        raise KeyError(f"No gate {gate!r} for class {label!r}; there are {[(g.gate, g.label) for g in self.gates]}.")

    def _columns(self) -> dict[str, list[object]]:
        names = ("gate", "label", "value", "lower", "upper", "status", "note")
        return {name: [getattr(gate, name) for gate in self.gates] for name in names}

    def __repr__(self) -> str:
        """Return one line: how many numbers there are and how many are dead."""
        dead = f"{len(self.dead)} can never change a route"
        return f"PolicyAudit({len(self.gates)} numbers for {self.n_classes} classes, {dead})"

    def _shown(self) -> Sheet:
        return Sheet(
            header=["gate", "class", "value", "lower", "upper", "status", "note"],
            rows=[_cells(gate) for gate in self.gates],
            words=("gate", "class", "status", "note"),
            caption=repr(self),
            note=NOTE,
        )


def _cells(gate: GateAudit) -> list[str]:
    # Of a threshold the bounds are the number itself, and a gate that is switched off has none.
    bounds = (math.nan, math.nan) if gate.gate == "threshold" or math.isnan(gate.value) else (gate.lower, gate.upper)
    value, lower, upper = ("-" if math.isnan(number) else f"{number:.4f}" for number in (gate.value, *bounds))
    label = "(all)" if gate.label is None else str(gate.label)
    return [gate.gate, label, "never" if gate.status == "never" else value, lower, upper, gate.status, gate.note]


def audit_gates(
    n_classes: int,
    thresholds: dict[object, float],
    watch: dict[object, float],
    margin: float | None,
    max_entropy: float | None,
    escalate_entropy: float | None,
    watch_order: str,
) -> PolicyAudit:
    """Audit the numbers of a policy; `thresholds` holds one for every class, or one for all under the key None."""
    audit = _Audit(n_classes, [t for t in thresholds.values() if t <= 1.0], margin, max_entropy)
    gates = [audit.threshold(label, value) for label, value in thresholds.items()]
    gates += [audit.margin_gate(), audit.entropy_gate()]
    gates += [audit.escalation(escalate_entropy, any(t > 1.0 for t in thresholds.values()))]
    gates += audit.watches(watch, thresholds, watch_order)
    return PolicyAudit(n_classes, tuple(gates))


class _Audit:
    """The bounds that the entries of one audit share."""

    def __init__(
        self, n_classes: int, thresholds: list[float], margin: float | None, max_entropy: float | None
    ) -> None:
        self.n_classes = n_classes
        self.thresholds = thresholds
        self.margin_off, self.entropy_off = margin is None, max_entropy is None
        self.margin = 0.0 if margin is None else margin
        self.max_entropy = 1.0 if max_entropy is None else max_entropy
        # Least confidence that the two gates leave, alone and together (the margin caps the atoms of the rest, so
        # that together they ask for more than the larger of the two).
        self.by_margin = margin_needs(self.margin, n_classes)
        self.by_entropy = entropy_needs(self.max_entropy, n_classes)
        self.by_both = entropy_needs(self.max_entropy, n_classes, self.margin)

    def threshold(self, label: object, value: float) -> GateAudit:
        """Audit a threshold: dead where the other gates already ask for as much confidence."""
        if value > 1.0:
            return GateAudit("threshold", label, value, value, value, "never", "never auto-routed")
        dead = value <= self.by_both + ACCURACY
        note = self._what_needs() if dead else ""
        return GateAudit("threshold", label, value, value, value, "dead" if dead else "live", note)

    def _what_needs(self) -> str:
        if self.margin <= 0.0 and self.max_entropy >= 1.0:
            return f"no top probability is less than {1.0 / self.n_classes:.4f}"
        if self.margin <= 0.0:
            return f"entropy already needs {self.by_both:.4f}"
        if self.max_entropy >= 1.0:
            return f"margin already needs {self.by_both:.4f}"
        return f"margin and entropy already need {self.by_both:.4f}"

    def margin_gate(self) -> GateAudit:
        """Audit the margin: dead where every threshold, or the entropy, leaves the runner-up too little."""
        if self.margin_off:
            return GateAudit("margin", None, math.nan, 1.0 / self.n_classes, 1.0 / self.n_classes, "off", "")
        sure = margin_sure(self.margin)
        least = min(self.thresholds, default=1.0)
        dead = self.margin <= 0.0 or max(least, self.by_entropy) >= sure - ACCURACY
        note = self._why_dead(max(least, self.by_entropy)) if dead else ""
        return GateAudit("margin", None, self.margin, self.by_margin, sure, "dead" if dead else "live", note)

    def _why_dead(self, least: float) -> str:
        return f"every auto row has confidence {least:.4f} or more" if self.thresholds else "nothing is auto-routed"

    def entropy_gate(self) -> GateAudit:
        """Audit the entropy gate: dead where every threshold, or the margin, leaves the rest too little."""
        if self.entropy_off:
            return GateAudit("max_entropy", None, math.nan, 1.0 / self.n_classes, 1.0 / self.n_classes, "off", "")
        sure = entropy_sure(self.max_entropy, self.n_classes)
        least = max(min(self.thresholds, default=1.0), self.by_margin)
        dead = least >= sure - ACCURACY
        note = self._why_dead(least) if dead else ""
        status = "dead" if dead else "live"
        return GateAudit("max_entropy", None, self.max_entropy, self.by_entropy, sure, status, note)

    def escalation(self, level: float | None, some_never: bool) -> GateAudit:
        """Audit escalation: dead where every row is auto-routed."""
        if level is None:
            return GateAudit("escalate_entropy", None, math.nan, 0.0, 0.0, "off", "nothing escalates")
        lower = entropy_needs(level, self.n_classes)
        upper = entropy_sure(level, self.n_classes)
        asks = some_never and level > 0.0
        # The least entropy of a row that fails each gate: just below the threshold, or the margin, or above h.
        for threshold in self.thresholds:
            asks |= threshold > 1.0 / self.n_classes and least_entropy(threshold, self.n_classes) < level
        asks |= self.margin > 0.0 and least_entropy(margin_sure(self.margin), self.n_classes) < level
        asks |= self.max_entropy < level
        if self._passes_all(some_never):
            return GateAudit("escalate_entropy", None, level, lower, upper, "dead", "every row is auto-routed")
        note = "" if asks else "every row that is not auto-routed escalates; none is left to clarify"
        return GateAudit("escalate_entropy", None, level, lower, upper, "live", note)

    def _passes_all(self, some_never: bool) -> bool:
        open_gates = self.margin <= 0.0 and self.max_entropy >= 1.0 and not some_never
        return open_gates and max(self.thresholds, default=0.0) <= 1.0 / self.n_classes + ACCURACY

    def watches(self, watch: dict[object, float], thresholds: dict[object, float], order: str) -> list[GateAudit]:
        """Audit every watch."""
        by_text = {str(label): t for label, t in thresholds.items() if label is not None}
        # Of two classes one is another class than the watched one; None, for the classes not named, is always another.
        lowest: list[tuple[float, str | None]] = [*sorted((t, text) for text, t in by_text.items())[:2]]
        rest = thresholds.get(None)
        lowest += [] if rest is None else [(rest, None)]
        own = {label: by_text.get(str(label), 1.0 if rest is None else rest) for label in watch}
        return [self.watch(label, level, own[label], lowest, order) for label, level in watch.items()]

    def watch(
        self,
        label: object,
        level: float,
        own: float,
        lowest: list[tuple[float, str | None]],
        watch_order: str,
    ) -> GateAudit:
        """Audit a watch: dead where it fires on auto rows of its class only.

        It holds back a row only if it goes first, and if what it leaves to the class on top still passes the gates.
        """
        if level > 1.0:
            return GateAudit("watch", label, level, math.nan, math.nan, "never", "never watched")
        rest = 1.0 - level
        if watch_order == "flag":
            return GateAudit("watch", label, level, math.nan, rest, "off", "reported only")
        sure = max(own, margin_sure(self.margin), entropy_sure(self.max_entropy, self.n_classes))
        if level > 0.5 and level >= sure - ACCURACY:
            return GateAudit("watch", label, level, math.nan, rest, "dead", "every row that fires it is auto-routed")
        others = [threshold for threshold, other in lowest if other != str(label)]
        # The most certain such row holds nothing but the watched class and the one on top.
        passes = (
            rest >= min(others, default=1.0) - ACCURACY
            and rest - level >= self.margin - ACCURACY
            and float(entr(rest) + entr(level)) / math.log(self.n_classes) <= self.max_entropy + ACCURACY
        )
        holds_none = watch_order == "before" and not passes
        note = "cannot hold back an auto row: the gates already do" if holds_none else ""
        return GateAudit("watch", label, level, math.nan, rest, "live", note)
