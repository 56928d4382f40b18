"""Vector scaling: a slope and a bias for every class, as far as its rows support them."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from skroute.calibration._descent import Curvature, descend, newton, posterior_variance
from skroute.calibration._softmax import blocks, softmax, unnormalised_softmax

__all__ = ["VectorScaling", "fit_vector"]

# The strengths of the prior are judged again after every fit, until they move by less than 2 %.
ROUNDS, SAME_STRENGTH = 15, 0.02
TOLERANCE, WARM_TOLERANCE = 1e-10, 1e-7
# Newton's matrix has (2 K)^2 entries and costs as many products a row: beyond this many, gradients alone serve.
MOST_PRODUCTS = 4e9
LBFGS_STEPS, WARM_LBFGS_STEPS = 60, 12


@dataclass(frozen=True)
class VectorScaling:
    """Log-probabilities z become softmax((1 + extra) * z + bias).

    `extra` and `bias` have normal priors around 0, of precisions `strength`: a class with few rows stays near (0, 0),
    which is the temperature that all classes share.
    """

    extra: NDArray[np.float64]
    bias: NDArray[np.float64]
    strength: tuple[float, float]
    shrinkage: NDArray[np.float64]
    """Share of the posterior precision of (extra, bias) that is the prior's, shape (2, n_classes): 1 is no evidence.

    Of a fit on some rows of another one, that one's."""
    curvature: Curvature | None = field(default=None, repr=False, compare=False)
    """Of the loss, while there are fits to come that start from this one."""

    @cached_property
    def numbers(self) -> tuple[list[float], list[float]]:
        """Slope and bias of each class as Python's numbers, which single rows are scaled by."""
        return (1.0 + self.extra).tolist(), self.bias.tolist()

    def proba(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return scaled probabilities in an array of their own."""
        logits = z * (1.0 + self.extra)
        logits += self.bias
        return softmax(logits)

    def permuted(self, order: NDArray[np.intp]) -> "VectorScaling":
        """Return the same scaling for columns in another order, without what further fits would need."""
        return VectorScaling(self.extra[order], self.bias[order], self.strength, self.shrinkage[:, order])


def fit_vector(
    z: NDArray[np.float64], codes: NDArray[np.intp], weight: NDArray[np.float64], like: VectorScaling | None = None
) -> VectorScaling:
    """Fit slopes and biases, and how strongly they are held back.

    Parameters
    ----------
    z : ndarray of shape (n_rows, n_classes)
        Log-probabilities.
    codes : ndarray of shape (n_rows,)
        Column of the true class.
    weight : ndarray of shape (n_rows,)
        Positive.
    like : VectorScaling, default=None
        Take its strengths, and start from it.

    Returns
    -------
    scaling : VectorScaling

    Notes
    -----
    Minimises the strictly convex ``-sum_i w_i log softmax(f_i)[y_i] + l_a/2 |extra|^2 + l_b/2 |bias|^2``. The strengths
    maximise the evidence by MacKay's fixed point, l <- (g + 2) / (|theta|^2 + 2 / l0), where g is the number of
    parameters that the data determine, under a Gamma prior of shape 1 around l0 = 2 K.

    References
    ----------
    D. MacKay, "Bayesian interpolation", Neural Computation 4, 1992.
    """
    n_rows, n_classes = z.shape
    loss = _VectorLoss(z, codes, weight)
    if n_rows * (2.0 * n_classes) ** 2 > MOST_PRODUCTS:
        return _fit_by_gradients(loss, like)
    first = 2.0 * n_classes
    if like is not None:
        ridge, start = np.repeat(like.strength, n_classes), np.concatenate([like.extra, like.bias])
        near_by = None if like.curvature is None else like.curvature.of(loss.total)
        theta, _ = newton(loss, start, ridge, near_by, tolerance=WARM_TOLERANCE, renew=near_by is None)
        return _scaling(theta, like.strength, like.shrinkage)
    strength = (first, first)
    theta, found = np.zeros(2 * n_classes), None
    for _ in range(ROUNDS):
        ridge = np.repeat(strength, n_classes)
        theta, found = newton(loss, theta, ridge, found, tolerance=TOLERANCE)
        variance = posterior_variance(found, ridge)
        last = strength
        strength = (
            _evidence(theta[:n_classes], variance[:n_classes], last[0], first),
            _evidence(theta[n_classes:], variance[n_classes:], last[1], first),
        )
        if all(abs(np.log(new / old)) < SAME_STRENGTH for new, old in zip(strength, last, strict=True)):
            break
    ridge = np.repeat(strength, n_classes)
    theta, _ = newton(loss, theta, ridge, found, tolerance=TOLERANCE)
    # What is reported of the minimum is measured there, not near by.
    matrix = loss.curvature(theta)
    return _scaling(theta, strength, _prior_share(matrix, ridge), Curvature(matrix, loss.total))


def _scaling(
    theta: NDArray[np.float64],
    strength: tuple[float, float],
    shrinkage: NDArray[np.float64],
    curvature: Curvature | None = None,
) -> VectorScaling:
    extra, bias = theta.reshape(2, -1)
    return VectorScaling(extra, bias, strength, shrinkage.reshape(2, -1), curvature)


def _prior_share(matrix: NDArray[np.float64], ridge: NDArray[np.float64]) -> NDArray[np.float64]:
    of_extra, of_bias = (ridge * posterior_variance(matrix, ridge)).reshape(2, -1)
    # What all biases have in common changes no probability, so the prior alone holds it: one direction of n_classes.
    common = 1.0 / len(of_bias)
    shares: NDArray[np.float64] = np.stack([of_extra, (of_bias - common) / (1.0 - common)]).clip(0.0, 1.0)
    return shares


def _evidence(theta: NDArray[np.float64], variance: NDArray[np.float64], strength: float, first: float) -> float:
    determined = max(len(theta) - strength * float(variance.sum()), 0.0)
    return (determined + 2.0) / (float(theta @ theta) + 2.0 / first)


class _VectorLoss:
    """The log loss, by slopes and biases."""

    def __init__(self, z: NDArray[np.float64], codes: NDArray[np.intp], weight: NDArray[np.float64]) -> None:
        self.z, self.codes, self.weight = z, codes, weight
        self.total = float(weight.sum())
        n_classes = z.shape[1]
        # The true classes' part of the gradient does not change.
        of_truth = z[np.arange(len(z)), codes]
        self.observed = np.concatenate(
            [np.bincount(codes, weight * of_truth, n_classes), np.bincount(codes, weight, n_classes)]
        )

    def _logits(self, theta: NDArray[np.float64], rows: slice) -> NDArray[np.float64]:
        logits = self.z[rows] * (1.0 + theta[: self.z.shape[1]])
        logits += theta[self.z.shape[1] :]
        return logits

    def evaluate(self, theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return loss and gradient."""
        n_classes = self.z.shape[1]
        loss, gradient = 0.0, -self.observed
        for rows in blocks(*self.z.shape):
            w, share = self.weight[rows], self._logits(theta, rows)
            total, log_of_truth = unnormalised_softmax(share, self.codes[rows])
            loss -= float(w @ log_of_truth)
            factor = w / total
            gradient[n_classes:] += factor @ share
            share *= self.z[rows]
            gradient[:n_classes] += factor @ share
        return loss, gradient

    def curvature(self, theta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the matrix of second derivatives."""
        n_classes = self.z.shape[1]
        own = np.zeros((3, n_classes))
        matrix = np.zeros((2 * n_classes, 2 * n_classes))
        for rows in blocks(*self.z.shape):
            z, w = self.z[rows], self.weight[rows]
            share = softmax(self._logits(theta, rows))
            shared_z = share * z
            own += w @ share, w @ shared_z, w @ (shared_z * z)
            both = np.concatenate([shared_z, share], axis=1)
            both *= np.sqrt(w)[:, np.newaxis]
            # A matrix times its own transpose costs half of a general product.
            matrix -= both.T @ both
        place = np.arange(n_classes)
        matrix[place, place] += own[2]
        matrix[place, n_classes + place] += own[1]
        matrix[n_classes + place, place] += own[1]
        matrix[n_classes + place, n_classes + place] += own[0]
        return matrix


def _fit_by_gradients(problem: _VectorLoss, like: VectorScaling | None) -> VectorScaling:
    """Fit with the strengths that the prior starts from, for so many classes or rows that evidence costs too much."""
    n_classes = problem.z.shape[1]
    strength = 2.0 * n_classes
    # Typical second derivatives, so that one step length suits all parameters.
    of_bias = problem.weight.sum() / n_classes
    scale = 1.0 / np.sqrt(strength + of_bias * np.repeat([float(np.square(problem.z[::97]).mean()), 1.0], n_classes))
    start = np.zeros(2 * n_classes) if like is None else np.concatenate([like.extra, like.bias])

    steps = LBFGS_STEPS if like is None else WARM_LBFGS_STEPS
    ridge = np.full(2 * n_classes, strength)
    theta = descend(problem, start, ridge, scale, most_steps=steps, tolerance=1e-9)
    # The diagonal of the matrix of second derivatives stands for the whole.
    own = problem.z[np.arange(len(problem.z)), problem.codes]
    squares = np.bincount(problem.codes, problem.weight * own**2, n_classes)
    data = np.concatenate([squares, problem.observed[n_classes:]])
    return _scaling(theta, (strength, strength), strength / (strength + data))
