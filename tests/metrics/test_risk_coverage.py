from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import digamma
from strategies import levels, unhurried

from skroute.metrics import area_under_risk_coverage, coverage_at_risk, risk_coverage_curve

CURVE = (risk_coverage_curve, area_under_risk_coverage, coverage_at_risk)


def curve_by_loop(hits, stated, weight):
    """Accept at every confidence that occurs, and count."""
    points = []
    for threshold in sorted(set(stated.tolist()), reverse=True):
        accepted = stated >= threshold
        share = weight[accepted].sum() / weight.sum()
        points.append((share, weight[accepted & ~hits].sum() / weight[accepted].sum(), threshold))
    return np.array(points).T


def mean_risk(wrong):
    """Average the error of the first k rows over all k."""
    return np.mean(np.cumsum(wrong) / np.arange(1, len(wrong) + 1))


@pytest.mark.parametrize("weighted", [False, True])
def test_the_curve_has_a_point_for_every_threshold(forecasts, log_of, weighted):
    hits, stated, weight = forecasts
    curve = risk_coverage_curve(**log_of(hits, stated), sample_weight=weight if weighted else None)
    expected = curve_by_loop(hits, stated, weight if weighted else np.ones(400))
    np.testing.assert_allclose([curve.coverage, curve.risk, curve.thresholds], expected, rtol=1e-12)
    assert np.all(np.diff(curve.coverage) > 0)
    assert curve.coverage[-1] == 1.0


