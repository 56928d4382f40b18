"""The calibrators that learn all classes together, scores to fit them on, and what every result of theirs is."""

import numpy as np
from numpy.testing import assert_allclose
from scipy.special import expit, softmax

from skroute.calibration import MatrixCalibrator, PooledCalibrator, VectorCalibrator

JOINT = [PooledCalibrator, VectorCalibrator, MatrixCalibrator]
# Rows of the uniform distribution that every result is mixed with.
UNIFORM_ROWS = 0.5


def drawn_from(share, rng):
    return (share.cumsum(axis=1) < rng.random((len(share), 1))).sum(axis=1)


def draw(kind, n_classes, n_rows=90, seed=0):
    """Scores that are too sharp, labels, and whole weights; votes are so coarse that rows repeat."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n_rows, n_classes)) * 2
    y = drawn_from(softmax(0.6 * scores + np.linspace(0, 0.8, n_classes), axis=1), rng)
    weight = rng.integers(0, 4, n_rows) * 1.0
    if kind == "margins":
        scores -= 1.5
        y = drawn_from(expit(scores) / expit(scores).sum(axis=1, keepdims=True), rng)
    elif kind == "proba":
        scores = softmax(scores, axis=1)
    elif kind == "votes":
        scores = np.array([rng.multinomial(5, share) for share in softmax(scores, axis=1)]) / 5
    return scores, y, weight


def assert_sane(proba):
    assert np.isfinite(proba).all(), proba
    assert (proba >= 0.0).all(), proba
    assert (proba <= 1.0).all(), proba
    assert_allclose(proba.sum(axis=1), 1.0, rtol=0, atol=1e-12)


def uniform_share(total):
    return UNIFORM_ROWS / (total + UNIFORM_ROWS)


def fit(calibrator, scores, y, weight=None, **settings):
    return calibrator(**settings).fit(scores, y, weight, classes=np.arange(scores.shape[1]))


def scores_of(n_classes, n_rows, seed=0):
    """Draw labels, and probabilities that mostly name them."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n_rows)
    logits = rng.normal(size=(n_rows, n_classes))
    logits[np.arange(n_rows), y] += 4.0
    return softmax(logits, axis=1), y
