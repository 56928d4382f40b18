"""Probabilities to routes: signals, gates, the policy with its audit, and the table that explains each decision."""

from skroute.routing._audit import GateAudit, PolicyAudit
from skroute.routing._label_sets import LabelSets
from skroute.routing._policy import RoutePolicy
from skroute.routing._reach import candidate_sets, explain_route, predict_route
from skroute.routing._route_table import RouteTable

__all__ = [
    "GateAudit",
    "LabelSets",
    "PolicyAudit",
    "RoutePolicy",
    "RouteTable",
    "candidate_sets",
    "explain_route",
    "predict_route",
]
