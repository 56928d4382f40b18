"""Policies that learn: thresholds with a guarantee, or of least cost."""

from skroute.policies._certificates import Certificates
from skroute.policies._certified_policy import CertifiedPolicy
from skroute.policies._labels_needed import labels_needed

__all__ = ["Certificates", "CertifiedPolicy", "labels_needed"]
