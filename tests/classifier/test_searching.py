from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import uniform
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skroute import CostPolicy, RoutePolicy, RoutingClassifier, explain_route, predict_route
from skroute.metrics import RouteScorer

FITS = []
LABELS = ["vpn", "attack", "unlock"]
GATES = {"margin": None, "max_entropy": None}
CANDIDATES = {
    "policy__threshold": [0.5, 0.6, 0.7, 0.8],
    "policy__thresholds__attack": [0.7, 0.8, 0.9],
}


class Counting(LogisticRegression):
    """A classifier that counts its fits."""

    def fit(self, X, y, sample_weight=None):
        FITS.append(len(X))
        return super().fit(X, y, sample_weight)


@pytest.fixture
def fits():
    FITS.clear()
    return FITS


def router(base=None, **settings):
    base = LogisticRegression() if base is None else base
    return RoutingClassifier(base, **{"cv": 2, "method": "temperature", "policy": RoutePolicy(**GATES)} | settings)


def search(model, grid, **settings):
    return GridSearchCV(model, grid, **{"cv": 3, "scoring": RouteScorer(), "refit": "neg_cost"} | settings)


def same_scores(first, second):
    names = [name for name in first.cv_results_ if "test" in name]
    assert names
    for name in names:
        assert_array_equal(first.cv_results_[name], second.cv_results_[name])


def costs_by_hand(X, y, thresholds):
    """Fit once for each fold, and count costs for every threshold of "attack" in a plain loop."""
    costs = []
    for train, test in StratifiedKFold(3).split(X, y):
        fitted = router().fit(X[train], y[train])
        proba = fitted.predict_proba(X[test])
        label, confidence = fitted.classes_[proba.argmax(axis=1)], proba.max(axis=1)
        for threshold in thresholds:
            auto = confidence >= np.where(label == "attack", threshold, 0.8)
            costs.append(np.mean(np.where(auto, 10.0 * (label != y[test]), 1.0)))
    return np.reshape(costs, (3, -1)).mean(axis=0)


def test_the_threshold_of_one_class_is_searched(data):
    X, y, _ = data(labels=LABELS)
    levels = [0.5, 0.7, 0.9, 1.0]
    grid = search(router(), {"policy__thresholds__attack": levels}).fit(X, y)
    expected = costs_by_hand(X, y, levels)
    assert_allclose(grid.cv_results_["mean_test_neg_cost"], -expected)
    assert len(set(expected)) > 1
    best = levels[int(expected.argmin())]
    assert grid.best_params_ == {"policy__thresholds__attack": best}
    assert grid.best_estimator_.policy_.thresholds_ == {"attack": best, "unlock": 0.8, "vpn": 0.8}
    assert grid.estimator.policy.thresholds is None


@pytest.mark.parametrize(("labels", "key"), [([0, 1, 2], "1"), ([False, True], "True"), (["a__b", "c d", "é"], "a__b")])
def test_labels_of_any_type_and_spelling_are_reached(data, labels, key):
    X, y, _ = data(len(labels), labels=labels)
    grid = search(router(), {f"policy__thresholds__{key}": [0.6, 0.9]}).fit(X, y)
    found = {str(label): level for label, level in grid.best_estimator_.policy_.thresholds_.items()}
    assert found[key] in (0.6, 0.9)
    assert sorted(found) == sorted(map(str, labels))


def test_whole_policies_are_candidates(data):
    X, y, _ = data(labels=LABELS)
    strict, loose = RoutePolicy(0.9, **GATES), RoutePolicy(0.5, **GATES)
    grid = search(router(), {"policy": [None, strict, loose]}, refit="coverage").fit(X, y)
    assert grid.best_params_ == {"policy": loose}
    by_policy = grid.cv_results_["mean_test_coverage"]
    for policy, coverage in zip([None, strict, loose], by_policy, strict=True):
        scores = cross_validate(router(policy=policy), X, y, cv=3, scoring=RouteScorer())
        assert coverage == pytest.approx(scores["test_coverage"].mean())


def test_random_searches_draw_from_distributions(data):
    X, y, _ = data(labels=LABELS)
    space = {"policy__thresholds__attack": uniform(0.6, 0.3), "policy__threshold": [0.7, 0.9]}
    found = RandomizedSearchCV(
        router(), space, n_iter=4, cv=2, scoring=RouteScorer(), refit="neg_cost", random_state=0
    ).fit(X, y)
    drawn = np.array([params["policy__thresholds__attack"] for params in found.cv_results_["params"]])
    assert len(set(drawn)) == 4
    assert (drawn >= 0.6).all()
    assert (drawn <= 0.9).all()
    assert found.best_estimator_.policy_.thresholds_["attack"] == found.best_params_["policy__thresholds__attack"]


@pytest.mark.parametrize("side", ["inside", "outside"])
def test_searches_go_through_pipelines_on_either_side(data, side):
    X, y, _ = data(labels=LABELS)
    if side == "inside":
        model, prefix = make_pipeline(StandardScaler(), router()), "routingclassifier__"
    else:
        model, prefix = router(make_pipeline(StandardScaler(), LogisticRegression())), ""
    grid = search(model, {f"{prefix}policy__thresholds__attack": [0.6, 0.9]}).fit(X, y)
    routes = predict_route(grid, X)
    assert_array_equal(explain_route(grid, X).route, routes)
    scores = RouteScorer()(grid, X, y)
    assert scores["coverage"] == pytest.approx(np.mean(routes == "auto"))
    alone = search(model, {f"{prefix}policy__thresholds__attack": [0.6]}).fit(X, y)
    assert alone.cv_results_["mean_test_neg_cost"][0] == grid.cv_results_["mean_test_neg_cost"][0]


