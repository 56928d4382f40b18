"""Figures of routing, and scorers that put them into cross-validation and searches."""

from skroute.metrics._route_scorer import RouteScorer
from skroute.metrics._routing_report import RoutingReport, routing_report

__all__ = ["RouteScorer", "RoutingReport", "routing_report"]
