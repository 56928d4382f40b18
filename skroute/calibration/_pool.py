"""The members of the pool: how they are fitted, what they say, and how much each of them is to be believed."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from skroute.calibration._isotonic_fit import TIE, isotonic_knots
from skroute.calibration._isotonic_table import IsotonicTable
from skroute.calibration._links import Link, fit_links
from skroute.calibration._matrix_fit import MatrixScaling, fit_matrix
from skroute.calibration._softmax import mixed_with_uniform
from skroute.calibration._training_rows import TrainingRows
from skroute.calibration._vector_fit import VectorScaling, fit_vector

__all__ = ["MEMBERS", "Members", "fit_members", "pool_weights"]

MEMBERS = ("temperature", "vector", "matrix", "vector, other link", "isotonic", "uniform")
# Rows that each member is worth before the data speak: the simple ones go first where rows are few.
PRIOR_ROWS = {"temperature": 1.0, "vector": 2.0, "matrix": 1.0}
# A class with fewer rows, or fewer rows of others, keeps the vector's probability in place of a curve of its own.
LEAST_CURVE_ROWS = 3.0
# What a member may cost: products for the matrix, values to be sorted for the curves. More rows than that are thinned
# out; where too few would be left, the member is.
MATRIX_PRODUCTS, MATRIX_ROWS, CURVE_VALUES = 1e8, 100_000, 1e7
LEAST_ROWS_A_CLASS = 5
# With more classes the second vector costs a third of the fit, and was worth next to nothing.
MOST_CLASSES_BY_BOTH = 100
# Probabilities are kept off 0 before they are normalised.
LEAST_PROBA = 1e-12
# Bits by which the probabilities of the vector are rounded before curves are fitted to them; 32 are left. Those of rows
# that are all but one-hot differ in their last bits, by the way in which they are computed: a curve that rose between
# them would tell a row by itself from the same row in a batch. With fewer bits left, more ranks next to 1 are lost.
ROUNDED_BITS = 20
# Rows that the table of the curves is made for: more make it no quicker.
TABLE_ROWS = 2**13
# Weights under this are nobody's loss.
LEAST_WEIGHT = 1e-3
# Where the search for weights ends; a logarithm must stay finite.
TINY_WEIGHT, EM_STEPS = 1e-6, 100

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Members:
    """Fitted members, all of which read the same scores."""

    link: Link
    other: Link | None
    vector: VectorScaling
    matrix: MatrixScaling | None
    other_vector: VectorScaling | None
    curves: Sequence[Curve | None] | None
    """Knots of the isotonic function of every class, on the vector's probability."""
    total: float
    """Weight of the rows that they were fitted on."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Why a member is not there."""

    def names(self) -> list[str]:
        """Return the members that are there."""
        absent = {
            "matrix": self.matrix is None,
            "vector, other link": self.other_vector is None,
            "isotonic": self.curves is None,
        }
        return [name for name in MEMBERS if not absent.get(name, False)]

    def probas(self, scores: NDArray[np.float64], names: Sequence[str]) -> list[NDArray[np.float64]]:
        """Return the probabilities of some members, in their order; arrays of shape (n_samples, n_classes)."""
        found: dict[str, NDArray[np.float64]] = {}
        z = z_plain = self.link.log_proba(scores)
        if "vector" in names or "isotonic" in names:
            found["vector"] = self.vector.proba(z)
        if self.curves is not None and "isotonic" in names:
            found["isotonic"] = self._on_curves(found["vector"])
        if self.other is not None and ("matrix" in names or "vector, other link" in names):
            z_other = self.other.log_proba(scores)
            if self.other_vector is not None and "vector, other link" in names:
                found["vector, other link"] = self.other_vector.proba(z_other)
            # The matrix always reads scores as logits.
            z_plain = z if self.link.slope is None else z_other
        if self.matrix is not None and "matrix" in names:
            found["matrix"] = self.matrix.proba(z_plain)
        if "temperature" in names:
            found["temperature"] = np.exp(z)
        if "uniform" in names:
            found["uniform"] = np.full(scores.shape, 1.0 / scores.shape[1])
        return [found[name] for name in names]

    def mixture(self, scores: NDArray[np.float64], weights: dict[str, float]) -> NDArray[np.float64]:
        """Return the members' probabilities, weighted, and mixed with the uniform distribution."""
        names = [name for name, weight in weights.items() if weight > 0.0]
        mixture = np.zeros(scores.shape)
        for proba, name in zip(self.probas(scores, names), names, strict=True):
            proba *= weights[name]
            mixture += proba
        return mixed_with_uniform(mixture, self.total)

    def of_truth(
        self, scores: NDArray[np.float64], codes: NDArray[np.intp], names: Sequence[str]
    ) -> NDArray[np.float64]:
        """Return what each member gives to the true class, mixed with the uniform; shape (n_samples, n_members)."""
        place = np.arange(len(codes)), codes
        return mixed_with_uniform(
            np.stack([proba[place] for proba in self.probas(scores, names)], axis=1), self.total, scores.shape[1]
        )

    def __getstate__(self) -> dict[str, Any]:
        # The table follows from the curves.
        return {name: value for name, value in vars(self).items() if name != "_table"}

    @cached_property
    def _table(self) -> IsotonicTable | None:
        straight = np.array([0.0, 1.0])
        knots = [(straight, straight) if curve is None else curve for curve in self.curves or ()]
        # The same for any number of rows: to the last bit, a part of them has the probabilities that it has in all.
        return IsotonicTable.for_rows(knots, TABLE_ROWS)

    def _on_curves(self, proba: NDArray[np.float64]) -> NDArray[np.float64]:
        on_curves = proba.copy()
        if self._table is not None:
            self._table.write(proba, on_curves)
        for k, curve in enumerate(self.curves or ()):
            if curve is None:
                on_curves[:, k] = proba[:, k]
            elif self._table is None:
                on_curves[:, k] = np.interp(proba[:, k], *curve)
        np.maximum(on_curves, LEAST_PROBA, out=on_curves)
        on_curves /= on_curves.sum(axis=1, keepdims=True)
        return on_curves

    def permuted(self, order: NDArray[np.intp]) -> "Members":
        """Return the same members for columns in another order."""
        return replace(
            self,
            vector=self.vector.permuted(order),
            matrix=None if self.matrix is None else self.matrix.permuted(order),
            other_vector=None if self.other_vector is None else self.other_vector.permuted(order),
            curves=None if self.curves is None else [self.curves[k] for k in order],
        )


