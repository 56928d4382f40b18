"""Matrix scaling: every class may borrow from the log-probability of every other, as far as the rows support it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skroute.calibration._softmax import blocks, descend, log_softmax, softmax

__all__ = ["MatrixScaling", "fit_matrix"]

ROUNDS, SAME_STRENGTH = 8, 0.1
# Newton steps within a round, at the end, and of a fit that starts from another one.
STEPS, LAST_STEPS, WARM_STEPS = 3, 25, 4
# Newton's matrix has (K (K + 1))^2 entries and costs as many products a row: beyond this many, gradients alone serve.
MOST_CLASSES, MOST_PRODUCTS = 20, 4e9
LBFGS_STEPS, WARM_LBFGS_STEPS = 100, 30


@dataclass(frozen=True)
class MatrixScaling:
    """Log-probabilities z become softmax(z + (z, 1) @ theta).

    The entries of `theta`, shape (n_classes + 1, n_classes), have normal priors around 0, of one precision each for the
    diagonal, the other entries, and the biases in the last row.
    """

    theta: NDArray[np.float64]
    strength: tuple[float, float, float]

    def proba(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return scaled probabilities in an array of their own."""
        logits = z @ self.theta[:-1]
        logits += z
        logits += self.theta[-1]
        return softmax(logits)

    def permuted(self, order: NDArray[np.intp]) -> "MatrixScaling":
        """Return the same scaling for columns in another order."""
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
    group = np.ones((n_classes + 1, n_classes), dtype=np.intp)
    group[np.arange(n_classes), np.arange(n_classes)] = 0
    group[-1] = 2
    features = np.column_stack([z, np.ones(n_rows)])
    theta = np.zeros((n_classes + 1, n_classes)) if like is None else like.theta
    if n_classes > MOST_CLASSES or n_rows * (n_classes * (n_classes + 1.0)) ** 2 > MOST_PRODUCTS:
        steps = LBFGS_STEPS if like is None else WARM_LBFGS_STEPS
        return MatrixScaling(_by_gradients(features, codes, weight, theta, first[group], steps), _triple(first))
    if like is not None:
        strength = np.array(like.strength)
        return MatrixScaling(_newton(features, codes, weight, theta, strength[group], WARM_STEPS)[0], _triple(strength))
    strength = first
    for _ in range(ROUNDS):
        theta, hessian = _newton(features, codes, weight, theta, strength[group], STEPS)
        variance = np.diag(np.linalg.inv(hessian)).reshape(n_classes, n_classes + 1).T
        last = strength
        size = np.bincount(group.reshape(-1))
        spread = np.bincount(group.reshape(-1), variance.reshape(-1))
        square = np.bincount(group.reshape(-1), np.square(theta).reshape(-1))
        strength = (np.maximum(size - last * spread, 0.0) + 2.0) / (square + 2.0 / first)
        if (np.abs(np.log(strength / last)) < SAME_STRENGTH).all():
            break
    theta, _ = _newton(features, codes, weight, theta, strength[group], LAST_STEPS)
    return MatrixScaling(theta, _triple(strength))


def _triple(strength: NDArray[np.float64]) -> tuple[float, float, float]:
    diagonal, others, bias = strength.tolist()
    return diagonal, others, bias


def _evaluate(
    features: NDArray[np.float64],
    codes: NDArray[np.intp],
    weight: NDArray[np.float64],
    theta: NDArray[np.float64],
    ridge: NDArray[np.float64],
    hessian: NDArray[np.float64] | None,
) -> tuple[float, NDArray[np.float64]]:
    """Return loss and gradient; write the matrix of second derivatives, class by class, where there is room for it."""
    n_inputs, n_classes = theta.shape
    loss, gradient = 0.5 * float((ridge * theta**2).sum()), ridge * theta
    if hessian is not None:
        hessian[:] = 0.0
        hessian[np.diag_indices_from(hessian)] = ridge.T.reshape(-1)
    for rows in blocks(len(features), n_inputs * (n_classes if hessian is not None else 1)):
        block, w = features[rows], weight[rows]
        place = np.arange(len(block)), codes[rows]
        logits = block @ theta
        logits += block[:, :-1]
        log_softmax(logits)
        loss -= float(w @ logits[place])
        share = np.exp(logits, out=logits)
        if hessian is not None:
            # -(sum of outer products of p_i (x) x_i), in one product of a matrix with its own transpose.
            outer = (share * np.sqrt(w)[:, np.newaxis])[:, :, np.newaxis] * block[:, np.newaxis, :]
            flat = outer.reshape(len(block), -1)
            hessian -= flat.T @ flat
            for k in range(n_classes):
                part = slice(k * n_inputs, (k + 1) * n_inputs)
                hessian[part, part] += (block * (w * share[:, k])[:, np.newaxis]).T @ block
        share[place] -= 1.0
        share *= w[:, np.newaxis]
        gradient += block.T @ share
    return loss, gradient


def _newton(
    features: NDArray[np.float64],
    codes: NDArray[np.intp],
    weight: NDArray[np.float64],
    theta: NDArray[np.float64],
    ridge: NDArray[np.float64],
    most_steps: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the parameters after so many steps, or at the minimum, and the last matrix of second derivatives."""
    hessian, tried = np.empty((2, theta.size, theta.size))
    loss, gradient = _evaluate(features, codes, weight, theta, ridge, hessian)
    for _ in range(most_steps):
        step = np.linalg.solve(hessian, gradient.T.reshape(-1)).reshape(theta.shape[::-1]).T
        decrease = float((gradient * step).sum())
        if decrease < 1e-8 * max(1.0, abs(loss)):
            break
        length = 1.0
        new_loss, new_gradient = _evaluate(features, codes, weight, theta - step, ridge, tried)
        while new_loss > loss - 1e-4 * length * decrease and length > 1e-6:
            length /= 2.0
            new_loss, new_gradient = _evaluate(features, codes, weight, theta - length * step, ridge, tried)
        theta = theta - length * step
        loss, gradient = new_loss, new_gradient
        hessian, tried = tried, hessian
    return theta, hessian


def _by_gradients(
    features: NDArray[np.float64],
    codes: NDArray[np.intp],
    weight: NDArray[np.float64],
    theta: NDArray[np.float64],
    ridge: NDArray[np.float64],
    most_steps: int,
) -> NDArray[np.float64]:
    # A rough diagonal of second derivatives, so that one step length suits all parameters.
    curvature = 0.25 * (weight @ features**2)[:, np.newaxis] / theta.shape[1]
    scale = 1.0 / np.sqrt(ridge + curvature)

    def evaluate(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        loss, gradient = _evaluate(features, codes, weight, flat.reshape(theta.shape), ridge, None)
        return loss, gradient.reshape(-1)

    found = descend(evaluate, theta.reshape(-1), scale.reshape(-1), most_steps=most_steps, tolerance=1e-7)
    return found.reshape(theta.shape)
