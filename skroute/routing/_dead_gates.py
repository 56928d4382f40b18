"""The warning that numbers which somebody chose for a policy can never change a route."""

from collections.abc import Container

from skroute._validation import listed
from skroute._warn_caller import warn_caller
from skroute.exceptions import DeadGateWarning
from skroute.routing._audit import GateAudit, PolicyAudit

__all__ = ["warn_of_dead_gates"]

# The numbers by which a gate lets every row pass.
OPEN = {"threshold": 0.0, "margin": 0.0, "max_entropy": 1.0}
# A warning names so many numbers of a kind, and so many classes.
MOST_NAMED = 3


def warn_of_dead_gates(audit: PolicyAudit, chosen: Container[str], named: Container[object]) -> None:
    """Warn, once, of the dead numbers among those that somebody chose.

    Parameters
    ----------
    audit : PolicyAudit
    chosen : set of str
        The gates whose number is not the default.
    named : container of labels
        The classes with a threshold of their own.
    """
    dead = [
        gate
        for gate in audit.dead
        # Who asks for nothing knows that it changes nothing.
        if OPEN.get(gate.gate) != gate.value
        and (gate.gate in chosen or gate.gate == "watch" or (gate.gate == "threshold" and gate.label in named))
    ]
    if not dead:
        return
    groups: dict[tuple[str, str], list[GateAudit]] = {}
    for gate in dead:
        groups.setdefault((gate.gate, gate.note), []).append(gate)
    reasons = "; ".join(reason for gates in groups.values() for reason in _reasons(gates))
    warn_caller(
        f"With {audit.n_classes} classes these numbers, each with the others as they are, can never change a route "
        f"({reasons}). Change them or the gates named, or leave them out; audit() has the bounds of every gate.",
        DeadGateWarning,
    )


def _reasons(gates: list[GateAudit]) -> list[str]:
    """Return why numbers of one kind are dead: each by itself, or if they are many all of them together."""
    owners: dict[str, list[str]] = {}
    for gate in gates:
        entry = owners.setdefault(f"{gate.value:g}", [])
        entry += [] if gate.label is None else [repr(gate.label)]
    if len(owners) > MOST_NAMED:
        span = f"{min(gate.value for gate in gates):g} to {max(gate.value for gate in gates):g}"
        owners = {span: [label for labels in owners.values() for label in labels]}
    return [f"{gates[0].gate} = {value}{_of(labels)}: {gates[0].note}" for value, labels in owners.items()]


def _of(labels: list[str]) -> str:
    if not labels:
        return ""
    return f" of class{'es' if len(labels) > 1 else ''} {listed(labels, MOST_NAMED)}"
