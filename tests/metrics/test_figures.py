"""The figures by name: each is what its name says, with the sign that its name says."""

import numpy as np
import pytest

from skroute import RoutePolicy
from skroute.metrics import (
    area_under_risk_coverage,
    calibration_error,
    coverage_at_risk,
    get_scorer_names,
    routing_report,
    score_decomposition,
    smooth_calibration_error,
)
from skroute.metrics._figures import PROBA_FIGURES, ROUTE_FIGURES

MEANING = {
    "neg_calibration_error": lambda y, p, **more: -calibration_error(y, p, **more),
    "neg_classwise_calibration_error": lambda y, p, **more: -calibration_error(y, p, kind="classwise", **more),
    "neg_smooth_calibration_error": lambda y, p, **more: -smooth_calibration_error(y, p, **more),
    "neg_brier_miscalibration": lambda y, p, **more: (
        -score_decomposition(y, p, kind="classwise", **more).miscalibration
    ),
    "brier_discrimination": lambda y, p, **more: score_decomposition(y, p, kind="classwise", **more).discrimination,
    "neg_area_under_risk_coverage": lambda y, p, **more: -area_under_risk_coverage(y, p, **more),
    "coverage_at_risk": lambda y, p, **more: coverage_at_risk(y, p, max_risk=0.05, **more),
}


def test_every_figure_has_a_meaning():
    assert set(MEANING) == set(PROBA_FIGURES)
    assert {*PROBA_FIGURES, *ROUTE_FIGURES, "neg_cost"} == set(get_scorer_names())
    assert not set(PROBA_FIGURES) & set(ROUTE_FIGURES)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", PROBA_FIGURES)
def test_figures_of_calibration_are_those_of_the_functions(name, weighted, sample):
    y, proba, classes, weight = sample
    more = {"classes": classes, "sample_weight": weight if weighted else None}
    found = PROBA_FIGURES[name](y, proba, **more)
    assert isinstance(found, float)
    assert found == MEANING[name](y, proba, **more)
    assert (found < 0) == name.startswith("neg_")


@pytest.mark.parametrize("name", PROBA_FIGURES)
def test_figures_of_calibration_count_weights(name, sample):
    y, proba, classes, weight = sample
    figure = PROBA_FIGURES[name]
    assert figure(y, proba, classes=classes, sample_weight=weight) != figure(
        y, proba, classes=classes, sample_weight=None
    )


@pytest.mark.parametrize("weighted", [False, True])
def test_figures_of_routing_are_those_of_the_report(sample, weighted):
    y, proba, classes, weight = sample
    table = RoutePolicy(0.8, watch={"attack": 0.3}).fit(proba, classes=classes).explain(proba)
    weight = weight.astype(float) if weighted else None
    report = routing_report(y, table, sample_weight=weight)
    total, auto, wrong = report.total[0], report.auto[0], report.wrong[0]
    expected = {
        "coverage": auto / total,
        "auto_accuracy": 1 - wrong / auto,
        "correct_coverage": (auto - wrong) / total,
        "neg_wrong_rate": -wrong / total,
        "watch_rate": report.watched[0] / total,
        "escalate_rate": report.escalated[0] / total,
        "clarify_rate": report.clarified[0] / total,
    }
    assert {name: figure(y == table.label, table, weight) for name, figure in ROUTE_FIGURES.items()} == pytest.approx(
        expected
    )
    assert min(auto, wrong, report.watched[0]) > 0


@pytest.mark.parametrize("name", [name for name in ROUTE_FIGURES if name.endswith("_rate") or name == "coverage"])
def test_routes_part_the_rows(name, sample):
    y, proba, classes, _ = sample
    table = RoutePolicy(0.8, watch={"attack": 0.3}).fit(proba, classes=classes).explain(proba)
    shares = [
        ROUTE_FIGURES[part](y == table.label, table, None)
        for part in ("coverage", "watch_rate", "escalate_rate", "clarify_rate")
    ]
    assert sum(shares) == pytest.approx(1.0)
    assert 0.0 <= abs(ROUTE_FIGURES[name](y == table.label, table, None)) <= 1.0


def test_accuracy_without_automatic_rows_is_nan():
    table = RoutePolicy().fit([[0.5, 0.5]], classes=["a", "b"]).explain([[0.5, 0.5]])
    right = np.array([True])
    assert np.isnan(ROUTE_FIGURES["auto_accuracy"](right, table, None))
    assert ROUTE_FIGURES["neg_wrong_rate"](right, table, None) == 0.0
