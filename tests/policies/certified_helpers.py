"""Rows, labels and fits that the tests of `CertifiedPolicy` share."""

import warnings

import numpy as np

from skroute import RoutePolicy
from skroute.exceptions import DeadGateWarning, UncertifiedClassWarning
from skroute.policies._certify import certify_class

CLASSES = ["attack", "unlock", "vpn"]
OPEN = {"margin": None, "max_entropy": None}


def draw(n_rows=1500, classes=CLASSES, seed=0, spread=0.3):
    """Return calibrated probabilities and labels drawn from them."""
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.full(len(classes), spread), size=n_rows)
    codes = (proba.cumsum(axis=1)[:, :-1] < rng.random((n_rows, 1))).sum(axis=1)
    return proba, np.array(classes)[codes]


def quietly(policy, *data, **more):
    """Fit, whether or not some class is not certified."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UncertifiedClassWarning)
        return policy.fit(*data, **more)


def gated(policy, proba):
    """Tell which rows pass everything but the threshold, by a policy that has none."""
    given = {name: getattr(policy, f"{name}_") for name in ("margin", "max_entropy", "escalate_entropy", "watch_order")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeadGateWarning)
        plain = RoutePolicy(0.0, watch=policy.watch_, **given).fit(proba, classes=policy.classes_)
    return plain.decide(proba) == "auto"


def expected(policy, proba, y, label, target, *, reference=None, weight=None, weights="auto", risk=None):
    """Certify one class on the rows that pass all gates."""
    place = policy.classes_.tolist().index(label)

    def part(values):
        return gated(policy, values) & (np.argmax(values, axis=1) == place)

    chosen = part(proba)
    return certify_class(
        proba[chosen].max(axis=1),
        np.asarray(y)[chosen] != label,
        max_error=target,
        risk=1.0 - policy.confidence if risk is None else risk,
        reference=None if reference is None else reference[part(reference)].max(axis=1),
        weight=None if weight is None else weight[chosen],
        weights=weights,
        largest_weight=weight.max() if weights == "importance" else None,
    )


def state(policy):
    """Return all that a fit has learned, in a form that can be compared."""
    return {name: repr(value) for name, value in vars(policy).items() if name.endswith("_")}
