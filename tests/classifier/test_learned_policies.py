import json
import math
import pickle
import warnings

import numpy as np
import pytest
import sklearn
from classifier.certified_rows import LABELS, OPEN, certificates, draw, router
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skroute import CertifiedPolicy, RoutePolicy, explain_route, predict_route
from skroute.datasets import make_tickets
from skroute.exceptions import GroupedRowsWarning, RareClassWarning, UncertifiedClassWarning
from skroute.metrics import RouteScorer

pytestmark = pytest.mark.filterwarnings("ignore::skroute.exceptions.UncertifiedClassWarning")

# Where the rows come from


@pytest.mark.parametrize("ensemble", [False, True, "auto"])
def test_without_holdout_the_guarantee_is_approximate(ensemble):
    X, y, _ = draw()
    fitted = router(ensemble=ensemble).fit(X, y)
    assert certificates(fitted).status.tolist().count("certified") == 3
    assert set(certificates(fitted).guarantee) == {"approximate"}
    assert set(fitted.predict_route(X)) <= {"auto", "watch", "escalate", "clarify"}


@pytest.mark.parametrize("ensemble", [False, True])
def test_with_holdout_it_is_exact_and_found_on_the_rows_held_out(ensemble):
    X, y, _ = draw(1500)
    fitted = router(holdout=0.4, ensemble=ensemble, random_state=0).fit(X, y)
    assert set(certificates(fitted).guarantee[certificates(fitted).status == "certified"]) == {"exact"}
    assert certificates(fitted).rows.sum() == pytest.approx(600, abs=1)
    # What was held out is not what the reliability table was measured on.
    again = clone(fitted.policy_)
    again.fit(fitted.predict_proba(X), y)
    assert again.thresholds_ != fitted.policy_.thresholds_


def test_thresholds_are_those_of_the_policy_on_the_same_rows():
    X, y, _ = draw()
    halves = np.arange(900) % 2
    model = LogisticRegression().fit(X[halves == 0], y[halves == 0])
    X, y = X[halves == 1], y[halves == 1]
    fitted = router(FrozenEstimator(model), method="none").fit(X, y)
    alone = CertifiedPolicy(0.1, **OPEN).fit(model.predict_proba(X), y)
    assert fitted.policy_.thresholds_ == pytest.approx(alone.thresholds_, abs=1e-12)
    assert str(certificates(fitted)) == str(alone.certificates_)
    assert fitted.predict_route(X).tolist() == alone.decide(model.predict_proba(X)).tolist()


@pytest.mark.parametrize("method", ["none", "sigmoid", "auto"])
@pytest.mark.parametrize("holdout", [None, 0.5])
def test_a_frozen_classifier_is_certified(method, holdout):
    X, y, _ = draw(1200)
    model = LogisticRegression().fit(X[:300], y[:300])
    fitted = router(FrozenEstimator(model), method=method, holdout=holdout, random_state=0).fit(X[300:], y[300:])
    assert set(certificates(fitted).guarantee) <= {"exact" if holdout else "approximate", "none"}
    assert (certificates(fitted).status == "certified").any()


def test_a_class_that_only_the_frozen_classifier_knows_is_named():
    X, y, _ = draw()
    model = LogisticRegression().fit(X, y)
    some = y != "vpn"
    with pytest.warns(UncertifiedClassWarning, match="vpn"), pytest.warns(RareClassWarning):
        fitted = router(FrozenEstimator(model)).fit(X[some], y[some])
    assert fitted.policy_.thresholds_["vpn"] == math.inf


@pytest.mark.parametrize("holdout", [None, 0.3])
def test_a_class_too_rare_to_be_seen_by_all_models_is_held_back(holdout):
    X, y, _ = draw()
    y = y.copy()
    y[:1] = "z"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        policy = CertifiedPolicy(0.2, thresholds={"z": 0.5}, **OPEN)
        fitted = router(policy=policy, holdout=holdout, random_state=0).fit(X, y)
    assert [warning.category for warning in caught].count(RareClassWarning) == 1
    assert fitted.policy_.thresholds_["z"] == math.inf
    assert certificates(fitted).of("z")["status"] == "held_back"
    assert (certificates(fitted).status[:3] == "certified").any()


def test_a_class_of_few_rows_gives_one_warning_each_and_no_error():
    X, y, _ = draw()
    y = y.copy()
    y[:6] = "z"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted = router(holdout=0.4, random_state=0).fit(X, y)
    assert [warning.category for warning in caught].count(UncertifiedClassWarning) == 1
    assert certificates(fitted).of("z")["status"] == "too_few_rows"


def test_recall_is_certified_as_well():
    X, y, _ = draw(1500)
    policy = CertifiedPolicy(0.1, min_recall={"attack": 0.9}, **OPEN)
    fitted = router(policy=policy, holdout=0.4, random_state=0).fit(X, y)
    assert certificates(fitted).of("attack", "recall")["guarantee"] == "exact"
    new, truth, _ = draw(5000, seed=1)
    table = fitted.explain_route(new)
    caught = (table.route == "watch") | ((table.route == "auto") & (table.label == "attack"))
    assert caught[truth == "attack"].mean() > 0.88


