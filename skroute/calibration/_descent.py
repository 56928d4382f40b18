"""Minima of convex losses with a ridge: by Newton's method with matrices that serve for several steps, or by L-BFGS."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.linalg.lapack import dtrtri
from scipy.optimize import minimize

__all__ = ["Curvature", "Loss", "descend", "newton", "posterior_variance"]

Evaluate = Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]]

MOST_STEPS = 50
# A matrix of an earlier point serves until a step leaves more than this share of the decrease to be had.
SLOW = 0.1


@dataclass(frozen=True)
class Curvature:
    """Second derivatives of a loss near its minimum, for fits to come on some of the same rows."""

    matrix: NDArray[np.float64]
    total: float
    """Weight of the rows that they belong to."""

    def of(self, total: float) -> NDArray[np.float64]:
        """Return what to expect of rows of another weight."""
        return self.matrix * (total / self.total)


class Loss(Protocol):
    """A convex loss without its ridge."""

    def evaluate(self, theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return loss and gradient at parameters of shape (n_parameters,)."""

    def curvature(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the matrix of second derivatives, shape (n_parameters, n_parameters)."""


def newton(
    loss: Loss,
    theta: NDArray[np.float64],
    ridge: NDArray[np.float64],
    matrix: NDArray[np.float64] | None = None,
    *,
    tolerance: float,
    renew: bool = True,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the minimum of ``loss + ridge @ theta**2 / 2``.

    Second derivatives cost many times what a gradient costs, and change little from step to step, or from all rows to
    most of them. So a matrix is kept as long as its steps converge fast.

    Parameters
    ----------
    loss : Loss
        The part of the data.
    theta : ndarray of shape (n_parameters,)
        First guess.
    ridge : ndarray of shape (n_parameters,)
        Positive.
    matrix : ndarray of shape (n_parameters, n_parameters), default=None
        Second derivatives of the loss at a point near by.
    tolerance : float
        Relative decrease of the loss that counts as none.
    renew : bool, default=True
        Whether to compute the matrix anew where a given one converges slowly.

    Returns
    -------
    theta : ndarray of shape (n_parameters,)
    matrix : ndarray of shape (n_parameters, n_parameters)
        Second derivatives of the loss, near the minimum.
    """
    penalised = _penalised(loss, ridge)
    if matrix is None:
        matrix = loss.curvature(theta)
    factor = _factor(matrix, ridge)
    value, gradient = penalised(theta)
    step = cho_solve(factor, gradient)
    for _ in range(MOST_STEPS):
        decrease = float(gradient @ step)
        if decrease < tolerance * max(1.0, abs(value)):
            break
        length = 1.0
        new_value, new_gradient = penalised(theta - step)
        # What is not a number is no improvement either.
        while not new_value <= value - 1e-4 * length * decrease and length > 1e-6:
            length /= 2.0
            new_value, new_gradient = penalised(theta - length * step)
        if not np.isfinite(new_value):
            break
        theta = theta - length * step
        value, gradient = new_value, new_gradient
        step = cho_solve(factor, gradient)
        if renew and float(gradient @ step) > SLOW * decrease:
            matrix = loss.curvature(theta)
            factor = _factor(matrix, ridge)
            step = cho_solve(factor, gradient)
    return theta, matrix


def _penalised(loss: Loss, ridge: NDArray[np.float64]) -> Evaluate:
    """Return what gives value and gradient of the loss with its ridge."""

    def evaluate(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        # Steps beyond all numbers are refused by their value.
        with np.errstate(over="ignore", invalid="ignore"):
            value, gradient = loss.evaluate(theta)
            return value + 0.5 * float(ridge @ theta**2), gradient + ridge * theta

    return evaluate


def _factor(matrix: NDArray[np.float64], ridge: NDArray[np.float64]) -> Any:
    # Beside weights of 1e17 a ridge of order one is lost to rounding, and what it holds up with it.
    largest = float(matrix.diagonal().max(initial=0.0))
    for least in (0.0, 1e-12, 1e-9, 1e-6):
        try:
            return cho_factor(matrix + np.diag(np.maximum(ridge, least * largest)))
        except LinAlgError:
            continue
    return cho_factor(np.diag(np.maximum(matrix.diagonal(), 0.0) + ridge))


def posterior_variance(matrix: NDArray[np.float64], ridge: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the diagonal of the inverse of second derivatives with their ridge."""
    # Of U' U the inverse is that of U times its own transpose.
    inverse = np.triu(dtrtri(_factor(matrix, ridge)[0])[0])
    variance: NDArray[np.float64] = np.einsum("ij,ij->i", inverse, inverse)
    return variance


def descend(
    loss: Loss,
    theta: NDArray[np.float64],
    ridge: NDArray[np.float64],
    scale: NDArray[np.float64],
    *,
    most_steps: int,
    tolerance: float,
) -> NDArray[np.float64]:
    """Approach the same minimum by gradients alone (L-BFGS), where second derivatives would cost too much.

    Parameters
    ----------
    loss : Loss
        The part of the data; its curvature is not asked for.
    theta : ndarray of shape (n_parameters,)
        First guess.
    ridge : ndarray of shape (n_parameters,)
        Positive.
    scale : ndarray of shape (n_parameters,)
        Size of the steps to expect of each parameter.
    most_steps : int
        Steps after which it is good enough.
    tolerance : float
        Relative decrease of the loss that counts as none.

    Returns
    -------
    theta : ndarray of shape (n_parameters,)
    """
    penalised = _penalised(loss, ridge)

    def scaled(position: Any) -> tuple[float, NDArray[np.float64]]:
        value, gradient = penalised(position * scale)
        return value, gradient * scale

    options: Any = {"maxiter": most_steps, "ftol": tolerance}
    found: NDArray[np.float64] = minimize(scaled, theta / scale, jac=True, method="L-BFGS-B", options=options).x
    return found * scale
