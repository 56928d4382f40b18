"""A class with too few rows is named, never routed on its own, and never makes the others fail."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier

from skroute import RoutePolicy, RoutingClassifier
from skroute.exceptions import RareClassWarning

METHODS = ["temperature", "sigmoid", "isotonic", "none", {"rare": "isotonic"}]
OTHERS = [IsotonicRegression(out_of_bounds="clip"), LogisticRegression(max_iter=2000)]


@pytest.fixture
def with_rare(data):
    """Three common classes, and some rows of a class called "rare" far away from them."""

    def draw(n_rare):
        X, y, _ = data(labels=["b", "a", "z"])
        far = np.random.default_rng(1).normal(loc=9.0, size=(n_rare, X.shape[1]))
        return np.vstack([X, far]), np.append(y, ["rare"] * n_rare)

    return draw


def assert_sane(proba):
    assert np.isfinite(proba).all()
    assert (proba >= 0.0).all()
    assert_allclose(proba.sum(axis=1), 1.0)


@pytest.mark.parametrize("method", METHODS + OTHERS, ids=str)
@pytest.mark.parametrize("ensemble", [False, True])
@pytest.mark.parametrize("n_rare", [1, 2, 3])
def test_a_rare_class_keeps_its_column_and_is_named_once_with_its_count(with_rare, method, ensemble, n_rare):
    X, y = with_rare(n_rare)
    router = RoutingClassifier(LogisticRegression(), method=method, ensemble=ensemble)
    with pytest.warns(RareClassWarning, match=rf"fewer rows than the 5 folds.*: 'rare' \({n_rare} rows?\)") as caught:
        router.fit(X, y)
    assert len(caught) == 1
    # Of five members, those that tested none of its rows have calibrators that never saw it.
    held_back = n_rare == 1 or ensemble
    assert ("missing from a training fold" in str(caught[0].message)) is held_back
    assert np.isinf(router.policy_.thresholds_["rare"]) == held_back
    assert router.classes_.tolist() == ["a", "b", "rare", "z"]
    assert_sane(router.predict_proba(X))
    assert router.reliability_.of("rare").count.size
    same = "sigmoid" if isinstance(method, dict) else method
    without = RoutingClassifier(LogisticRegression(), method=same, ensemble=ensemble).fit(X[:240], y[:240])
    assert router.score(X[:240], y[:240]) > without.score(X[:240], y[:240]) - 0.05
    if method == "temperature":
        others = router.predict_proba(X[:240])[:, router.classes_ != "rare"]
        assert np.median(np.abs(others - without.predict_proba(X[:240]))) < 0.02


@pytest.mark.parametrize("ensemble", [False, True])
def test_a_class_missing_from_a_training_fold_is_never_auto_routed(with_rare, ensemble):
    X, y = with_rare(1)
    X, y = np.vstack([X, X[-1:], X[-1:]]), np.append(y, ["rare", "rare"])
    groups_of_rare = GroupKFold(3).split(X, y, np.append(np.arange(240) % 30, [99] * 3))
    policy = RoutePolicy(0.3, thresholds={"rare": 0.0}, margin=None, max_entropy=None)
    router = RoutingClassifier(LogisticRegression(), policy=policy, cv=list(groups_of_rare), ensemble=ensemble)
    with pytest.warns(RareClassWarning, match=r"never auto-routed: 'rare' \(3 rows\)"):
        router.fit(X, y)
    table = router.explain_route(np.vstack([X, 3 * X[-1:]]))
    assert "rare" in table.label
    assert "auto" in table.route[table.label != "rare"]
    assert "auto" not in table.route[table.label == "rare"]
    assert set(table.reason[table.label == "rare"]) == {"never"}
    assert router.policy_.thresholds_ == {"a": 0.3, "b": 0.3, "rare": np.inf, "z": 0.3}
    assert policy.thresholds == {"rare": 0.0}


def test_a_class_in_every_training_fold_keeps_its_threshold(with_rare):
    X, y = with_rare(2)
    with pytest.warns(RareClassWarning):
        router = RoutingClassifier(LogisticRegression(), policy=RoutePolicy(thresholds={"rare": 0.9})).fit(X, y)
    assert router.policy_.thresholds_["rare"] == 0.9


def test_a_holdout_does_not_lift_the_ban(with_rare):
    X, y = with_rare(1)
    policy = RoutePolicy(thresholds={"rare": 0.9})
    with pytest.warns(RareClassWarning, match="never auto-routed: 'rare'"):
        router = RoutingClassifier(LogisticRegression(), policy=policy, holdout=0.3, random_state=0).fit(X, y)
    assert router.policy_.thresholds_["rare"] == np.inf


def test_folds_that_miss_a_class_are_named_too(data):
    X, y, _ = data()
    cv = [(np.flatnonzero(y != label), np.flatnonzero(y == label)) for label in range(3)]
    with pytest.warns(RareClassWarning, match=r"never auto-routed: 0 \(\d+ rows\), 1 \(\d+ rows\), 2"):
        router = RoutingClassifier(GaussianNB(), cv=cv, method="sigmoid").fit(X, y)
    assert_sane(router.predict_proba(X))
    assert set(router.policy_.thresholds_.values()) == {np.inf}


def test_two_classes_of_which_one_has_a_single_row(data):
    X, _, _ = data()
    y = np.zeros(len(X), dtype=int)
    y[7] = 1
    with pytest.warns(RareClassWarning, match=r"1 \(1 row\)"):
        router = RoutingClassifier(GaussianNB(), method="sigmoid").fit(X, y)
    assert_sane(router.predict_proba(X))
    assert router.policy_.thresholds_[1] == np.inf


@pytest.mark.parametrize("cv", [4, StratifiedKFold(4)])
def test_folds_that_were_asked_for_are_never_made_fewer(with_rare, cv):
    X, y = with_rare(3)
    with pytest.raises(ValueError, match="Requesting 4-fold cross-validation"):
        RoutingClassifier(LogisticRegression(), cv=cv).fit(X, y)


@pytest.mark.parametrize("method", METHODS[:4] + OTHERS, ids=str)
def test_a_class_of_the_frozen_model_without_calibration_rows(data, method):
    X, y, _ = data(4, labels=["b", "a", "rare", "z"])
    prefit = FrozenEstimator(LogisticRegression().fit(X, y))
    there = y != "rare"
    with pytest.warns(RareClassWarning, match=r"never auto-routed: 'rare' \(0 rows\)"):
        router = RoutingClassifier(prefit, method=method).fit(X[there], y[there])
    assert router.classes_.tolist() == ["a", "b", "rare", "z"]
    assert_sane(router.predict_proba(X))
    assert router.policy_.thresholds_["rare"] == np.inf


@pytest.mark.parametrize("method", METHODS[:4] + OTHERS, ids=str)
@pytest.mark.parametrize("ensemble", [False, True])
def test_calibration_rows_of_a_class_that_the_frozen_model_does_not_know(data, method, ensemble):
    X, y, _ = data(4, labels=["b", "a", "new", "z"])
    known = y != "new"
    prefit = FrozenEstimator(LogisticRegression().fit(X[known], y[known]))
    router = RoutingClassifier(prefit, method=method, ensemble=ensemble)
    with pytest.warns(RareClassWarning, match=r"never auto-routed: 'new' \(\d+ rows\)"):
        router.fit(X, y)
    proba = router.predict_proba(X)
    assert_sane(proba)
    assert_array_equal(proba[:, router.classes_.tolist().index("new")], 0.0)
    assert router.policy_.thresholds_["new"] == np.inf


def test_a_frozen_model_with_labels_of_another_type_is_refused(data):
    X, y, _ = data()
    prefit = FrozenEstimator(LogisticRegression().fit(X, y))
    with pytest.raises(ValueError, match="labels like those of the frozen estimator"):
        RoutingClassifier(prefit).fit(X, y.astype(str))


def test_many_rare_classes_stand_in_one_warning(data):
    X, y, _ = data()
    y = np.where(np.arange(len(y)) < 12, 10 + np.arange(len(y)) % 6, y)
    with pytest.warns(RareClassWarning, match=r"10 \(2 rows\), 11 \(2 rows\), .*15 \(2 rows\)") as caught:
        RoutingClassifier(LogisticRegression()).fit(X, y)
    assert len(caught) == 1


def test_common_classes_give_no_warning(data, recwarn):
    X, y, _ = data()
    RoutingClassifier(DummyClassifier()).fit(X, y)
    assert recwarn.list == []


def test_a_class_without_weight_is_never_auto_routed():
    X, y = load_iris(return_X_y=True)
    router = RoutingClassifier(KNeighborsClassifier(), method="none")
    with (
        pytest.warns(UserWarning, match="sample weights will only"),
        pytest.warns(RareClassWarning, match="routed: 2 "),
    ):
        router.fit(X, y, sample_weight=(y != 2) * 1.0)
    table = router.explain_route(X)
    assert (table.label == 2).any()
    assert not ((table.label == 2) & (table.route == "auto")).any()