def test_candidate_sets_are_those_of_the_policy():
    X, y, _ = draw(1500)
    fitted = router(policy=RoutePolicy(candidates=0.9)).fit(X, y)
    new, truth, _ = draw(3000, seed=1)
    sets = fitted.candidate_sets(new)
    assert sets.tolist() == fitted.policy_.candidate_sets(fitted.predict_proba(new)).tolist()
    assert np.mean([label in found for label, found in zip(truth, sets, strict=True)]) > 0.87
    with pytest.raises(ValueError, match="candidate_sets needs sets that fit has learned"):
        router(policy=RoutePolicy()).fit(X, y).candidate_sets(new)
    with pytest.raises(NotFittedError):
        router().candidate_sets(new)


def test_a_policy_of_other_classes_is_refused():
    X, y, _ = draw()
    fitted = router(policy=RoutePolicy(candidates=0.9)).fit(X, y)
    assert fitted.policy_.classes_ is fitted.classes_
    proba = fitted.predict_proba(X)
    loaded = RoutePolicy.from_dict(fitted.policy_.to_dict())
    fitted.policy_ = loaded
    assert fitted.predict_route(X).tolist() == loaded.decide(proba).tolist()
    fitted.policy_ = RoutePolicy(candidates=0.9).fit(proba[:, ::-1], y, classes=LABELS[::-1])
    for method in (fitted.predict_route, fitted.explain_route, fitted.candidate_sets):
        with pytest.raises(
            ValueError, match="'vpn', 'unlock', 'attack', and the router between 'attack', 'unlock', 'vpn'"
        ):
            method(X)


def test_groups_without_metadata_routing_say_what_to_do():
    X, y, _ = draw()
    groups = np.arange(len(y)) % 30
    for settings, params in [
        ({"cv": StratifiedGroupKFold(3)}, {"groups": groups}),
        ({"cv": StratifiedGroupKFold(3)}, {}),
        ({"cv": GroupShuffleSplit(3)}, {"groups": None}),
        ({}, {"groups": groups}),
    ]:
        with pytest.raises(ValueError, match=r"groups .*enable_metadata_routing=True.*StratifiedGroupKFold"):
            router(**settings).fit(X, y, **params)
    router().fit(X, y, groups=None)


# Weights and groups


def test_weights_reach_the_policy():
    X, y, _ = draw()
    weight = np.arange(900) % 3 * 1.0
    counted = certificates(router().fit(X, y, sample_weight=weight))
    assert counted.rows.sum() == weight.sum()
    some = certificates(router().fit(X, y, sample_weight=np.where(weight > 0, 0.37, 0.0)))
    assert some.rows.sum() == (weight > 0).sum()
    assert (some.coverage <= 1.0).all()


def test_copies_in_plain_folds_break_the_promise_and_groups_keep_them_together():
    """Each row stands in the data twice, as tickets do that are forwarded or asked again."""
    X, y, _ = draw(300)
    X, y, groups = np.concatenate([X, X + 1e-4]), np.tile(y, 2), np.tile(np.arange(300), 2)
    forest = RandomForestClassifier(10, random_state=0)
    new, _, chances = draw(5000, seed=1)

    def worst(fitted):
        table = fitted.explain_route(new)
        errors = [
            1.0 - chances[(table.route == "auto") & (table.label == label), place].mean()
            for place, label in enumerate(LABELS)
            if ((table.route == "auto") & (table.label == label)).any()
        ]
        return max(errors, default=0.0)

    assert worst(router(forest).fit(X, y)) > 0.15
    with sklearn.config_context(enable_metadata_routing=True):
        for holdout in (None, 0.4):
            cv = StratifiedGroupKFold(3).set_split_request(groups=True)
            fitted = router(forest, cv=cv, holdout=holdout, random_state=0)
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always", GroupedRowsWarning)
                fitted.fit(X, y, groups=groups)
            promised = (certificates(fitted).status == "certified").any()
            assert promised == any(issubclass(one.category, GroupedRowsWarning) for one in told)
            assert worst(fitted) < 0.13


# In the company of scikit-learn


def test_a_search_over_targets_fits_each_of_them(tmp_path):
    X, y, _ = draw()
    grid = {"policy__max_error": [0.05, 0.1, {"vpn": 0.1}], "policy__confidence": [0.8, 0.95]}
    search = GridSearchCV(
        router(cv=2, memory=str(tmp_path)), grid, cv=2, scoring=RouteScorer(["coverage"]), refit="coverage"
    )
    search.fit(X, y)
    assert len(search.cv_results_["params"]) == 6
    assert search.best_params_ == {"policy__max_error": 0.1, "policy__confidence": 0.8}
    assert explain_route(search, X).to_records() == search.best_estimator_.explain_route(X).to_records()


