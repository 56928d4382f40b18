"""Matrix scaling: every class may borrow from the log-probability of every other, as far as the rows support it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skroute.calibration._descent import Curvature, descend, newton, posterior_variance
from skroute.calibration._softmax import blocks, softmax, unnormalised_softmax

__all__ = ["MatrixScaling", "fit_matrix"]

ROUNDS, SAME_STRENGTH = 8, 0.1
TOLERANCE, WARM_TOLERANCE = 1e-8, 1e-6
# Newton's matrix has (K (K + 1))^2 entries and costs as many products a row: beyond this many, gradients alone serve.
MOST_CLASSES, MOST_PRODUCTS = 20, 4e9
LBFGS_STEPS, WARM_LBFGS_STEPS = 60, 8


@dataclass(frozen=True)
class MatrixScaling:
    """Log-probabilities z become softmax(z + (z, 1) @ theta).

    The entries of `theta`, shape (n_classes + 1, n_classes), have normal priors around 0, of one precision each for the
    diagonal, the other entries, and the biases in the last row.
    """

    theta: NDArray[np.float64]
    strength: tuple[float, float, float]
    curvature: Curvature | None = field(default=None, repr=False, compare=False)
    """Of the loss, while there are fits to come that start from this one."""

    def proba(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return scaled probabilities in an array of their own."""
        logits = z @ self.theta[:-1]
        logits += z
        logits += self.theta[-1]
        return softmax(logits)

    def permuted(self, order: NDArray[np.intp]) -> "MatrixScaling":
        """Return the same scaling for columns in another order, without what further fits would need."""
        return MatrixScaling(self.theta[np.append(order, len(order))][:, order], self.strength)


def fit_matrix(
    z: NDArray[np.float64], codes: NDArray[np.intp], weight: NDArray[np.float64], like: MatrixScaling | None = None
) -> MatrixScaling:
    """Fit the matrix and how strongly it is held back.

    Parameters
    ----------
    z : ndarray of shape (n_rows, n_classes)
        Log-probabilities.
    codes : ndarray of shape (n_rows,)
        Column of the true class.
    weight : ndarray of shape (n_rows,)
        Positive.
    like : MatrixScaling, default=None
        Take its strengths, and start from it.

    Returns
    -------
    scaling : MatrixScaling

    Notes
    -----
    Strengths by evidence, as in `fit_vector`, around 2 K for the diagonal and the biases and 2 K (K - 1) for the rest.
    With more than 20 classes they stay there, and the optimum is approached by L-BFGS.
    """
    n_rows, n_classes = z.shape
    first = np.array([2.0 * n_classes, 2.0 * n_classes * max(n_classes - 1, 1), 2.0 * n_classes])
    group = np.ones((n_classes, n_classes + 1), dtype=np.intp)
    group[np.arange(n_classes), np.arange(n_classes)] = 0
    group[:, -1] = 2
    group = group.reshape(-1)
    by_gradients = n_classes > MOST_CLASSES or n_rows * float(group.size) ** 2 > MOST_PRODUCTS
    # An approximate minimum needs no more than single precision, which is twice as fast.
    loss = _MatrixLoss(z, codes, weight, np.float32 if by_gradients else np.float64)
    # Parameters are laid out class by class, so that the matrix of second derivatives has a block a class.
    start = np.zeros(group.size) if like is None else like.theta.T.reshape(-1)
    if by_gradients:
        ridge = first[group]
        # A rough diagonal of second derivatives, so that one step length suits all parameters.
        scale = 1.0 / np.sqrt(ridge + np.tile(0.25 * (weight @ loss.features**2) / n_classes, n_classes))
        steps = LBFGS_STEPS if like is None else WARM_LBFGS_STEPS
        return _scaling(descend(loss, start, ridge, scale, most_steps=steps, tolerance=1e-6), first)
    if like is not None:
        strength = np.array(like.strength)
        near_by = None if like.curvature is None else like.curvature.of(loss.total)
        theta, _ = newton(loss, start, strength[group], near_by, tolerance=WARM_TOLERANCE, renew=near_by is None)
        return _scaling(theta, strength)
    strength, theta, found = first, start, None
    size = np.bincount(group)
    for _ in range(ROUNDS):
        theta, found = newton(loss, theta, strength[group], found, tolerance=WARM_TOLERANCE)
        spread = np.bincount(group, posterior_variance(found, strength[group]))
        last = strength
        determined = np.maximum(size - last * spread, 0.0)
        strength = (determined + 2.0) / (np.bincount(group, theta**2) + 2.0 / first)
        if (np.abs(np.log(strength / last)) < SAME_STRENGTH).all():
            break
    theta, found = newton(loss, theta, strength[group], found, tolerance=TOLERANCE)
    return _scaling(theta, strength, Curvature(found, loss.total))


def _scaling(
    theta: NDArray[np.float64], strength: NDArray[np.float64], curvature: Curvature | None = None
) -> MatrixScaling:
    diagonal, others, bias = strength.tolist()
    # n_classes * (n_classes + 1) parameters.
    n_classes = int(np.sqrt(theta.size))
    return MatrixScaling(theta.reshape(n_classes, n_classes + 1).T.copy(), (diagonal, others, bias), curvature)


class _MatrixLoss:
    """The log loss, by the matrix and the biases, class by class."""

    def __init__(
        self, z: NDArray[np.float64], codes: NDArray[np.intp], weight: NDArray[np.float64], dtype: type = np.float64
    ) -> None:
        self.features: NDArray[np.floating] = np.column_stack([z, np.ones(len(z))]).astype(dtype, copy=False)
        self.codes, self.weight = codes, weight
        self.total = float(weight.sum())

    def _to_logits(self, theta: NDArray[np.float64]) -> NDArray[Any]:
        """Return what features are multiplied by, shape (n_inputs, n_classes)."""
        n_inputs = self.features.shape[1]
        matrix = theta.reshape(-1, n_inputs).T + np.eye(n_inputs, n_inputs - 1)
        return matrix.astype(self.features.dtype, copy=False)

    def evaluate(self, theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return loss and gradient."""
        n_inputs = self.features.shape[1]
        loss, gradient, to_logits = 0.0, np.zeros((n_inputs - 1, n_inputs)), self._to_logits(theta)
        for rows in blocks(*self.features.shape):
            w, codes = self.weight[rows], self.codes[rows]
            residual = self.features[rows] @ to_logits
            total, log_of_truth = unnormalised_softmax(residual, codes)
            loss -= float(w @ log_of_truth)
            residual *= (w / total)[:, np.newaxis].astype(residual.dtype, copy=False)
            residual[np.arange(len(w)), codes] -= w
            gradient += residual.T @ self.features[rows]
        return loss, gradient.reshape(-1)

    def curvature(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the matrix of second derivatives."""
        n_inputs = self.features.shape[1]
        matrix, to_logits = np.zeros((theta.size, theta.size)), self._to_logits(theta)
        for rows in blocks(len(self.features), theta.size):
            block, w = self.features[rows], self.weight[rows]
            share = softmax(block @ to_logits)
            # -(sum of outer products of p_i (x) x_i), in one product of a matrix with its own transpose.
            outer = (share * np.sqrt(w)[:, np.newaxis])[:, :, np.newaxis] * block[:, np.newaxis, :]
            flat = outer.reshape(len(block), -1)
            matrix -= flat.T @ flat
            for k in range(n_inputs - 1):
                part = slice(k * n_inputs, (k + 1) * n_inputs)
                matrix[part, part] += (block * (w * share[:, k])[:, np.newaxis]).T @ block
        return matrix
