"""Calibrate a classifier per class, and decide for every row: auto, watch, escalate or clarify.

fit:    X, y -> cross-fitted scores -> calibrators -> out-of-fold probabilities -> reliability table -> policy
decide: X    -> scores -> calibrated probabilities -> signals (top, margin, entropy) -> gates -> route

`RoutingClassifier` carries both flows for any scikit-learn classifier. The policies (`RoutePolicy`, `CertifiedPolicy`,
`CostPolicy`) and `reliability_table` serve recorded probabilities of any other model.
"""

from skroute._version import __version__
from skroute.classifier import RoutingClassifier
from skroute.metrics import PolicyComparison, compare_policies
from skroute.policies import Certificates, CertifiedPolicy, CostPolicy, RoutingCosts, labels_needed
from skroute.reliability import ReliabilityTable, reliability_table
from skroute.routing import (
    LabelSets,
    PolicyAudit,
    RoutePolicy,
    RouteTable,
    candidate_sets,
    explain_route,
    predict_route,
)

__all__ = [
    "Certificates",
    "CertifiedPolicy",
    "CostPolicy",
    "LabelSets",
    "PolicyAudit",
    "PolicyComparison",
    "ReliabilityTable",
    "RoutePolicy",
    "RouteTable",
    "RoutingClassifier",
    "RoutingCosts",
    "__version__",
    "candidate_sets",
    "compare_policies",
    "explain_route",
    "labels_needed",
    "predict_route",
    "reliability_table",
]
