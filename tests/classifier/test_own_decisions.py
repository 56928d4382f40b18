"""Policies of users that decide in another way."""

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
