"""The probabilities of a single row, by plain Python: for one row NumPy's calls cost many times what they compute.

Each function says what another one says of many rows, which is the definition: `row_in_units` as `in_units`,
`shares_of_row` as `normalise`, `log_row` as `Link.log_proba`, `scaled_row` as `proba` of either scaling, `mixture_row`
as `Members.mixture`, `mixed_row` as `mixed_with_uniform`, and `on_curve` as `numpy.interp`.
"""

import math
from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from skroute.calibration._links import Link
from skroute.calibration._matrix_fit import MatrixScaling
from skroute.calibration._pool import LEAST_PROBA, Members
from skroute.calibration._scores import LARGE_SCORE
from skroute.calibration._softmax import uniform_share
from skroute.calibration._vector_fit import VectorScaling

__all__ = [
    "MOST_CLASSES",
    "MOST_SCALED",
    "MOST_TEMPERED",
    "finite_row",
    "log_row",
    "mixed_row",
    "mixture_row",
    "on_curve",
    "row_in_units",
    "scaled_row",
    "shares_of_row",
    "tempered_row",
]

# From more classes on, NumPy is quicker: where each class has a function of its own, where all share a temperature, and
# where something is learned of each beside it.
MOST_CLASSES, MOST_TEMPERED, MOST_SCALED = 64, 16, 32
# Quotients of probabilities that keep all digits.
LEAST_RATIO = 1e-290

Row = list[float]


def finite_row(scores: NDArray[np.float64], most: int) -> Row | None:
    """Return the one row of a matrix; None where there are several, or more classes, or a score is not finite."""
    n_rows, n_classes = scores.shape
    if n_rows != 1 or n_classes > most:
        return None
    row: Row = scores[0].tolist()
    return row if math.isfinite(sum(row)) else None


def row_in_units(scores: Row, unit: float, from_proba: bool) -> Row:
    """Return decision values in units, cut where they are certainties at any temperature."""
    return scores if from_proba else [min(max(score / unit, -LARGE_SCORE), LARGE_SCORE) for score in scores]


def shares_of_row(proba: Row) -> Row:
    """Return values over their sum; zeros, which say nothing, become uniform."""
    total = sum(proba)
    return [value / total for value in proba] if total > 0.0 else [1.0 / len(proba)] * len(proba)


def tempered_row(scores: Row, floor: float | None, beta: float) -> Row:
    """Return the softmax of logits, or of the logarithms of probabilities to which a floor was added, by one slope."""
    if floor is not None:
        floored = [score + floor if score > 0.0 else floor for score in scores]
        largest = max(floored)
        if floor >= LEAST_RATIO * largest > 0.0:
            powers = [(p / largest) ** beta for p in floored]
            total = sum(powers)
            return [power / total for power in powers]
        if largest <= 0.0:
            return [1.0 / len(scores)] * len(scores)
        scores = [math.log(p) if p > 0.0 else -math.inf for p in floored]
    # Before they are multiplied: a product of large scores is not finite.
    largest = max(scores)
    return softmax_row([beta * (score - largest) for score in scores])


def softmax_row(logits: Row) -> Row:
    """Return probabilities from logits."""
    largest, exp = max(logits), math.exp
    powers = [exp(logit - largest) for logit in logits]
    total = sum(powers)
    return [power / total for power in powers]


def scaled_row(scaling: VectorScaling | MatrixScaling, z: Row) -> Row:
    """Return what a vector or a matrix makes of log-probabilities."""
    if isinstance(scaling, VectorScaling):
        slope, bias = scaling.numbers
        return softmax_row([value * s + b for value, s, b in zip(z, slope, bias, strict=True)])
    moved = np.array([*z, 1.0]) @ scaling.theta
    return softmax_row([value + m for value, m in zip(z, moved.tolist(), strict=True)])


def log_row(link: Link, scores: Row) -> Row:
    """Return log-probabilities."""
    if link.slope is not None:
        raw = [link.slope * score + link.intercept for score in scores]
        scores = [min(value, 0.0) - math.log1p(math.exp(-abs(value))) for value in raw]
    elif link.floor is not None:
        floor, log = link.floor, math.log
        scores = [log(score + floor if score > 0.0 else floor) for score in scores]
    largest = max(scores)
    beta = link.beta
    logits = [beta * (score - largest) for score in scores]
    log_total = math.log(sum(map(math.exp, logits)))
    return [logit - log_total for logit in logits]


def on_curve(value: float, x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return the value of a function that is linear between knots, and constant outside them."""
    place = bisect_right(x, value)
    if place == 0:
        return float(y.item(0))
    if place == len(x):
        return float(y.item(-1))
    left, low = x.item(place - 1), y.item(place - 1)
    found: float = (y.item(place) - low) / (x.item(place) - left) * (value - left) + low
    # Huge numbers cancel each other.
    return found if math.isfinite(found) else float(np.interp(value, x, y))


def mixed_row(proba: Row, total: float) -> Row:
    """Return probabilities with a part of a uniform row mixed in."""
    share = uniform_share(total)
    rest, part = 1.0 - share, share / len(proba)
    return [rest * value + part for value in proba]


def mixture_row(members: Members, weights: dict[str, float], scores: Row) -> Row:
    """Return the probabilities of the members, weighted, and mixed with the uniform distribution."""
    used = {name: weight for name, weight in weights.items() if weight > 0.0}
    z = plain = log_row(members.link, scores)
    found = {"uniform": [1.0 / len(z)] * len(z)}
    if "temperature" in used:
        found["temperature"] = list(map(math.exp, z))
    if "vector" in used or "isotonic" in used:
        found["vector"] = scaled_row(members.vector, z)
    if members.curves is not None and "isotonic" in used:
        pairs = zip(found["vector"], members.curves, strict=True)
        on_curves = [p if curve is None else on_curve(p, *curve) for p, curve in pairs]
        found["isotonic"] = shares_of_row([max(p, LEAST_PROBA) for p in on_curves])
    if members.other is not None and ("matrix" in used or "vector, other link" in used):
        z_other = log_row(members.other, scores)
        if members.other_vector is not None:
            found["vector, other link"] = scaled_row(members.other_vector, z_other)
        plain = z if members.link.slope is None else z_other
    if members.matrix is not None and "matrix" in used:
        found["matrix"] = scaled_row(members.matrix, plain)
    mixture: Row = []
    for name, weight in used.items():
        parts = [weight * p for p in found[name]]
        mixture = [value + part for value, part in zip(mixture, parts, strict=True)] if mixture else parts
    return mixed_row(mixture, members.total)
