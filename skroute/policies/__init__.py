"""Policies that learn: thresholds with a guarantee, or of least cost."""

from skroute.policies._certificates import Certificates
from skroute.policies._certified_policy import CertifiedPolicy
from skroute.policies._cost_policy import CostPolicy
from skroute.policies._costs import RoutingCosts
from skroute.policies._labels_needed import labels_needed
from skroute.policies._policy_from_dict import policy_from_dict

__all__ = ["Certificates", "CertifiedPolicy", "CostPolicy", "RoutingCosts", "labels_needed", "policy_from_dict"]