def test_single_entries_are_searched():
    X, y, _ = draw(400)
    policy = CertifiedPolicy({"*": 0.2}, **OPEN)
    grid = {"policy__max_error__vpn": [0.1, 0.4], "policy__thresholds__attack": [0.6]}
    search = GridSearchCV(
        router(policy=policy, cv=2), grid, cv=2, scoring=RouteScorer(["coverage"]), refit="coverage"
    ).fit(X, y)
    assert search.best_estimator_.policy_.max_error["vpn"] == 0.4
    assert certificates(search.best_estimator_).of("attack")["status"] == "given"


def test_memory_changes_nothing(tmp_path):
    X, y, _ = draw(400)
    plain = router(random_state=0, holdout=0.4).fit(X, y)
    for _ in range(2):
        cached = router(random_state=0, holdout=0.4, memory=str(tmp_path)).fit(X, y)
        assert str(certificates(cached)) == str(certificates(plain))


def test_cross_validation_measures_what_was_promised():
    X, y, _ = draw(1500)
    scores = cross_validate(router(), X, y, cv=3, scoring=RouteScorer(), error_score="raise")
    assert scores["test_coverage"].min() > 0.2
    assert scores["test_auto_accuracy"].min() > 0.86


def test_text_goes_through_pipelines():
    tickets = make_tickets(1200, random_state=0)
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10))
    fitted = router(model, CertifiedPolicy(0.2), cv=3).fit(tickets.data, tickets.target)
    assert certificates(fitted).label.tolist() == tickets.target_names.tolist()
    assert (certificates(fitted).status == "certified").any()
    whole = make_pipeline(StandardScaler(), router()).fit(*draw()[:2])
    assert set(predict_route(whole, draw()[0])) <= {"auto", "clarify", "escalate"}


@pytest.mark.parametrize("labels", [np.array([3, 1, 2]), np.array([True, False, True]), np.array([0.0, 1.0, 2.0])])
def test_labels_of_any_type_are_certified(labels):
    X, y, _ = draw()
    fitted = router().fit(X, labels[np.searchsorted(LABELS, y)])
    assert list(fitted.policy_.thresholds_) == np.unique(labels).tolist()
    data = json.loads(json.dumps(fitted.policy_.to_dict(), allow_nan=False))
    served = CertifiedPolicy.from_dict(data)
    assert served.decide(fitted.predict_proba(X)).tolist() == fitted.predict_route(X).tolist()


def test_routers_are_cloned_and_pickled():
    X, y, _ = draw(400)
    fitted = router(policy=CertifiedPolicy({"*": 0.1}, min_recall={"vpn": 0.8})).fit(X, y)
    again = pickle.loads(pickle.dumps(fitted))
    assert again.predict_route(X).tolist() == fitted.predict_route(X).tolist()
    assert clone(fitted).policy.get_params() == fitted.policy.get_params()
    assert not hasattr(fitted.policy, "thresholds_")


@pytest.mark.parametrize(
    "policy",
    [
        CertifiedPolicy(5),
        CertifiedPolicy({"vpm": 0.1}),
        CertifiedPolicy(confidence=1.0),
        CertifiedPolicy(min_recall={"vpn": 0.9}, watch_order="after"),
        CertifiedPolicy(thresholds={"vpn": 5}),
    ],
)
def test_a_bad_policy_is_found_before_anything_is_fitted(policy):
    class Untouched(LogisticRegression):
        def fit(self, X, y, sample_weight=None):
            raise AssertionError("fitted")

    X, y, _ = draw(60)
    fitted = router().fit(X, y)
    before = vars(fitted).copy()
    fitted.set_params(policy=policy, estimator=Untouched())
    with pytest.raises(ValueError, match="parameter of CertifiedPolicy"):
        fitted.fit(X, y)
    assert {name: fitted.__dict__[name] for name in before if name.endswith("_")} == {
        name: value for name, value in before.items() if name.endswith("_")
    }


# The promise, from features to routes


def broken(seed, new, chances, **settings):
    """Return for each class whether the true error of what is routed to it exceeds its target."""
    X, y, _ = draw(400, seed=seed)
    fitted = router(**settings).fit(X, y)
    table = fitted.explain_route(new)
    routed = [(table.route == "auto") & (table.label == label) for label in LABELS]
    return [bool(rows.any()) and (1.0 - chances[rows, place]).mean() > 0.1 + 1e-3 for place, rows in enumerate(routed)]


@pytest.mark.parametrize(
    ("draws", "settings"),
    [
        pytest.param(10, {"cv": 2}, id="few draws, cv"),
        pytest.param(60, {}, id="cv", marks=pytest.mark.slow),
        pytest.param(60, {"holdout": 0.4}, id="holdout", marks=pytest.mark.slow),
        pytest.param(
            30, {"base": RandomForestClassifier(10, min_samples_leaf=3, random_state=0), "cv": StratifiedKFold(3)},
            id="forest", marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_the_promise_of_each_class_is_broken_at_most_as_often_as_said(draws, settings):
    new, _, chances = draw(5_000, seed=10_000)
    rates = np.mean([broken(seed, new, chances, **settings) for seed in range(draws)], axis=0)
    assert rates.max() <= 0.1 + 3.0 * math.sqrt(0.09 / draws)
