"""Policies of users that decide in another way."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression

from skroute import RoutePolicy, RoutingClassifier
from skroute.metrics import RouteScorer


class Night(RoutePolicy):
    """Nothing is automatic."""

    def decide(self, proba):
        routes = super().decide(proba)
        return np.where(routes == "auto", "watch", routes)


class Told(RoutePolicy):
    def explain(self, proba):
        table = super().explain(proba)
        return dataclasses.replace(table, route=np.full(len(table), "clarify"))


class Both(RoutePolicy):
    def routes_and_labels(self, proba):
        routes, labels = super().routes_and_labels(proba)
        return np.full(len(routes), "escalate"), labels


@pytest.mark.parametrize("policy", [Night(), Told(), Both(), RoutePolicy()])
@pytest.mark.parametrize("figures", [["coverage"], ["coverage", "neg_calibration_error"]])
@pytest.mark.parametrize("ensemble", [False, True])
def test_routes_that_are_scored_are_those_that_are_predicted(data, policy, figures, ensemble):
    X, y, _ = data()
    router = RoutingClassifier(LogisticRegression(), policy=policy, ensemble=ensemble).fit(X, y)
    routes = router.predict_route(X)
    assert ("auto" in routes) != isinstance(policy, Night)
    assert RouteScorer(figures)(router, X, y)["coverage"] == (routes == "auto").mean()


class Foreign(BaseEstimator):
    """A policy that shares no code with this library's."""

    def check(self, classes):
        pass

    def fit(self, proba, y=None, *, classes=None, sample_weight=None):
        self.inner_ = RoutePolicy().fit(proba, classes=classes)
        return self

    def hold_back(self, labels):
        self.inner_.hold_back(labels)

    def decide(self, proba):
        routes = self.inner_.decide(proba)
        routes[::2] = "clarify"
        return routes

    def explain(self, proba):
        return self.inner_.explain(proba)


class Older(RoutingClassifier):
    """Written before probabilities could be handed on."""

    n_asked = 0

    def predict_proba(self, X):
        Older.n_asked += 1
        return super().predict_proba(X)

    def routes_and_labels(self, X):
        return super().routes_and_labels(X)


@pytest.mark.parametrize("figures", [["coverage"], ["coverage", "neg_calibration_error"]])
def test_routes_of_others_are_scored_as_they_are_predicted(data, figures):
    X, y, _ = data()
    for router in (RoutingClassifier(LogisticRegression(), policy=Foreign()), Older(LogisticRegression())):
        router.fit(X, y)
        assert RouteScorer(figures)(router, X, y)["coverage"] == (router.predict_route(X) == "auto").mean()


def test_the_classifier_is_asked_once_for_all_figures(data):
    class Counting(Older):
        def routes_and_labels(self, X, *, proba=None):
            return RoutingClassifier.routes_and_labels(self, X, proba=proba)

    X, y, _ = data()
    for policy in (RoutePolicy(), Night(), Foreign()):
        router = Counting(LogisticRegression(), policy=policy).fit(X, y)
        Older.n_asked = 0
        RouteScorer(["coverage", "neg_calibration_error"])(router, X, y)
        assert Older.n_asked == 1


def test_a_policy_of_other_classes_is_refused_by_every_scorer(data):
    X, y, _ = data()
    router = RoutingClassifier(LogisticRegression()).fit(X, y)
    router.policy_ = RoutePolicy().fit(router.predict_proba(X), classes=[2, 1, 0])
    for figures in (["coverage"], ["coverage", "neg_calibration_error"]):
        with pytest.raises(ValueError, match="policy_ decides between the classes"):
            RouteScorer(figures)(router, X, y)


def test_decide_is_given_all_rows_at_once(data):
    """However many there are: it may choose among them."""

    class Capped(RoutePolicy):
        def decide(self, proba):
            routes = super().decide(proba).copy()
            routes[np.flatnonzero(routes == "auto")[50:]] = "clarify"
            return routes

    X, y, _ = data()
    router = RoutingClassifier(LogisticRegression(), policy=Capped(), ensemble=False).fit(X, y)
    many = np.tile(X, (1000, 1))
    assert (router.predict_route(many) == "auto").sum() == 50
    assert (router.routes_and_labels(many)[0] == "auto").sum() == 50


def test_what_a_policy_decides_is_what_is_scored(data):
    class Brave(RoutePolicy):
        def decide(self, proba):
            routes, labels = self.routes_and_labels(proba)
            return np.where(labels == 1, "clarify", routes)

    X, y, _ = data()
    router = RoutingClassifier(LogisticRegression(), policy=Brave()).fit(X, y)
    routes, labels = router.routes_and_labels(X)
    assert_array_equal(routes, router.predict_route(X))
    assert_array_equal(labels, router.explain_route(X).label)
    assert set(routes[labels == 1]) == {"clarify"}


def test_decide_and_explain_are_overridden_together(data):
    class Asking(RoutePolicy):
        def decide(self, proba):
            return np.where(np.argmax(proba, axis=1) == 1, "clarify", super().decide(proba))

        def explain(self, proba):
            return dataclasses.replace(super().explain(proba), route=self.decide(proba))

    X, y, _ = data()
    router = RoutingClassifier(LogisticRegression(), policy=Asking()).fit(X, y)
    table = router.explain_route(X)
    assert_array_equal(table.route, router.predict_route(X))
    assert set(table.route[table.label == 1]) == {"clarify"}
    assert_array_equal(router.routes_and_labels(X)[0], table.route)
