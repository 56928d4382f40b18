"""Every scorer by name: in cross-validation, in searches, through Pipelines, with weights."""

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skroute import RoutePolicy, RoutingClassifier
from skroute.metrics import RouteScorer, calibration_error, get_scorer, get_scorer_names
from skroute.metrics._figures import PROBA_FIGURES
from skroute.metrics._scorers import FigureScorer

CLASSES = ["attack", "unlock", "vpn"]
every_name = pytest.mark.parametrize("name", get_scorer_names())
every_figure_of_calibration = pytest.mark.parametrize("name", PROBA_FIGURES)


def router():
    return RoutingClassifier(LogisticRegression(), cv=2, policy=RoutePolicy(0.85, watch={"attack": 0.4}))


@every_name
def test_every_name_scores_folds_through_a_pipeline(name, rows):
    X, y, _ = rows
    model = make_pipeline(StandardScaler(), router())
    found = cross_val_score(model, X, y, cv=3, scoring=get_scorer(name), error_score="raise")
    both = RouteScorer(["coverage", name])
    for score, (train, test) in zip(found, StratifiedKFold(3).split(X, y), strict=True):
        fitted = clone(model).fit(X[train], y[train])
        assert score == get_scorer(name)(fitted, X[test], y[test]) == both(fitted, X[test], y[test])[name]
        assert score == get_scorer(name).score(fitted, X[test], y[test])
    assert (min(found) < 0) == name.startswith("neg_")


@every_name
def test_every_name_guides_a_search(name, rows):
    X, y, _ = rows
    grid = {"routingclassifier__policy__threshold": [0.85, 0.95]}
    model = make_pipeline(StandardScaler(), router())
    one = GridSearchCV(model, grid, cv=2, scoring=get_scorer(name), error_score="raise").fit(X, y)
    many = GridSearchCV(
        model, grid, cv=2, scoring=RouteScorer(["neg_cost", name]), refit=name, error_score="raise"
    ).fit(X, y)
    assert one.cv_results_["mean_test_score"] == pytest.approx(many.cv_results_[f"mean_test_{name}"])
    assert one.best_params_ == many.best_params_
    assert one.score(X, y) == pytest.approx(get_scorer(name)(many, X, y))


@every_name
def test_weights_reach_every_figure(name, rows, monkeypatch):
    X, y, weight = rows
    arrived = []
    measure = FigureScorer._measure

    def spy(self, names, estimator, X, y_true, sample_weight):
        arrived.append(sample_weight)
        return measure(self, names, estimator, X, y_true, sample_weight)

    monkeypatch.setattr(FigureScorer, "_measure", spy)
    with sklearn.config_context(enable_metadata_routing=True):
        model = RoutingClassifier(
            LogisticRegression().set_fit_request(sample_weight=False), cv=2, policy=RoutePolicy(0.85)
        )
        model.set_fit_request(sample_weight=True)
        options = {"cv": 3, "params": {"sample_weight": weight}, "error_score": "raise"}
        heard = cross_validate(model, X, y, scoring=get_scorer(name).set_score_request(sample_weight=True), **options)[
            "test_score"
        ]
        deaf = cross_validate(model, X, y, scoring=get_scorer(name).set_score_request(sample_weight=False), **options)[
            "test_score"
        ]
    for got, (_, test) in zip(arrived, StratifiedKFold(3).split(X, y), strict=False):
        np.testing.assert_array_equal(got, weight[test])
    assert arrived[3:] == [None] * 3
    # Watched rows there are none, without a class to watch; every other figure changes.
    assert heard.tolist() != deaf.tolist() or name == "watch_rate"


@every_figure_of_calibration
@pytest.mark.parametrize("n_classes", [2, 3])
def test_figures_of_calibration_need_no_routing(name, n_classes, rows):
    X, y, _ = rows
    kept = np.isin(y, CLASSES[:n_classes])
    for model in (GaussianNB(), make_pipeline(StandardScaler(), GaussianNB())):
        found = cross_val_score(model, X[kept], y[kept], cv=3, scoring=get_scorer(name), error_score="raise")
        assert np.isfinite(found).all()
        assert found.any()


def test_the_figure_is_that_of_the_fold(rows):
    X, y, weight = rows
    model = GaussianNB().fit(X[:120], y[:120])
    expected = calibration_error(y[120:], model.predict_proba(X[120:]), classes=CLASSES, sample_weight=weight[120:])
    assert get_scorer("neg_calibration_error")(model, X[120:], y[120:], weight[120:]) == -expected


@every_name
def test_a_fold_may_lack_a_class(name, rows):
    X, y, _ = rows
    fold = [(np.arange(240), np.flatnonzero(y != "vpn"))]
    found = cross_val_score(router(), X, y, cv=fold, scoring=get_scorer(name), error_score="raise")
    assert np.isfinite(found).all()


def test_two_classes_score_in_every_figure(rows):
    X, y, _ = rows
    kept = y != "vpn"
    model = RoutingClassifier(LogisticRegression(), cv=2, policy=RoutePolicy(0.8, watch={"attack": 0.4}))
    scores = cross_validate(model, X[kept], y[kept], cv=2, scoring=RouteScorer(get_scorer_names()), error_score="raise")
    for name in get_scorer_names():
        assert np.isfinite(scores[f"test_{name}"]).all()


def test_rows_are_predicted_once_a_fold_however_many_figures_are_asked(rows, monkeypatch):
    X, y, _ = rows
    calls = []
    predict_proba = RoutingClassifier.predict_proba
    monkeypatch.setattr(RoutingClassifier, "predict_proba", lambda self, X: calls.append(1) or predict_proba(self, X))
    base_calls = []
    base_proba = LogisticRegression.predict_proba
    monkeypatch.setattr(
        LogisticRegression, "predict_proba", lambda self, X: base_calls.append(1) or base_proba(self, X)
    )
    model = make_pipeline(StandardScaler(), router()).fit(X, y)
    base_calls.clear()
    model.predict_proba(X)
    once = len(base_calls)
    for figures in (["coverage"], ["neg_calibration_error"], get_scorer_names(), None):
        calls.clear()
        base_calls.clear()
        RouteScorer(figures)(model, X, y)
        assert len(calls) <= 1, figures
        assert len(base_calls) == once, figures
    calls.clear()
    cross_validate(model, X, y, cv=3, scoring=RouteScorer(get_scorer_names()), error_score="raise")
    assert len(calls) == 3


def test_routing_figures_from_shared_probabilities_are_those_of_explain_route(rows):
    X, y, weight = rows
    model = router().fit(X, y)
    both = RouteScorer(get_scorer_names())(model, X, y, sample_weight=weight)
    alone = RouteScorer()(model, X, y, sample_weight=weight)
    assert {name: both[name] for name in alone} == pytest.approx(alone)


def test_a_plain_classifier_has_no_figures_of_routing(rows):
    X, y, _ = rows
    with pytest.raises(TypeError, match=r"explain_route needs a fitted RoutingClassifier.* got GaussianNB"):
        get_scorer("coverage")(GaussianNB().fit(X, y), X, y)


@pytest.mark.parametrize("name", ["coverage", "neg_wrong_rate", "neg_cost", "neg_calibration_error"])
@pytest.mark.parametrize("missing", [None, np.nan])
def test_a_missing_label_is_not_a_wrong_one(name, missing, rows):
    X, y, _ = rows
    truth = np.append(y[1:].astype(object), missing)
    with pytest.raises(ValueError, match="without missing values"):
        get_scorer(name)(router().fit(X, y), X, truth)
