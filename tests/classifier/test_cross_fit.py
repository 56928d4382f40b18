"""Every probability that a fit is judged by comes from a model and a calibrator that did not see its row."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold, ShuffleSplit, StratifiedKFold, cross_val_predict

from skroute import RoutePolicy, RoutingClassifier
from skroute.reliability import reliability_table

FITS, CALLS = [], []


class RowNumbers(ClassifierMixin, BaseEstimator):
    """A spy: it remembers its training rows, refuses to score them for a calibrator, and hands on row numbers."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.seen_ = set(X[:, 0].astype(int))
        return self

    def decision_function(self, X):
        CALLS.append((frozenset(self.seen_), frozenset(X[:, 0].astype(int))))
        return np.column_stack([X[:, 0], -X[:, 0], 0 * X[:, 0]])


class Notebook(BaseEstimator):
    """A spy: a calibrator that remembers the rows it was fitted on and notes those that it predicts."""

    def fit(self, scores, y, sample_weight=None):
        self.seen_ = frozenset(scores[:, 0].astype(int))
        self.weight_ = sample_weight
        return self

    def predict_proba(self, scores):
        rows = scores[:, 0].astype(int)
        FITS.append((self.seen_, frozenset(rows)))
        return np.where(np.arange(3) == rows[:, None] % 3, 0.9, 0.05)


class Recording(RoutePolicy):
    def fit(self, proba, y=None, *, classes=None, sample_weight=None):
        self.seen_ = np.array(proba), np.array(y)
        return super().fit(proba, y, classes=classes)


@pytest.fixture
def rows():
    FITS.clear()
    CALLS.clear()
    n = 90
    return np.arange(float(n))[:, None], np.random.default_rng(0).permutation(np.arange(n) % 3)


@pytest.mark.parametrize(
    ("ensemble", "cv"),
    [
        (False, None),
        (True, None),
        (False, StratifiedKFold(4, shuffle=True, random_state=0)),
        (True, RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=0)),
        (True, ShuffleSplit(3, test_size=0.4, random_state=0)),
        (True, [(np.arange(60), np.arange(60, 90))]),
    ],
    ids=["single", "ensemble", "shuffled", "repeated", "overlapping", "one split"],
)
def test_no_calibrator_and_no_model_judges_a_row_that_it_has_seen(rows, ensemble, cv):
    X, y = rows
    router = RoutingClassifier(RowNumbers(), method=Notebook(), ensemble=ensemble, cv=cv, policy=Recording()).fit(X, y)
    assert CALLS
    assert FITS
    for trained_on, scored in CALLS:
        assert not trained_on & scored
    for fitted_on, predicted in FITS:
        assert fitted_on
        assert not fitted_on & predicted
    judged = sorted(row for _, predicted in FITS for row in predicted)
    assert len(judged) == len(set(judged)) == router.reliability_.summary().count[0]
    proba, labels = router.policy_.seen_
    assert_array_equal(labels, y[judged])
    assert_array_equal(proba.argmax(axis=1), np.array(judged) % 3)


def test_the_final_calibrator_of_a_single_model_sees_every_row(rows):
    X, y = rows
    weight = np.arange(1.0, 91.0)
    with pytest.warns(UserWarning, match="does not appear to accept sample_weight"):
        router = RoutingClassifier(RowNumbers(), method=Notebook()).fit(X, y, weight)
    assert router.calibrator_.seen_ == set(range(90))
    assert_array_equal(np.sort(router.calibrator_.weight_), weight)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("weighted", [False, True])
def test_out_of_fold_probabilities_equal_a_nested_loop_by_hand(data, method, weighted):
    X, y, weight = data()
    weight = weight if weighted else None
    cv = StratifiedKFold(4)
    router = RoutingClassifier(LogisticRegression(), method=method, cv=cv, policy=Recording()).fit(X, y, weight)

    class Scores(LogisticRegression):
        def decision_function(self, X):
            return X

    params = None if weight is None else {"sample_weight": weight}
    scores = cross_val_predict(LogisticRegression(), X, y, cv=cv, method="decision_function", params=params)
    expected = np.empty((len(y), 3))
    for others, fold in cv.split(X, y):
        base = FrozenEstimator(Scores().fit(scores, y))
        calibrated = CalibratedClassifierCV(base, method=method, cv=2, ensemble=False)
        if weighted:
            with pytest.warns(UserWarning, match="sample weights"):
                calibrated.fit(scores[others], y[others], sample_weight=weight[others])
        else:
            calibrated.fit(scores[others], y[others])
        expected[fold] = calibrated.predict_proba(scores[fold])
    assert_allclose(router.policy_.seen_[0], expected, atol=1e-6)
    table = reliability_table(y, router.policy_.seen_[0], sample_weight=weight)
    assert table == router.reliability_


def test_the_ensemble_is_the_mean_of_its_members(data):
    X, y, _ = data()
    router = RoutingClassifier(LogisticRegression(), ensemble=True, cv=3).fit(X, y)
    members = [member.predict_proba(X) for member in router.calibrated_classifiers_]
    assert_allclose(router.predict_proba(X), np.mean(members, axis=0), rtol=1e-12)


def test_one_prefit_model_serves_every_fold(rows):
    X, y = rows
    frozen = FrozenEstimator(LogisticRegression().fit(np.eye(3), [0, 1, 2]))
    router = RoutingClassifier(frozen, cv=3).fit(np.tile(X, 3) % 7, y)
    assert router.estimator_.estimator is frozen.estimator
    assert router.reliability_.summary().count[0] == 90