def test_all_figures_come_from_one_pass_a_fold(data, monkeypatch):
    X, y, _ = data(labels=LABELS)
    calls = []
    predict = RoutingClassifier.predict_proba
    monkeypatch.setattr(RoutingClassifier, "predict_proba", lambda self, X: calls.append(len(X)) or predict(self, X))
    for figures in (None, ["neg_cost"], ["neg_cost", "neg_calibration_error"], ["neg_calibration_error"]):
        calls.clear()
        cross_validate(router(), X, y, cv=3, scoring=RouteScorer(figures))
        assert calls == [80, 80, 80]


def test_figures_are_those_of_the_explained_routes(data):
    X, y, _ = data(labels=LABELS)
    costs = {
        label: dict.fromkeys(LABELS, 5.0) | {label: 0.0, **dict.fromkeys(["watch", "escalate", "clarify"], 1.0)}
        for label in LABELS
    }
    for policy in (None, CostPolicy(costs=costs, rule="bayes"), CostPolicy(costs=costs, rule="thresholds")):
        fitted = router(policy=policy).fit(X, y)
        table = fitted.explain_route(X)
        auto, right = table.route == "auto", table.label == y
        found = RouteScorer()(fitted, X, y)
        assert found["coverage"] == pytest.approx(auto.mean())
        assert found["correct_coverage"] == pytest.approx((auto & right).mean())
        assert found["neg_cost"] == pytest.approx(-np.where(auto, np.where(right, 0.0, 10.0), 1.0).mean())


class Bold(RoutingClassifier):
    """A router that explains its routes in its own way."""

    def explain_route(self, X):
        table = super().explain_route(X)
        return replace(table, route=np.full(len(table), "auto"))


def test_a_router_that_explains_in_its_own_way_is_scored_by_it(data):
    X, y, _ = data(labels=LABELS)
    bold = Bold(LogisticRegression(), cv=2, method="temperature", policy=RoutePolicy(threshold=0.99)).fit(X, y)
    assert RouteScorer(["coverage"])(bold, X, y) == {"coverage": 1.0}


def test_a_policy_that_was_put_in_must_be_fitted(data):
    X, y, _ = data(labels=LABELS)
    fitted = router().fit(X, y)
    fitted.policy_ = RoutePolicy()
    for figures in (["coverage"], ["coverage", "neg_calibration_error"]):
        with pytest.raises(NotFittedError):
            RouteScorer(figures)(fitted, X, y)


def test_single_metrics_of_scikit_learn_reach_the_routes(data):
    """make_scorer leaves a list of response methods unchecked; RouteScorer does not lean on that."""
    X, y, _ = data(labels=LABELS)
    coverage = make_scorer(lambda y, routes: np.mean(routes == "auto"), response_method=("predict_route",))
    scores = cross_validate(router(), X, y, cv=3, scoring={"coverage": coverage, "accuracy": "accuracy"})
    expected = cross_validate(router(), X, y, cv=3, scoring=RouteScorer())
    assert_array_equal(scores["test_coverage"], expected["test_coverage"])


@pytest.mark.parametrize(("ensemble", "cached", "uncached"), [(True, 8, 74), (False, 12, 111)])
def test_memory_fits_once_for_each_split_and_changes_no_score(data, tmp_path, fits, ensemble, cached, uncached):
    X, y, weight = data(labels=LABELS)
    plain = search(router(Counting(), ensemble=ensemble), CANDIDATES).fit(X, y, sample_weight=weight)
    assert len(plain.cv_results_["params"]) == 12
    assert len(fits) == uncached
    fits.clear()
    model = router(Counting(), ensemble=ensemble, memory=str(tmp_path))
    remembered = search(model, CANDIDATES).fit(X, y, sample_weight=weight)
    assert len(fits) == cached
    same_scores(remembered, plain)
    assert_array_equal(remembered.predict_proba(X), plain.predict_proba(X))
    fits.clear()
    same_scores(search(model, CANDIDATES).fit(X, y, sample_weight=weight), plain)
    assert fits == []


def test_memory_tells_weights_apart_in_a_search(data, tmp_path, fits):
    X, y, weight = data(labels=LABELS)
    model = router(Counting(), ensemble=True, memory=str(tmp_path))
    for given in (None, weight, weight[::-1]):
        fits.clear()
        remembered = search(model, CANDIDATES).fit(X, y, sample_weight=given)
        assert len(fits) == 8
        same_scores(remembered, search(router(Counting(), ensemble=True), CANDIDATES).fit(X, y, sample_weight=given))


def test_memory_serves_a_grid_over_the_classifier_as_well(data, tmp_path, fits):
    X, y, _ = data(labels=LABELS)
    model = router(Counting(), ensemble=True, memory=str(tmp_path))
    search(model, CANDIDATES | {"estimator__C": [0.1, 1.0]}).fit(X, y)
    assert len(fits) == (2 * 3 + 1) * 2


def test_memory_inside_a_pipeline_saves_as_much(data, tmp_path, fits):
    X, y, _ = data(labels=LABELS)
    model = make_pipeline(StandardScaler(), router(Counting(), ensemble=True, memory=str(tmp_path)))
    search(model, {f"routingclassifier__{name}": levels for name, levels in CANDIDATES.items()}).fit(X, y)
    assert len(fits) == 8


def test_a_mistyped_label_is_named_by_the_search(data):
    X, y, _ = data(labels=LABELS)
    with pytest.raises(ValueError, match="Did you mean 'attack'"):
        search(router(), {"policy__thresholds__atack": [0.6]}, error_score="raise").fit(X, y)
