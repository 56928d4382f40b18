"""Figures of calibration and of routing, and scorers that put them into cross-validation and searches."""

from skroute.metrics._calibration_error import calibration_error
from skroute.metrics._calibration_test import CalibrationTestResult, calibration_test
from skroute.metrics._compare import compare_policies
from skroute.metrics._comparison import ClassErrors, PolicyComparison, PolicyMoves
from skroute.metrics._risk_coverage import (
    RiskCoverageCurve,
    area_under_risk_coverage,
    coverage_at_risk,
    risk_coverage_curve,
)
from skroute.metrics._routing_cost import routing_cost
from skroute.metrics._routing_report import RoutingReport, routing_report
from skroute.metrics._score_decomposition import ScoreDecomposition, score_decomposition
from skroute.metrics._scorers import FigureScorer, RouteScorer, get_scorer, get_scorer_names
from skroute.metrics._smooth_calibration_error import smooth_calibration_error

__all__ = [
    "CalibrationTestResult",
    "ClassErrors",
    "FigureScorer",
    "PolicyComparison",
    "PolicyMoves",
    "RiskCoverageCurve",
    "RouteScorer",
    "RoutingReport",
    "ScoreDecomposition",
    "area_under_risk_coverage",
    "calibration_error",
    "calibration_test",
    "compare_policies",
    "coverage_at_risk",
    "get_scorer",
    "get_scorer_names",
    "risk_coverage_curve",
    "routing_cost",
    "routing_report",
    "score_decomposition",
    "smooth_calibration_error",
]
