import types

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline

from skroute import RoutePolicy, RoutingClassifier
from skroute.routing._keyed_params import KeyedParamsMixin

LABELS = [0, 2, -1, 2.5, True, False, "a__b", "c d", "é", "margin", "thresholds", "", "__", "watch__x", np.int64(3)]


class TwoDicts(KeyedParamsMixin, BaseEstimator):
    _keyed_params = ("levels",)

    def __init__(self, levels=None, inner=None):
        self.levels = levels
        self.inner = inner


def nested(policy):
    return Pipeline([("prep", "passthrough"), ("route", RoutingClassifier(LogisticRegression(), policy=policy))])


@pytest.mark.parametrize("parameter", ["thresholds", "watch"])
@pytest.mark.parametrize("label", LABELS)
def test_an_entry_of_any_label_is_listed_set_and_cloned(parameter, label):
    given = {label: 0.9, "other": 0.95}
    policy = RoutePolicy(**{parameter: given})
    name = f"{parameter}__{label}"
    assert policy.get_params()[name] == 0.9
    policy.set_params(**{name: 0.85})
    assert getattr(policy, parameter) == {label: 0.85, "other": 0.95}
    assert clone(policy).get_params()[name] == 0.85
    assert given == {label: 0.9, "other": 0.95}


@pytest.mark.parametrize("label", LABELS)
def test_an_entry_is_reached_through_pipeline_and_classifier(label):
    given = {label: 0.9}
    model = nested(RoutePolicy(thresholds=given))
    name = f"route__policy__thresholds__{label}"
    assert model.get_params()[name] == 0.9
    copy = clone(model).set_params(**{name: 0.85})
    assert copy.get_params()[name] == 0.85
    assert model.get_params()[name] == 0.9
    assert given == {label: 0.9}


def test_entries_are_listed_only_where_deep():
    policy = RoutePolicy(thresholds={"a": 0.9}, watch={"b": 0.3})
    assert set(policy.get_params(deep=False)) == {
        "threshold",
        "thresholds",
        "margin",
        "max_entropy",
        "escalate_entropy",
        "watch",
        "watch_order",
        "candidates",
        "candidates_by_class",
    }
    assert set(policy.get_params()) - set(policy.get_params(deep=False)) == {"thresholds__a", "watch__b"}


@pytest.mark.parametrize("label", LABELS)
def test_a_key_makes_the_dict_and_the_fit_finds_the_class_by_its_text(label):
    classes = np.array([label, "other"], dtype=object)
    policy = RoutePolicy().set_params(**{f"thresholds__{label}": 0.97}).fit([[0.5, 0.5]], classes=classes)
    assert policy.thresholds_ == {label: 0.97, "other": 0.80}
    assert policy.decide([[0.96, 0.04], [0.04, 0.96]]).tolist() == ["clarify", "auto"]


def test_a_new_label_makes_a_new_entry_and_leaves_the_others():
    given = {1: 0.9}
    policy = RoutePolicy(thresholds=given).set_params(thresholds__2=0.95, thresholds__1=0.91)
    assert policy.thresholds == {1: 0.91, "2": 0.95}
    assert given == {1: 0.9}


@pytest.mark.parametrize("whole_first", [True, False])
def test_the_whole_parameter_is_set_before_its_keys(whole_first):
    replacement = {"b": 0.7}
    pairs = [("thresholds", replacement), ("thresholds__c", 0.6)]
    policy = RoutePolicy(thresholds={"a": 0.9}).set_params(**dict(pairs if whole_first else pairs[::-1]))
    assert policy.thresholds == {"b": 0.7, "c": 0.6}
    assert replacement == {"b": 0.7}


def test_none_with_a_key_starts_from_nothing():
    policy = RoutePolicy(thresholds={"a": 0.9}).set_params(thresholds=None, thresholds__c=0.6)
    assert policy.thresholds == {"c": 0.6}


