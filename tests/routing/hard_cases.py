"""Rows and gates for which a route that is not chosen with care comes out wrong."""

import math

import numpy as np
from strategies import WATCH_ORDERS

from skroute._rows import SUM_TOLERANCE
from skroute.routing._gates import SLACK, Gates
from skroute.routing._signals import measure


def lesson_gates(n_classes, **changes):
    numbers = {
        "thresholds": np.where(np.arange(n_classes) == n_classes - 1, 0.6, 0.8),
        "watch": np.where(np.arange(n_classes) == n_classes - 1, 0.34, np.inf),
        "margin": 0.30,
        "max_entropy": 0.45,
        "escalate_entropy": 0.80,
        "watch_order": "before",
    }
    return Gates(**numbers | changes)


def hard_rows(n_classes, rng, levels=(0.3, 0.45, 0.6, 0.8)):
    """Rows of all sorts: flat, peaked, tied, one-hot, uniform, of two atoms, on levels, with sums off by the most."""
    alphas = np.exp(rng.uniform(-4, 3, (60, 1))) * np.ones(n_classes)
    drawn = np.array([rng.dirichlet(alpha) for alpha in alphas])
    peaks = rng.choice([*levels, 0.05, 0.34, 0.4025, 0.5, 0.65, 0.9, 0.99], (60, 1))
    peaked = np.hstack([peaks, (1 - peaks) * rng.dirichlet(np.full(n_classes - 1, 0.3), 60)])
    # The rest spread evenly, and packed: on either end of the bounds.
    even = np.hstack([peaks, (1 - peaks) / (n_classes - 1) * np.ones(n_classes - 1)])
    packed = np.clip(1 - peaks * np.arange(n_classes), 0, peaks)
    tied = rng.integers(0, 4, (60, n_classes)) + 1e-300
    few = [np.eye(n_classes)[rng.integers(0, n_classes, 5)], np.full((2, n_classes), 1 / n_classes)]
    proba = np.vstack([drawn, peaked, even, packed, tied / tied.sum(axis=1, keepdims=True), *few])
    proba = np.clip(proba, 0, 1)
    proba /= proba.sum(axis=1, keepdims=True)
    off = proba[rng.integers(0, len(proba), 120)]
    off = off * np.where(off.max(axis=1) > 0.99, 1.0, rng.choice([1 - SUM_TOLERANCE, 1 + SUM_TOLERANCE], 120))[:, None]
    proba = np.vstack([proba, off])
    return rng.permuted(proba, axis=1)[rng.permutation(len(proba))]


def hard_gates(proba, rng):
    """Gates whose levels stand on cells, margins and entropies of the rows, or one ulp beside them."""
    n_classes = proba.shape[1]
    signals = measure(proba)

    def near(values):
        value = float(rng.choice(values))
        return max([value, math.nextafter(value, 2), math.nextafter(value, -1)][rng.integers(3)], 0.0)

    def gate(values):
        choice = rng.integers(4)
        return None if choice == 0 else min(near(values + [0.0, 0.0, SLACK, -SLACK][choice]), 1.0)

    cells = np.concatenate([proba.ravel(), signals.confidence, [0.34, 0.5, 0.8, np.inf]])
    thresholds = np.array([near(cells) for _ in range(n_classes)])
    if rng.random() < 0.4:
        thresholds[:] = thresholds[0]
    return Gates(
        thresholds=thresholds,
        watch=np.where(rng.random(n_classes) < rng.choice([0, 0.05, 0.3, 1]), [near(cells)] * n_classes, np.inf),
        margin=gate(signals.margin),
        max_entropy=gate(signals.entropy),
        escalate_entropy=gate(signals.entropy),
        watch_order=str(rng.choice(WATCH_ORDERS)),
    )
