"""method="auto": the pool cross-fits itself, on the folds of the classifier, and its own unseen rows are judged."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_predict
from sklearn.naive_bayes import GaussianNB

from skroute import RoutePolicy, RoutingClassifier
from skroute.calibration import PooledCalibrator, _pooled
from skroute.calibration._pool import fit_members
from skroute.classifier import _cross_fit
from skroute.exceptions import RareClassWarning
from skroute.reliability import reliability_table

SEEN = []


class Recording(RoutePolicy):
    def fit(self, proba, y=None, *, classes=None, sample_weight=None):
        self.seen_ = np.array(proba), np.array(y)
        return super().fit(proba, y, classes=classes)


class Spied(PooledCalibrator):
    """A pool that notes what it was fitted on."""

    def fit(self, scores, y, sample_weight=None, *, classes=None, folds=None):
        SEEN.append({"scores": np.array(scores), "y": y, "weight": sample_weight, "folds": folds})
        super().fit(scores, y, sample_weight, classes=classes, folds=folds)
        SEEN[-1]["oof"] = self.oof_proba_.copy()
        return self


class RowNumbers(ClassifierMixin, BaseEstimator):
    """A classifier whose decision values tell the row number, which is its first feature."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def decision_function(self, X):
        return X[:, :3]


@pytest.fixture
def seen():
    SEEN.clear()
    return SEEN


def test_auto_is_the_default_and_names_the_pool(data):
    X, y, weight = data()
    plain = RoutingClassifier(LogisticRegression()).fit(X, y, weight)
    named = RoutingClassifier(LogisticRegression(), method="auto").fit(X, y, weight)
    given = RoutingClassifier(LogisticRegression(), method=PooledCalibrator()).fit(X, y, weight)
    assert type(plain.calibrator_) is PooledCalibrator
    for other in (named, given):
        assert_array_equal(other.predict_proba(X), plain.predict_proba(X))
        assert other.reliability_ == plain.reliability_


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_table_and_policy_see_what_the_pool_says_of_rows_it_had_not_seen(data, seen, n_classes, weighted):
    X, y, weight = data(n_classes)
    weight = weight if weighted else None
    cv = StratifiedKFold(4, shuffle=True, random_state=0)
    router = RoutingClassifier(LogisticRegression(), method=Spied(), cv=cv, policy=Recording()).fit(X, y, weight)
    (fit,) = seen
    proba, labels = router.policy_.seen_
    assert_array_equal(proba, fit["oof"])
    assert_array_equal(labels, y)
    assert router.reliability_ == reliability_table(y, fit["oof"], sample_weight=weight)
    # By hand: scores of the other folds' classifiers, and the folds that they came from.
    params = {} if weight is None else {"params": {"sample_weight": weight}}
    scores = cross_val_predict(LogisticRegression(), X, y, cv=cv, method="decision_function", **params)
    fold_of = np.empty(len(y), dtype=int)
    for fold, (_, test) in enumerate(cv.split(X, y)):
        fold_of[test] = fold
    if n_classes > 2:
        assert_allclose(fit["scores"], scores)
        expected = PooledCalibrator().fit(scores, y, weight, folds=fold_of)
        assert_allclose(proba, expected.oof_proba_, atol=1e-8)
    assert_array_equal(fit["folds"], fold_of)
    if weighted:
        assert_array_equal(fit["weight"], weight)


def test_no_member_of_the_pool_judges_a_row_that_it_has_seen(data, monkeypatch):
    X, y, _ = data()
    fits = []

    def noting(rows, **settings):
        fits.append((rows, settings.get("like")))
        return fit_members(rows, **settings)

    monkeypatch.setattr(_pooled, "fit_members", noting)
    cv = StratifiedKFold(4)
    RoutingClassifier(LogisticRegression(), cv=cv).fit(X, y)
    (full, first), *parts = fits
    assert first is None
    assert len(full.codes) == len(y)
    for (_, test), (rows, like) in zip(cv.split(X, y), parts, strict=True):
        assert like is not None
        assert len(rows.codes) == len(y) - len(test)
        assert not set(map(tuple, rows.scores)) & set(map(tuple, full.scores[full.place[test]]))