def test_any_mapping_serves_and_is_left_alone():
    given = types.MappingProxyType({"a": 0.9})
    policy = RoutePolicy(watch=given).set_params(watch__a=0.8)
    assert (policy.watch, dict(given)) == ({"a": 0.8}, {"a": 0.9})


def test_a_key_of_something_that_is_no_dict_is_refused():
    policy = RoutePolicy(thresholds=[0.9])
    with pytest.raises(ValueError, match=r"thresholds__a needs thresholds to be a dict or None, got \[0.9\]"):
        policy.set_params(thresholds__a=0.8)
    assert policy.thresholds == [0.9]


def test_unknown_parameters_are_refused_as_in_scikit_learn():
    with pytest.raises(ValueError, match="Invalid parameter 'treshold'"):
        RoutePolicy().set_params(treshold=0.8)


def test_parameters_of_nested_estimators_stay_reachable_beside_keys():
    model = TwoDicts({"C": 1}, LogisticRegression(C=2)).set_params(inner__C=3, levels__C=4)
    assert (model.inner.C, model.levels) == (3, {"C": 4})
    assert model.get_params()["inner__C"] == 3


def test_set_params_returns_the_policy_itself():
    policy = RoutePolicy()
    assert policy.set_params(watch__a=0.3) is policy
    assert policy.set_params() is policy


def test_a_clone_does_not_share_its_dict():
    policy = RoutePolicy(thresholds={"a": 0.9})
    clone(policy).thresholds["a"] = 0.1
    assert policy.thresholds == {"a": 0.9}


def test_the_printed_forms_hold_the_dict():
    policy = RoutePolicy(thresholds={"a__b": 0.9})
    assert repr(policy) == "RoutePolicy(thresholds={'a__b': 0.9})"
    assert "a__b" in policy._repr_html_()


class Searched:
    """Three classes of iris under names that need care, and a score that prefers the strictest threshold."""

    names = np.array(["a__b", "c d", "é"])
    X, y = load_iris(return_X_y=True)

    @staticmethod
    def strictness(estimator, X, y):
        return estimator[-1].policy_.thresholds_["a__b"]


@pytest.mark.parametrize(
    ("search", "kwargs"), [(GridSearchCV, {}), (RandomizedSearchCV, {"n_iter": 2, "random_state": 0})]
)
@pytest.mark.parametrize("policy", [None, RoutePolicy(thresholds={"a__b": 0.9})])
def test_searches_set_the_threshold_of_one_class(search, kwargs, policy):
    name = "route__policy__thresholds__a__b"
    model = nested(policy).set_params(route__estimator__max_iter=500, route__cv=2)
    found = search(model, {name: [0.95, 0.99]}, scoring=Searched.strictness, cv=2, **kwargs)
    found.fit(Searched.X, Searched.names[Searched.y])
    assert found.best_params_ == {name: 0.99}
    assert found.best_estimator_[-1].policy_.thresholds_ == {"a__b": 0.99, "c d": 0.8, "é": 0.8}
    assert policy is None or policy.thresholds == {"a__b": 0.9}


def test_searches_set_the_threshold_of_a_number():
    grid = {"policy__thresholds__0": [0.85, 0.99], "policy__watch__2": [0.2, 0.3]}
    model = RoutingClassifier(LogisticRegression(max_iter=500), cv=2)
    found = GridSearchCV(model, grid, cv=2).fit(Searched.X, Searched.y)
    assert len(found.cv_results_["params"]) == 4
    policy = found.best_estimator_.policy_
    assert policy.thresholds_[0] == found.best_params_["policy__thresholds__0"]
    assert policy.watch_ == {2: found.best_params_["policy__watch__2"]}


def test_an_entry_of_a_single_value_is_refused_with_the_names_that_have_entries():
    with pytest.raises(ValueError, match=r"threshold has no entries\. Those with entries are thresholds, watch"):
        RoutePolicy().set_params(threshold__vpn=0.9)
