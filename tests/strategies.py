"""Rows, numbers and the plain definition of a route, shared by the property tests."""

import math

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

WATCH_ORDERS = ("before", "after", "flag", "top")

# A busy machine may take its time over one example.
unhurried = settings(deadline=None)

levels = st.integers(0, 100).map(lambda i: i / 100) | st.floats(0, 1)
thresholds = levels | st.just(math.inf)
switchable = st.none() | levels
n_classes = st.integers(2, 6)


@st.composite
def rows(draw, n_classes, max_rows=6):
    """Rows on the simplex; whole weights, so that ties, zeros and one-hot rows are common."""
    weight = st.integers(0, 20) | st.integers(0, 10**6)
    weights = st.lists(weight, min_size=n_classes, max_size=n_classes).filter(any)
    drawn = np.array(draw(st.lists(weights, min_size=1, max_size=max_rows)), dtype=float)
    return drawn / drawn.sum(axis=1, keepdims=True)


@st.composite
def gates(draw, n_classes):
    """Every number of a policy as a dict; thresholds and watches as lists in the order of the classes."""
    watched = st.just(math.inf) | thresholds
    return {
        "thresholds": draw(st.lists(thresholds, min_size=n_classes, max_size=n_classes)),
        "watch": draw(st.lists(watched, min_size=n_classes, max_size=n_classes)),
        "margin": draw(switchable),
        "max_entropy": draw(switchable),
        "escalate_entropy": draw(switchable),
        "watch_order": draw(st.sampled_from(WATCH_ORDERS)),
    }


def plain_entropy(row):
    """Return the normalised entropy of one renormalised row."""
    shares = [p / math.fsum(row) for p in row]
    return -math.fsum(share * math.log2(share) for share in shares if share > 0) / math.log2(len(row))


def plain_route(row, *, thresholds, watch, margin, max_entropy, escalate_entropy, watch_order):
    """Return the route of one row by the definition, step by step."""
    row = [float(p) for p in row]
    second, first = sorted(row)[-2:]
    top, entropy = row.index(first), plain_entropy(row)
    auto = first >= thresholds[top]
    auto = auto and (margin is None or first - second >= margin - 1e-12)
    auto = auto and (max_entropy is None or entropy <= max_entropy + 1e-12)
    fired = {c for c, level in enumerate(watch) if row[c] >= level}
    counted = {"before": fired, "after": fired, "flag": set(), "top": fired & {top}}[watch_order]
    if auto and not (watch_order == "before" and fired - {top}):
        return "auto"
    if counted:
        return "watch"
    return "escalate" if escalate_entropy is not None and entropy >= escalate_entropy - 1e-12 else "clarify"
