"""Rows of known chances, and routers that certify them."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from skroute import CertifiedPolicy, RoutingClassifier

OPEN = {"margin": None, "max_entropy": None}
LABELS = np.array(["attack", "unlock", "vpn"])
SHARES, CENTERS = np.array([0.2, 0.5, 0.3]), np.array([[-0.5, -1.2], [1.3, 0.0], [-0.7, 1.2]])


def draw(n_rows=900, seed=0):
    """Return features, labels, and the true probability of each class."""
    rng = np.random.default_rng(seed)
    codes = rng.choice(3, size=n_rows, p=SHARES)
    X = CENTERS[codes] + rng.normal(size=(n_rows, 2))
    chances = SHARES * np.exp(-((X[:, None, :] - CENTERS) ** 2).sum(axis=2) / 2.0)
    return X, LABELS[codes], chances / chances.sum(axis=1, keepdims=True)


def router(base=None, policy=None, **settings):
    base = LogisticRegression() if base is None else base
    policy = CertifiedPolicy(0.1, **OPEN) if policy is None else policy
    return RoutingClassifier(base, policy=policy, **{"method": "sigmoid"} | settings)


def certificates(fitted):
    return fitted.policy_.certificates_
