"""Scores and weights that are degenerate or huge give probabilities from all calibrators of all classes together."""

import numpy as np
import pytest
from calibration.joint_calibrators import JOINT, assert_sane, draw, drawn_from, fit, uniform_share
from numpy.testing import assert_allclose
from scipy.special import softmax

from skroute.calibration import PooledCalibrator


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("calibrator", JOINT)
def test_scores_of_which_no_true_class_was_scored_leave_the_standard_link(calibrator, n_classes):
    scores = np.where(np.eye(n_classes, dtype=bool), np.nan, 1.0)
    fitted = calibrator(kind="scores").fit(scores, np.arange(n_classes))
    assert_sane(fitted.predict_proba(scores))
    assert_allclose(fitted.predict_proba(np.zeros((1, n_classes))), 1 / n_classes)


def plain(n_classes, n_rows=200):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n_rows, n_classes)) * 2
    proba = softmax(logits, axis=1)
    return logits, proba, drawn_from(proba, rng), rng


def hard_cases(n_classes):
    """Return scores and labels of each hard case by its name."""
    logits, proba, y, rng = plain(n_classes)
    zeros, one = np.where(proba < 0.1, 0.0, proba), np.eye(n_classes)
    return {
        "plain": (logits, y),
        "row shift": (logits + rng.normal(size=(200, 1)) * 50, y),
        "huge row shift": (logits + 1e9 * rng.normal(size=(200, 1)), y),
        "class absent": (proba, np.where(y == n_classes - 1, 0, y)),
        "one label": (proba, 0 * y),
        "one label of logits": (logits, 0 * y),
        "exact zeros": (zeros / zeros.sum(axis=1, keepdims=True), y),
        "one-hot": (one[proba.argmax(axis=1)], y),
        "one-hot, all right": (one[y], y),
        "one-hot, all wrong": (one[(y + 1) % n_classes], y),
        "constant": (np.full((200, n_classes), 1 / n_classes), y),
        "constant logits": (np.full((200, n_classes), 7.0), y),
        "zeros": (np.zeros((200, n_classes)), y),
        "one row for all": (np.tile(proba[:1], (200, 1)), y),
        "1e6": (logits * 1e6, y),
        "1e50": (logits * 1e50, y),
        "1e-12": (logits * 1e-12, y),
        "1e-300": (logits * 1e-300, y),
        "separable": (one[y] * 40.0, y),
        "separable the wrong way": (one[y] * -40.0, y),
        "wrong by far": (np.vstack([logits, one[0] * 1e8]), np.append(y, 1)),
        "1 row": (proba[:1], y[:1]),
        "2 rows": (proba[:2], y[:2]),
        "3 rows": (proba[:3], y[:3]),
        "3 rows of logits": (logits[:3], y[:3]),
        "margins": (logits - 3.0, y),
        "falling margins": (-logits, y),
    }


@pytest.mark.filterwarnings("ignore::skroute.exceptions.DoubtfulScoresWarning")
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("case", hard_cases(2))
@pytest.mark.parametrize("calibrator", JOINT)
def test_hard_cases_give_probabilities(calibrator, case, n_classes):
    scores, y = hard_cases(n_classes)[case]
    weight = None if n_classes == 2 else np.arange(len(y)) % 3 + 1.0
    fitted = fit(calibrator, scores, y, weight)
    proba = fitted.predict_proba(scores)
    assert_sane(proba)
    assert proba.min() > 0.999 * uniform_share(len(y) if weight is None else weight.sum()) / n_classes
    if calibrator is PooledCalibrator:
        assert_sane(fitted.oof_proba_)


@pytest.mark.parametrize("total", [1e-15, 1e9, 1e17, 1e21])
@pytest.mark.parametrize("calibrator", JOINT)
def test_weights_of_any_size_serve(calibrator, total):
    for kind, n_classes in [("proba", 2), ("margins", 3)]:
        scores, y, weight = draw(kind, n_classes)
        assert_sane(fit(calibrator, scores, y, weight * (total / weight.sum())).predict_proba(scores))


@pytest.mark.parametrize("calibrator", JOINT)
def test_weights_of_all_sizes_serve(calibrator):
    for seed in range(2):
        for kind in ("proba", "logits"):
            scores, y, _ = draw(kind, 4, seed=seed)
            weight = 10.0 ** np.random.default_rng(seed).integers(-20, 20, len(y))
            assert_sane(fit(calibrator, scores, y, weight).predict_proba(scores))


@pytest.mark.parametrize("scale", [1e10, 1e200, 1e300])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("calibrator", JOINT)
def test_the_largest_scores_stay_finite(calibrator, n_classes, scale):
    scores, y, _ = draw("logits", n_classes)
    fitted = fit(calibrator, scores * scale, y)
    assert_sane(fitted.predict_proba(scores * scale))
    outlier = np.vstack([scores, np.eye(n_classes)[:1] * scale])
    for label in (0, 1):
        assert_sane(fit(calibrator, outlier, np.append(y, label)).predict_proba(outlier))
    assert_sane(fit(calibrator, scores, y).predict_proba((1 - 2 * np.eye(n_classes)) * 1.7e308))


@pytest.mark.parametrize("size", [1e5, 1e7, 1e10, 1e15, 1e300])
@pytest.mark.parametrize("calibrator", JOINT)
def test_one_score_out_of_range_does_not_spoil_the_others(calibrator, size):
    for n_classes in (2, 3):
        scores, y, _ = draw("logits", n_classes, 400)
        outlier = np.vstack([scores, np.eye(n_classes)[:1] * size])
        without = fit(calibrator, scores, y, kind="scores").predict_proba(scores)
        proba = fit(calibrator, outlier, np.append(y, 0), kind="scores").predict_proba(scores)
        assert np.abs(proba - without).mean() < 0.02