def test_groups_that_the_splitter_keeps_whole_are_whole_in_the_folds_of_the_pool(data, seen):
    X, y, _ = data()
    groups = np.random.default_rng(0).integers(0, 30, len(y))
    with config_context(enable_metadata_routing=True):
        router = RoutingClassifier(LogisticRegression(), method=Spied(), cv=GroupKFold(5))
        router.fit(X, y, groups=groups)
    (fit,) = seen
    assert len(np.unique(fit["folds"])) == 5
    for group in range(30):
        assert len(np.unique(fit["folds"][groups == group])) == 1


def test_more_folds_than_the_pool_has_keep_groups_whole(data, monkeypatch):
    X, y, _ = data()
    groups = np.arange(len(y)) % 24
    sizes = []

    def noting(rows, **settings):
        sizes.append(len(rows.codes))
        return fit_members(rows, **settings)

    monkeypatch.setattr(_pooled, "fit_members", noting)
    with config_context(enable_metadata_routing=True):
        router = RoutingClassifier(LogisticRegression(), cv=GroupKFold(24), policy=Recording())
        router.fit(X, y, groups=groups)
    assert len(sizes) == 11
    assert all((len(y) - size) % 10 == 0 for size in sizes)
    assert np.isfinite(router.policy_.seen_[0]).all()


def test_what_a_search_would_keep_is_not_kept(data, tmp_path):
    X, y, _ = data()
    router = RoutingClassifier(LogisticRegression(), memory=str(tmp_path)).fit(X, y)
    assert not hasattr(router.calibrator_, "oof_proba_")
    many = np.tile(X, (8, 1)) + np.random.default_rng(0).normal(scale=1e-3, size=(8 * len(X), X.shape[1]))
    large = RoutingClassifier(LogisticRegression(), memory=str(tmp_path)).fit(many, np.tile(y, 8))
    # Curves have knots, and these are fewer than rows; probabilities of all rows would be 46 kB more.
    assert len(pickle.dumps(large.calibrator_)) - len(pickle.dumps(router.calibrator_)) < 20_000


@pytest.mark.parametrize("ensemble", [False, True])
def test_a_fit_from_the_cache_is_the_same(data, tmp_path, ensemble):
    X, y, weight = data()
    settings = {"memory": str(tmp_path), "cv": 3, "ensemble": ensemble}
    first = RoutingClassifier(LogisticRegression(), **settings).fit(X, y, weight)
    again = RoutingClassifier(LogisticRegression(), policy=Recording(), **settings).fit(X, y, weight)
    plain = RoutingClassifier(LogisticRegression(), cv=3, ensemble=ensemble, policy=Recording()).fit(X, y, weight)
    for router in (again, plain):
        assert_array_equal(router.predict_proba(X), first.predict_proba(X))
        assert router.reliability_ == first.reliability_
    assert_array_equal(again.policy_.seen_[0], plain.policy_.seen_[0])


def test_every_member_of_an_ensemble_has_a_pool_of_its_own(data, seen):
    X, y, weight = data()
    router = RoutingClassifier(LogisticRegression(), method=Spied(), ensemble=True, cv=3, policy=Recording())
    router.fit(X, y, weight)
    assert len(seen) == len(router.calibrated_classifiers_) == 3
    proba = router.policy_.seen_[0]
    for fit, (_, test) in zip(seen, StratifiedKFold(3).split(X, y), strict=True):
        assert fit["folds"] is None
        assert_array_equal(fit["weight"], weight[test])
        assert_array_equal(proba[test], fit["oof"])
    for member in router.calibrated_classifiers_:
        assert not hasattr(member.calibrator, "oof_proba_")
    assert_allclose(router.predict_proba(X).sum(axis=1), 1.0, rtol=1e-12)