def test_without_ties_the_area_is_the_mean_risk_of_the_k_most_confident_rows(log_of):
    rng = np.random.default_rng(0)
    stated = rng.permutation(np.linspace(0.01, 0.99, 97))
    hits = rng.random(97) < stated
    expected = mean_risk(~hits[np.argsort(-stated)])
    assert area_under_risk_coverage(**log_of(hits, stated)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("stated", [[0.9, 0.7, 0.7, 0.7, 0.4, 0.4], [0.5] * 6, [0.9, 0.9, 0.8, 0.8, 0.8, 0.8]])
@pytest.mark.parametrize("hits", [[1, 0, 1, 1, 0, 1], [0, 0, 1, 1, 1, 0], [1, 1, 0, 0, 0, 1]])
def test_tied_rows_count_as_the_mean_over_all_their_orders(log_of, stated, hits):
    rows = list(zip(stated, hits, strict=True))
    orders = [[hit for _, hit in sorted(order, key=lambda row: -row[0])] for order in permutations(rows)]
    expected = np.mean([mean_risk(1 - np.array(order)) for order in orders])
    assert area_under_risk_coverage(**log_of(hits, np.array(stated))) == pytest.approx(expected, abs=1e-12)


@unhurried
@given(data=st.data(), hits=arrays(bool, 8), stated=arrays(float, 8, elements=levels))
def test_whole_weights_repeat_rows(data, hits, stated):
    weight = np.array(data.draw(st.lists(st.integers(0, 5), min_size=8, max_size=8).filter(any)))
    log = {"y_pred": np.ones(8, dtype=bool), "classes": [False, True]}
    more = {"y_pred": np.ones(weight.sum(), dtype=bool), "classes": [False, True]}
    for figure in (area_under_risk_coverage, coverage_at_risk):
        by_weight = figure(hits, confidence=stated, sample_weight=weight, **log)
        by_rows = figure(np.repeat(hits, weight), confidence=np.repeat(stated, weight), **more)
        assert by_weight == pytest.approx(by_rows, abs=1e-12)


@unhurried
@given(hits=arrays(bool, 10), stated=arrays(float, 10, elements=levels), max_risk=levels)
def test_coverage_at_risk_is_the_best_of_all_thresholds(hits, stated, max_risk):
    coverage, risk, _ = curve_by_loop(hits, stated, np.ones(10))
    expected = max(coverage[risk <= max_risk], default=0.0)
    log = {"y_pred": np.ones(10, dtype=bool), "classes": [False, True]}
    assert coverage_at_risk(hits, confidence=stated, max_risk=max_risk, **log) == pytest.approx(expected)


@pytest.mark.parametrize("wrong", range(101))
def test_a_risk_that_is_just_allowed_is_allowed(log_of, wrong):
    # 0.29 * 100 is less than 29, so that a product would refuse what the curve calls 0.29.
    log = log_of(np.arange(100) >= wrong, np.full(100, 0.9))
    assert coverage_at_risk(**log, max_risk=wrong / 100) == 1.0
    assert wrong == 0 or coverage_at_risk(**log, max_risk=wrong / 100 - 1e-9) == 0.0


def test_more_coverage_may_follow_a_worse_stretch(log_of):
    hits = [True, False, True, True, True, True, True, True]
    log = log_of(hits, np.linspace(0.9, 0.2, 8))
    assert coverage_at_risk(**log, max_risk=0.13) == 1.0
    assert coverage_at_risk(**log, max_risk=0.12) == 1 / 8


@pytest.mark.parametrize(("hits", "area", "coverage"), [(True, 0.0, 1.0), (False, 1.0, 0.0)])
def test_all_right_and_all_wrong(log_of, hits, area, coverage):
    log = log_of(np.full(9, hits), np.linspace(0.1, 0.9, 9))
    assert area_under_risk_coverage(**log) == pytest.approx(area, abs=1e-15)
    assert coverage_at_risk(**log) == coverage


@pytest.mark.parametrize("figure", CURVE, ids=lambda figure: figure.__name__)
def test_a_label_keeps_the_rows_predicted_as_it(figure, sample):
    y, proba, classes, weight = sample
    label = classes[1]
    rows = proba.argmax(axis=1) == 1
    by_label = figure(y, proba, classes=classes, label=label, sample_weight=weight)
    by_rows = figure(y[rows], proba[rows], classes=classes, sample_weight=weight[rows])
    if figure is risk_coverage_curve:
        np.testing.assert_array_equal(by_label.risk, by_rows.risk)
        np.testing.assert_array_equal(by_label.coverage, by_rows.coverage)
    else:
        assert by_label == by_rows != figure(y, proba, classes=classes, sample_weight=weight)


@pytest.mark.parametrize("figure", CURVE, ids=lambda figure: figure.__name__)
@pytest.mark.parametrize(("label", "message"), [("c", "is predicted in no row"), ("d", "'d', which is not a class")])
def test_a_label_without_rows_is_refused(figure, label, message):
    proba = [[0.9, 0.1, 0.0], [0.2, 0.7, 0.1]]
    with pytest.raises(ValueError, match=message):
        figure(["a", "c"], proba, classes=["a", "b", "c"], label=label)


def test_a_label_may_be_false(log_of):
    y_true, y_pred = [False, True, True, False], [False, False, True, True]
    curve = risk_coverage_curve(y_true, y_pred=y_pred, confidence=[0.9, 0.8, 0.7, 0.6], label=False)
    assert curve.thresholds.tolist() == [0.9, 0.8]
    assert curve.risk.tolist() == [0.0, 0.5]


@pytest.mark.parametrize("max_risk", [-0.1, 1.1, np.nan, None, "low", True])
def test_the_allowed_risk_is_a_share(log_of, max_risk):
    with pytest.raises(ValueError, match="'max_risk' parameter of coverage_at_risk"):
        coverage_at_risk(**log_of([True, False], [0.5, 0.4]), max_risk=max_risk)


def test_the_scale_of_importances_does_not_matter(forecasts, log_of):
    hits, stated, _ = forecasts
    log = log_of(hits, stated)
    plain = area_under_risk_coverage(**log)
    assert area_under_risk_coverage(**log, sample_weight=np.full(400, 1 / 400)) == plain
    assert area_under_risk_coverage(**log, sample_weight=np.full(400, 3), weights="importance") == plain
    assert area_under_risk_coverage(**log, sample_weight=np.full(400, 3)) != plain
    weight = np.random.default_rng(0).exponential(size=400)
    small, large = (area_under_risk_coverage(**log, sample_weight=weight * scale) for scale in (1e-9, 7e9))
    assert small == pytest.approx(large, rel=1e-12)


def test_importances_count_as_their_effective_number_of_rows(log_of):
    # Two of weight 1.5 and one of 0.5 are 49/19 rows; inside one block the mean over all coverages is the error.
    log = log_of([False, True, True], [0.5, 0.5, 0.5])
    assert area_under_risk_coverage(**log, sample_weight=[1.5, 1.5, 0.5]) == pytest.approx(1.5 / 3.5)
    log = log_of([False, True, True], [0.9, 0.5, 0.5])
    n = 3.5**2 / (1.5**2 + 1.5**2 + 0.5**2)
    wrong = n * 1.5 / 3.5
    expected = (wrong + wrong * (digamma(n + 1) - digamma(wrong + 1))) / n
    assert area_under_risk_coverage(**log, sample_weight=[1.5, 1.5, 0.5]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("least", [1e-10, 1e-15, 1e-16, 1e-18])
def test_rows_that_weigh_next_to_nothing_change_next_to_nothing(log_of, least):
    log = log_of([True, False, True], [0.9, 0.8, 0.7])
    assert 0.0 < area_under_risk_coverage(**log, sample_weight=[1.0, least, 0.5]) < least
