"""Costs, rows and fits that the tests of `CostPolicy` share."""

import numpy as np

from skroute.policies import CostPolicy, RoutingCosts

CLASSES = ["unlock", "vpn", "security"]
COSTS = RoutingCosts(
    {
        "unlock": {"unlock": 0, "vpn": 5, "security": 20, "watch": 4, "escalate": 8, "clarify": 3},
        "vpn": {"unlock": 5, "vpn": 0, "security": 20, "watch": 4, "escalate": 8, "clarify": 3},
        "security": {"unlock": 200, "vpn": 200, "security": 0, "watch": 5, "escalate": 1, "clarify": 60},
    }
)
MATRIX = COSTS.matrix(CLASSES)
RULES = ("bayes", "thresholds")


def draw(n, seed):
    """Calibrated rows: the labels are drawn from the probabilities."""
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet([0.6, 0.4, 0.06], n)
    y = (rng.random((n, 1)) > proba.cumsum(axis=1)).sum(axis=1)
    return proba, np.array(CLASSES)[y]


PROBA, Y = draw(1500, 0)


def fitted(proba=PROBA, **params):
    return CostPolicy(COSTS, **params).fit(proba, classes=CLASSES)


def expected(policy, proba):
    """The mean expected cost of the routes, written out."""
    table = policy.explain(proba)
    columns = [*CLASSES, "watch", "escalate", "clarify"]
    actions = [
        columns.index(label if route == "auto" else route)
        for label, route in zip(table.label, table.route, strict=True)
    ]
    return np.mean((proba @ MATRIX)[np.arange(len(proba)), actions])


def reviewed(policy, proba):
    return np.mean(policy.decide(proba) != "auto")