def test_overlapping_test_rows_count_once(data, seen):
    X, y, _ = data()
    splits = [(np.arange(120, 240), np.arange(120)), (np.arange(100), np.arange(100, 240))]
    router = RoutingClassifier(LogisticRegression(), method=Spied(), ensemble=True, cv=splits, policy=Recording())
    router.fit(X, y)
    proba = router.policy_.seen_[0]
    assert_array_equal(proba, np.vstack([seen[0]["oof"], seen[1]["oof"][20:]]))
    assert router.reliability_.summary().count[0] == 240


@pytest.mark.parametrize("ensemble", [False, True])
def test_a_prefit_classifier_is_only_calibrated(data, seen, ensemble):
    X, y, _ = data()
    frozen = FrozenEstimator(LogisticRegression().fit(X[:100], y[:100]))
    router = RoutingClassifier(frozen, method=Spied(), ensemble=ensemble, cv=3, policy=Recording()).fit(X, y)
    assert_allclose(
        np.sort(np.concatenate([fit["scores"] for fit in seen]), axis=0), np.sort(frozen.decision_function(X), axis=0)
    )
    assert router.reliability_.summary().count[0] == len(y)
    assert_allclose(router.predict_proba(X).sum(axis=1), 1.0, rtol=1e-12)


def test_a_single_split_is_divided_by_the_pool_itself(data, seen):
    X, y, _ = data()
    router = RoutingClassifier(
        LogisticRegression(),
        method=Spied(),
        ensemble=True,
        cv=[(np.arange(120), np.arange(120, 240))],
        policy=Recording(),
    ).fit(X, y)
    assert_array_equal(router.policy_.seen_[0], seen[0]["oof"])
    # The pool of all its rows would say something else.
    fitted = router.calibrated_classifiers_[0].predict_proba(X[120:])
    assert np.abs(fitted - seen[0]["oof"]).max() > 1e-3


@pytest.mark.parametrize("ensemble", [False, True])
def test_a_class_of_one_row_is_named_and_never_auto_routed(data, ensemble):
    X, y, _ = data()
    X, y = np.vstack([X, X[:1] + 9]), np.append(y, 3)
    router = RoutingClassifier(LogisticRegression(), ensemble=ensemble)
    with pytest.warns(RareClassWarning, match="3"):
        router.fit(X, y)
    proba = router.predict_proba(X)
    assert np.isfinite(proba).all()
    assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-12)
    assert router.policy_.thresholds_[3] == np.inf


def test_exact_zeros_of_naive_bayes_are_no_trouble(data):
    X, y, _ = data()
    # Each feature counts three hundred times.
    often = np.tile(X, (1, 300))
    router = RoutingClassifier(GaussianNB(), policy=Recording()).fit(often, y)
    assert (router.estimator_.predict_proba(often) == 0.0).any()
    assert router.calibrator_.from_proba_
    assert (router.predict_proba(often) > 0.0).all()
    assert (router.policy_.seen_[0] > 0.0).all()


def test_equal_rows_have_one_probability_whatever_their_folds():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 3, size=(200, 3)).astype(float)
    y = np.r_[0, 1, 2, rng.integers(0, 3, 197)]
    router = RoutingClassifier(RowNumbers(), policy=Recording()).fit(X, y)
    proba = router.policy_.seen_[0]
    assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-12)
    same = (X[0] == X).all(axis=1) & (y == y[0])
    assert same.sum() > 1
    assert_allclose(proba[same], np.broadcast_to(proba[0], proba[same].shape), atol=1e-12)


def test_a_calibrator_that_does_not_cross_fit_itself_is_cross_fitted(data, monkeypatch):
    X, y, _ = data()
    calls = []
    original = _cross_fit._unseen_proba
    monkeypatch.setattr(_cross_fit, "_unseen_proba", lambda *given: calls.append(1) or original(*given))
    for method, n_calls in [("vector", 1), ("matrix", 1), ("temperature", 1), ("auto", 0)]:
        calls.clear()
        RoutingClassifier(LogisticRegression(), method=method).fit(X, y)
        assert len(calls) == n_calls, method
