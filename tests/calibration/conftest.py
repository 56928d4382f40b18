import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator


class Recorded(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = np.arange(X.shape[1])
        return self

    def predict(self, X):
        return self.classes_[np.argmax(X, axis=1)]


class RecordedProba(Recorded):
    """A classifier whose probabilities are its features."""

    def predict_proba(self, X):
        return X


class RecordedScores(Recorded):
    """A classifier whose decision values are its features; for two classes, its second feature."""

    def decision_function(self, X):
        return X[:, 1] if X.shape[1] == 2 else X


@pytest.fixture
def sklearn_proba():
    """Calibrate recorded scores by scikit-learn's public class, and return its probabilities."""

    def calibrate(scores, y, new_scores, *, method, recorded="scores", sample_weight=None):
        base = {"scores": RecordedScores, "proba": RecordedProba}[recorded]().fit(scores, y)
        model = CalibratedClassifierCV(FrozenEstimator(base), method=method, cv=2)
        if sample_weight is None:
            return model.fit(scores, y).predict_proba(new_scores)
        with pytest.warns(UserWarning, match="does not appear to accept sample_weight"):
            return model.fit(scores, y, sample_weight=sample_weight).predict_proba(new_scores)

    return calibrate


@pytest.fixture
def sample():
    """Draw decision values, labels and weights; the values are too sharp, and shifted for class 0."""

    def draw(n_classes, n_rows=200, seed=0):
        rng = np.random.default_rng(seed)
        scores = rng.normal(size=(n_rows, n_classes))
        logits = 0.6 * scores
        logits[:, 0] -= 0.3
        share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        y = np.array([rng.choice(n_classes, p=row) for row in share])
        y[:n_classes] = np.arange(n_classes)
        return scores, y, rng.integers(0, 4, size=n_rows).astype(float)

    return draw