def fit_members(rows: TrainingRows, *, from_proba: bool, shrinkage: float, like: Members | None = None) -> Members:
    """Fit every member that the size of the data allows.

    Parameters
    ----------
    rows : TrainingRows
        Scores, labels and weights.
    from_proba : bool
        Whether the scores are probabilities.
    shrinkage : float
        Rows by which each step of a curve is held to the vector's probability.
    like : Members, default=None
        Members of all rows, for a fit on some of them: take over what they chose (links, floor, strengths, which of
        them there are), and start from their parameters.

    Returns
    -------
    members : Members
    """
    n_classes = rows.scores.shape[1]
    if like is None:
        link, other = fit_links(rows, from_proba=from_proba)
    else:
        link, other = like.link.refit(rows), None if like.other is None else like.other.refit(rows)
    n_rows = len(rows.codes)
    left_out = _left_out(n_rows, n_classes, other is not None) if like is None else like.left_out
    z = z_plain = link.log_proba(rows.scores)
    vector = fit_vector(z, rows.codes, rows.weight, None if like is None else like.vector)
    matrix = other_vector = curves = None
    if other is not None:
        z_other = other.log_proba(rows.scores)
        z_plain = z if link.slope is None else z_other
        if "vector, other link" not in left_out:
            other_vector = fit_vector(z_other, rows.codes, rows.weight, None if like is None else like.other_vector)
    if "matrix" not in left_out:
        part = _thinned(n_rows, _most_matrix_rows(n_classes))
        start = None if like is None else like.matrix
        matrix = fit_matrix(z_plain[part], rows.codes[part], rows.weight[part], start)
    if "isotonic" not in left_out:
        part = _thinned(n_rows, CURVE_VALUES / n_classes)
        curves = _fit_curves(vector.proba(z[part]), rows.codes[part], rows.weight[part], shrinkage)
    return Members(link, other, vector, matrix, other_vector, curves, float(rows.weight.sum()), left_out)


def _left_out(n_rows: int, n_classes: int, has_other: bool) -> dict[str, str]:
    """Return the members that would cost too much or say nothing new, and why."""
    reasons = {
        "matrix": _too_large(n_rows, n_classes, _most_matrix_rows(n_classes)),
        "isotonic": _too_large(n_rows, n_classes, CURVE_VALUES / n_classes),
    }
    if n_classes == 2:
        reasons["matrix"] = "says no more than the vector for two classes"
    if has_other and n_classes > MOST_CLASSES_BY_BOTH:
        reasons["vector, other link"] = f"too many classes: {n_classes}, at most {MOST_CLASSES_BY_BOTH} are read twice"
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _most_matrix_rows(n_classes: int) -> float:
    return min(MATRIX_PRODUCTS / n_classes**2, MATRIX_ROWS)


def _thinned(n_rows: int, most: float) -> slice | NDArray[np.intp]:
    """Return at most so many rows, spread evenly."""
    return slice(None) if n_rows <= most else np.arange(int(most)) * n_rows // int(most)


