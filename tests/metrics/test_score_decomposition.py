import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss, log_loss
from strategies import levels, unhurried

from skroute.metrics import score_decomposition

SCORES = {
    "brier": lambda y, p, w: brier_score_loss(y, p, sample_weight=w, pos_label=True),
    "log": lambda y, p, w: log_loss(y, p, sample_weight=w, labels=[False, True]),
}


def parts_of_scikit_learn(hits, stated, weight, score):
    """Return score, miscalibration, discrimination and uncertainty by scikit-learn's parts."""
    recalibrated = IsotonicRegression(y_min=0, y_max=1).fit(stated, hits, weight).predict(stated)
    base = np.full(len(hits), np.average(hits, weights=weight))
    given_, best, constant = (SCORES[score](hits, forecast, weight) for forecast in (stated, recalibrated, base))
    return given_, given_ - best, constant - best, constant


def as_tuple(parts):
    return parts.score, parts.miscalibration, parts.discrimination, parts.uncertainty


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("score", ["brier", "log"])
def test_agrees_with_the_parts_of_scikit_learn(forecasts, log_of, score, weighted):
    hits, stated, weight = forecasts
    found = score_decomposition(**log_of(hits, stated), score=score, sample_weight=weight if weighted else None)
    expected = parts_of_scikit_learn(hits, stated, weight if weighted else None, score)
    assert as_tuple(found) == pytest.approx(expected, abs=1e-10)
    assert min(expected) > 1e-3


@pytest.mark.parametrize("score", ["brier", "log"])
def test_the_classwise_parts_are_means_over_the_classes(score):
    rng = np.random.default_rng(0)
    proba = rng.dirichlet([1.0, 1.0, 1.0], size=200)
    y = rng.integers(0, 3, size=200)
    each = [parts_of_scikit_learn(y == c, proba[:, c], None, score) for c in range(3)]
    found = score_decomposition(y, proba, classes=range(3), kind="classwise", score=score)
    assert as_tuple(found) == pytest.approx(np.mean(each, axis=0), abs=1e-10)


@pytest.mark.parametrize("score", ["brier", "log"])
def test_two_classes_have_the_score_of_either(forecasts, score):
    hits, stated, weight = forecasts
    found = score_decomposition(hits, stated, kind="classwise", score=score, sample_weight=weight)
    assert found.score == pytest.approx(SCORES[score](hits, stated, weight), abs=1e-12)


def test_a_monotone_distortion_changes_miscalibration_only(forecasts, log_of):
    hits, stated, _ = forecasts
    plain, bent = (score_decomposition(**log_of(hits, forecast)) for forecast in (stated, stated**3))
    assert bent.discrimination == pytest.approx(plain.discrimination, abs=1e-12)
    assert bent.uncertainty == plain.uncertainty
    assert bent.miscalibration > plain.miscalibration + 0.01


def test_the_base_rate_is_calibrated_and_tells_nothing_apart(log_of):
    parts = score_decomposition(**log_of([True] * 3 + [False] * 7, np.full(10, 0.3)))
    assert as_tuple(parts) == pytest.approx((0.21, 0.0, 0.0, 0.21), abs=1e-15)


@pytest.mark.parametrize("certain", [0.0, 1.0])
def test_a_broken_certainty_costs_infinitely_many_logs(log_of, certain):
    parts = score_decomposition(**log_of([True, False, True], [certain, certain, 0.5]), score="log")
    assert parts.score == parts.miscalibration == math.inf
    assert math.isfinite(parts.discrimination)
    assert math.isfinite(parts.uncertainty)


@pytest.mark.parametrize("score", ["brier", "log"])
@pytest.mark.parametrize("hit", [False, True])
def test_a_kept_certainty_costs_nothing(log_of, score, hit):
    parts = score_decomposition(**log_of(np.full(7, hit), np.full(7, float(hit))), score=score)
    assert as_tuple(parts) == (0.0, 0.0, 0.0, 0.0)


@unhurried
@given(hits=arrays(bool, 11), stated=arrays(float, 11, elements=levels))
def test_the_parts_add_up_and_none_is_negative(hits, stated):
    log = {"y_true": hits, "y_pred": np.ones(11, dtype=bool), "confidence": stated, "classes": [False, True]}
    for score in ("brier", "log"):
        parts = score_decomposition(**log, score=score)
        assert min(as_tuple(parts)) >= 0.0
        total = parts.miscalibration - parts.discrimination + parts.uncertainty
        assert total == pytest.approx(parts.score, abs=1e-12)


def test_other_scores_are_refused(log_of):
    with pytest.raises(ValueError, match="'score' parameter"):
        score_decomposition(**log_of([True, False], [0.5, 0.4]), score="spherical")


@pytest.mark.parametrize("stated", [[0.9, 0.8], [0.8, 0.9]], ids=["told apart", "pooled"])
def test_a_miss_that_weighs_next_to_nothing_costs_next_to_nothing(log_of, stated):
    # The base rate, and that of the pool, round to 1.
    parts = score_decomposition(**log_of([True, False], stated), score="log", sample_weight=[1.0, 1e-17])
    assert parts.score == pytest.approx(-math.log(stated[0]))
    assert 0.0 < parts.uncertainty == pytest.approx(1e-17 * (1 + 17 * math.log(10)))
    assert parts.miscalibration == pytest.approx(parts.score)
