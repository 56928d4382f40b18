"""Policies of users that decide in another way."""

import dataclasses

import numpy as np
from numpy.testing import assert_array_equal
from sklearn.linear_model import LogisticRegression

from skroute import RoutePolicy, RoutingClassifier


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