def _too_large(n_rows: int, n_classes: int, most: float) -> str | None:
    if most >= min(n_rows, LEAST_ROWS_A_CLASS * n_classes):
        return None
    return f"too many classes: {n_classes} would allow for {int(most)} of {n_rows} rows"


def _fit_curves(
    proba: NDArray[np.float64], codes: NDArray[np.intp], weight: NDArray[np.float64], shrinkage: float
) -> list[Curve | None]:
    """Return the curve of every class that has rows enough."""
    n_classes = proba.shape[1]
    of_class = np.bincount(codes, weight, n_classes)
    total = weight.sum()
    given = None if (weight == 1.0).all() else weight
    curves: list[Curve | None] = []
    for k in range(n_classes):
        if min(of_class[k], total - of_class[k]) < LEAST_CURVE_ROWS:
            curves.append(None)
            continue
        curves.append(_fit_curve(_rounded(proba[:, k]), codes == k, given, shrinkage))
    return curves


def _rounded(proba: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities to some nine digits, however small they are."""
    # The bits of floats that are not negative, read as whole numbers, are in the same order.
    bits = np.ascontiguousarray(proba).view(np.int64) + (1 << ROUNDED_BITS - 1)
    bits >>= ROUNDED_BITS
    bits <<= ROUNDED_BITS
    return bits.view(np.float64)


def _fit_curve(
    proba: NDArray[np.float64], own: NDArray[np.bool_], weight: NDArray[np.float64] | None, shrinkage: float
) -> Curve:
    """Return the curve of one class, held to the probabilities that it starts from."""
    if weight is None:
        # One sort of scores with their labels.
        return isotonic_knots(proba, own, prior=proba, shrinkage=shrinkage)
    # Not what may count as equal to that row's score.
    low = proba < proba[own].min() - 2.0 * TIE
    prior = proba
    if np.count_nonzero(low) > 2:
        # Below its lowest own row a class has one block, which two rows draw as well as all: most of the sorting goes.
        mass = weight[low].sum()
        mean = (weight[low] @ proba[low]) / mass
        ends, rest = [proba[low].min(), proba[low].max()], ~low
        proba, own = np.concatenate([ends, proba[rest]]), np.concatenate([[False, False], own[rest]])
        prior, weight = np.concatenate([[mean, mean], prior[rest]]), np.concatenate([[mass / 2] * 2, weight[rest]])
    return isotonic_knots(proba, own, weight, prior=prior, shrinkage=shrinkage)


def pool_weights(
    of_truth: NDArray[np.float64], weight: NDArray[np.float64], names: Sequence[str]
) -> NDArray[np.float64]:
    """Return the weight of every member: those of largest out-of-fold likelihood, and of the prior rows.

    Parameters
    ----------
    of_truth : ndarray of shape (n_rows, n_members)
        Probability that each member gave to the true class, positive.
    weight : ndarray of shape (n_rows,)
        Positive.
    names : sequence of str
        The members.

    Returns
    -------
    weights : ndarray of shape (n_members,)
        Not negative, and sum to one.
    """
    prior = np.array([PRIOR_ROWS.get(name, 0.0) for name in names])

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        mixture = of_truth @ weights
        value = -float(weight @ np.log(mixture)) - float(prior @ np.log(weights))
        return value / scale, (-(weight / mixture) @ of_truth - prior / weights) / scale

    scale = float(weight.sum() + prior.sum())
    start = (prior + 1.0) / (prior + 1.0).sum()
    settings: dict[str, Any] = {
        "bounds": [(TINY_WEIGHT, 1.0)] * len(names),
        "constraints": {"type": "eq", "fun": lambda weights: weights.sum() - 1.0, "jac": np.ones_like},
        "options": {"ftol": 1e-12},
    }
    with warnings.catch_warnings():
        # Older versions of scipy say aloud that they clip a step at the bounds, as they should.
        warnings.filterwarnings("ignore", "Values in x were outside bounds", RuntimeWarning)
        found = minimize(loss, start, jac=True, method="SLSQP", **settings).x
    weights: NDArray[np.float64] = np.maximum(found, TINY_WEIGHT)
    weights /= weights.sum()
    # Expectation maximisation finishes: it is slow from afar, but every step stays on the simplex and improves.
    for _ in range(EM_STEPS):
        new = weights * ((weight / (of_truth @ weights)) @ of_truth) + prior
        new /= new.sum()
        moved = float(np.abs(new - weights).max())
        weights = new
        if moved < 1e-6:
            break
    weights[weights < LEAST_WEIGHT] = 0.0
    weights /= weights.sum()
    return weights
