"""Routes are chosen some rows at a time; nobody may be able to tell."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator

from skroute import RoutePolicy, RoutingClassifier
from skroute.calibration import BetaCalibrator, PerClassCalibrator, TemperatureCalibrator, VectorCalibrator
from skroute.calibration import _methods as methods
from skroute.calibration import _rough as estimated
from skroute.calibration._apply import block_rows
from skroute.exceptions import DeadGateWarning


class Replay(ClassifierMixin, BaseEstimator):
    """A classifier that returns its features, the very same array."""

    def __init__(self, n_classes):
        self.n_classes = n_classes
        self.classes_ = np.arange(n_classes)

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        return X


def rows_of(n_rows, n_classes, seed=0):
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.full(n_classes, 0.3), n_rows)
    return proba, (proba.cumsum(axis=1)[:, :-1] < rng.random((n_rows, 1))).sum(axis=1)


def fitted(method, proba, y, **params):
    frozen = FrozenEstimator(Replay(proba.shape[1]))
    return RoutingClassifier(frozen, method=method, **params).fit(proba, y)


@pytest.mark.parametrize("method", methods.METHODS)
@pytest.mark.parametrize("n_classes", [2, 3, 9])
def test_routes_are_those_of_all_probabilities_to_the_last_bit(method, n_classes, monkeypatch):
    monkeypatch.setattr(methods, "PASSES", 1)
    router = fitted(method, *rows_of(1500, n_classes), policy=RoutePolicy(margin=None))
    proba, _ = rows_of(80_003, n_classes, seed=1)
    before = proba.copy()
    whole = router.predict_proba(proba)
    # Thresholds that some rows reach exactly.
    levels = dict(zip(range(n_classes), np.sort(whole[:999].max(axis=1))[::99][:n_classes], strict=False))
    router.policy_ = RoutePolicy(thresholds=levels, margin=None, max_entropy=None).fit(whole)
    parts = list(methods.predict_blocks(router.calibrator_, proba, lambda rows: None))
    assert len(parts) > 1
    assert_array_equal(np.concatenate(parts), whole)
    assert_array_equal(router.predict_route(proba), router.policy_.decide(whole))
    assert_array_equal(router.explain_route(proba).route, router.policy_.decide(whole))
    # What the classifier returned is its own.
    assert_array_equal(proba, before)
    assert router.predict_route(proba[:0]).shape == (0,)


@pytest.mark.parametrize("method", methods.METHODS)
@pytest.mark.parametrize("n_classes", [9, 12])
def test_rows_that_are_left_over_are_calibrated_as_among_others(method, n_classes):
    router = fitted(method, *rows_of(1500, n_classes))
    for n_blocks in (2, 6, 8, 12):
        for extra in (1, 2, 3):
            proba, _ = rows_of(n_blocks * block_rows(n_classes) + extra, n_classes, seed=2)
            parts = list(methods.predict_blocks(router.calibrator_, proba, lambda rows: None))
            assert_array_equal(np.concatenate(parts), router.predict_proba(proba))


@pytest.mark.parametrize("method", ["temperature", "sigmoid"])
@pytest.mark.parametrize("n_classes", [3, 20, 77])
@pytest.mark.parametrize("order", ["before", "after", "flag", "top"])
def test_routes_that_are_estimated_are_those_of_all_probabilities_to_the_last_bit(
    method, n_classes, order, monkeypatch
):
    router = fitted(method, *rows_of(1500, n_classes), policy=RoutePolicy(margin=None))
    proba, _ = rows_of(max(60_003, 600_003 // n_classes), n_classes, seed=1)
    # Recorded probabilities come again and again, and thresholds that are learned from them are among them.
    proba[:20_000:5] = np.tile(proba[:4], (1000, 1))
    whole = router.predict_proba(proba)
    levels = dict(zip(range(n_classes), np.sort(whole[:999].max(axis=1))[400::5], strict=False))
    watch = {1: whole[0, 1], 2: whole[1, 2]}
    policy = RoutePolicy(thresholds=levels, watch=watch, margin=None, max_entropy=None, watch_order=order)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeadGateWarning)
        router.policy_ = policy.fit(whole)
    asked, exact = [], estimated._Rows.exact

    def count(self, rows):
        asked.append(0 if isinstance(rows, slice) else len(rows))
        return exact(self, rows)

    monkeypatch.setattr(estimated._Rows, "exact", count)
    assert_array_equal(router.predict_route(proba), router.policy_.decide(whole))
    assert 0 < sum(asked) < 8000


@pytest.mark.parametrize("method", methods.METHODS)
@pytest.mark.parametrize("n_classes", [2, 3, 20])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused_in_whatever_part_they_are(method, n_classes, value):
    router = fitted(method, *rows_of(1500, n_classes))
    for n_rows, row in ((1, 0), (5, 3), (2_000_000 // n_classes, 1_900_000 // n_classes)):
        proba = np.full((n_rows, n_classes), 1.0 / n_classes)
        proba[row, 1] = value
        for call in (router.predict_proba, router.predict_route):
            with pytest.raises(ValueError, match=rf"Replay.predict_proba must give finite scores; row {row} holds \["):
                call(proba)


def test_somebody_elses_calibrator_and_policy_see_all_rows_at_once():
    class Shared(BaseEstimator):
        def fit(self, scores, y):
            self.classes_ = np.unique(y)
            return self

        def predict_proba(self, scores):
            self.rows_ = len(scores)
            scores *= 0.5
            return 0.5 * scores + 0.75 / scores.shape[1]

    proba, y = rows_of(300_000, 3)
    router = fitted(Shared(), proba[:900], y[:900])
    before = proba.copy()
    routes = router.predict_route(proba)
    assert router.calibrator_.rows_ == len(routes) == 300_000
    assert_array_equal(proba, before)


class Outspoken(Replay):
    """Values that a linear model of probabilities would give."""

    def decision_function(self, X):
        return X

    predict_proba = None


@pytest.mark.parametrize(
    "method", [TemperatureCalibrator(), VectorCalibrator(), PerClassCalibrator("none"), BetaCalibrator()]
)
def test_calibrators_are_told_the_kind_of_the_scores(method):
    proba, y = rows_of(4000, 3)
    router = RoutingClassifier(FrozenEstimator(Replay(3)), method=method).fit(proba, y)
    assert router.calibrator_.kind == "proba"
    assert method.kind == "auto"
    if type(method) is BetaCalibrator:
        assert all(one.kind == "proba" for one in router.calibrator_.calibrators_)
    proba[3000] *= 100.0
    assert_array_equal(router.predict_route(proba), router.policy_.decide(router.predict_proba(proba)))
    # Of some folds all values lie in [0, 1].
    scores = proba * 1.2 - 0.1
    scores[:1000] = proba[:1000]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        router = RoutingClassifier(FrozenEstimator(Outspoken(3)), method=method).fit(scores, y)
        router.predict_route(proba[:1000])
    assert router.calibrator_.kind == "scores"
