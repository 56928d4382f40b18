"""What vector scaling, matrix scaling and the pool learn."""

import numpy as np
import pytest
from calibration.joint_calibrators import JOINT, draw, drawn_from, fit, uniform_share
from numpy.testing import assert_allclose
from scipy.special import log_softmax, softmax

from skroute.calibration import MatrixCalibrator, TemperatureCalibrator, VectorCalibrator


@pytest.mark.parametrize("calibrator", JOINT)
def test_constant_scores_give_the_shares_of_the_classes(calibrator):
    y = np.repeat([0, 1, 2], [200, 120, 80])
    proba = fit(calibrator, np.full((400, 3), 1 / 3), y).predict_proba(np.full((1, 3), 1 / 3))
    assert_allclose(proba, [[0.5, 0.3, 0.2]], atol=0.03)


@pytest.mark.parametrize("calibrator", [VectorCalibrator, MatrixCalibrator])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_shifting_logits_row_by_row_changes_nothing(calibrator, n_classes):
    scores, y, weight = draw("logits", n_classes)
    shifted = scores + np.random.default_rng(1).integers(-8, 8, (len(y), 1))
    first, second = fit(calibrator, scores, y, weight), fit(calibrator, shifted, y, weight)
    if first.link_.slope is None and second.link_.slope is None:
        assert_allclose(first.predict_proba(scores), second.predict_proba(shifted), atol=1e-7)


@pytest.mark.parametrize("calibrator", [VectorCalibrator, MatrixCalibrator])
@pytest.mark.parametrize("kind", ["proba", "logits"])
def test_probabilities_follow_from_the_published_parameters(calibrator, kind):
    scores, y, weight = draw(kind, 3, 300)
    fitted = fit(calibrator, scores, y, weight)
    raw = np.log(scores + fitted.link_.floor) if kind == "proba" else scores
    z = log_softmax(raw / fitted.temperature_, axis=1)
    scaled = z * fitted.slope_ if calibrator is VectorCalibrator else z @ fitted.matrix_
    share = uniform_share(weight.sum())
    expected = (1 - share) * softmax(scaled + fitted.bias_, axis=1) + share / 3
    assert_allclose(fitted.predict_proba(scores), expected, rtol=1e-9)


@pytest.mark.parametrize("calibrator", JOINT)
def test_the_bias_of_one_class_is_found(calibrator):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(3000, 3)) * 1.5
    truth = softmax(logits, axis=1)
    y = drawn_from(truth, rng)
    skewed = logits + np.array([0.0, 1.2, 0.0])
    fitted = fit(calibrator, skewed, y)
    assert np.abs(fitted.predict_proba(skewed) - truth).mean() < 0.015
    assert np.abs(TemperatureCalibrator().fit(skewed, y).predict_proba(skewed) - truth).mean() > 0.05
    if calibrator is VectorCalibrator:
        assert_allclose(fitted.bias_[1] - fitted.bias_[[0, 2]], -1.2, atol=0.25)
        assert_allclose(fitted.slope_ / fitted.temperature_, 1.0, atol=0.15)


@pytest.mark.parametrize("calibrator", JOINT)
def test_a_class_with_eight_rows_stays_near_the_shared_temperature(calibrator):
    distances, free = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        logits = rng.normal(size=(600, 3)) * 1.5 - [0, 0, 4]
        y = drawn_from(softmax(0.6 * logits, axis=1), rng)
        kept = np.sort(np.r_[np.flatnonzero(y < 2), np.flatnonzero(y == 2)[:8]])
        temperature = TemperatureCalibrator().fit(logits[kept], y[kept]).predict_proba(logits)
        proba = fit(calibrator, logits[kept], y[kept]).predict_proba(logits)
        assert (y[kept] == 2).sum() == 8
        distances.append(np.abs(proba - temperature)[:, 2].mean())
        free.append(abs(temperature[:, 2].mean() - 8 / len(kept)))
    assert np.mean(distances) < np.mean(free)
