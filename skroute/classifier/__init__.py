"""The classifier that ties the stages together: cross-fit, calibrate, measure, decide."""

from skroute.classifier._routing_classifier import RoutingClassifier

__all__ = ["RoutingClassifier"]
