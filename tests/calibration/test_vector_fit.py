import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import approx_fprime, minimize
from scipy.special import log_softmax

from skroute.calibration import _vector_fit
from skroute.calibration._vector_fit import _VectorLoss, fit_vector


def draw(n_classes, n_rows, seed=0, absent=None):
    """Log-probabilities that are too sharp and shifted, labels and whole weights."""
    rng = np.random.default_rng(seed)
    z = log_softmax(rng.normal(size=(n_rows, n_classes)) * 2, axis=1)
    truth = rng.uniform(0.3, 1.2, n_classes) * z + rng.normal(size=n_classes) * 0.7
    if absent is not None:
        truth[:, absent] = -np.inf
    share = np.exp(log_softmax(truth, axis=1))
    return z, (share.cumsum(axis=1) < rng.random((n_rows, 1))).sum(axis=1), rng.integers(1, 4, n_rows) * 1.0


def objective(theta, z, y, weight, strength):
    """The loss of the docstring, row by row."""
    extra, bias = theta.reshape(2, -1)
    loss = strength[0] / 2 * extra @ extra + strength[1] / 2 * bias @ bias
    for row, k, w in zip(z, y, weight, strict=True):
        f = [(1 + d) * value + b for d, value, b in zip(extra, row, bias, strict=True)]
        loss -= w * (f[k] - max(f) - np.log(sum(np.exp(value - max(f)) for value in f)))
    return loss


def quick(theta, z, y, weight, strength):
    extra, bias = theta.reshape(2, -1)
    logs = log_softmax((1 + extra) * z + bias, axis=1)
    prior = strength[0] / 2 * extra @ extra + strength[1] / 2 * bias @ bias
    return prior - weight @ logs[np.arange(len(y)), y]


def best_by_scipy(z, y, weight, strength):
    start = np.zeros(2 * z.shape[1])
    return minimize(quick, start, args=(z, y, weight, strength), method="BFGS", options={"gtol": 1e-6}).x


def hessian_by_rows(theta, z, y, weight, strength):
    """Second derivatives from the covariance of each row's class, one row at a time."""
    n_classes = z.shape[1]
    total = np.diag(np.repeat(strength, n_classes)).astype(float)
    proba = np.exp(log_softmax((1 + theta[:n_classes]) * z + theta[n_classes:], axis=1))
    for row, p, w in zip(z, proba, weight, strict=True):
        to_logits = np.hstack([np.diag(row), np.eye(n_classes)])
        total += w * to_logits.T @ (np.diag(p) - np.outer(p, p)) @ to_logits
    return total


def parameters(scaling):
    return np.concatenate([scaling.extra, scaling.bias])


def test_the_two_oracles_agree():
    data = draw(3, 20)
    theta = np.random.default_rng(0).normal(size=6)
    assert_allclose(quick(theta, *data, (2.0, 3.0)), objective(theta, *data, (2.0, 3.0)), rtol=1e-12)


@pytest.mark.parametrize(("n_classes", "n_rows"), [(2, 60), (3, 200), (5, 40), (5, 400)])
def test_is_the_optimum_at_its_strengths(n_classes, n_rows):
    data = draw(n_classes, n_rows)
    scaling = fit_vector(*data)
    theta = parameters(scaling)
    expected = best_by_scipy(*data, scaling.strength)
    assert_allclose(theta, expected, atol=1e-4)
    least = quick(expected, *data, scaling.strength)
    assert_allclose(quick(theta, *data, scaling.strength), least, rtol=1e-9)


@pytest.mark.parametrize(("n_classes", "n_rows"), [(2, 60), (3, 200), (5, 40), (5, 400)])
def test_strengths_are_the_fixed_point_of_the_evidence(n_classes, n_rows):
    data = draw(n_classes, n_rows)
    scaling = fit_vector(*data)
    variance = np.diag(np.linalg.inv(hessian_by_rows(parameters(scaling), *data, scaling.strength)))
    for part, theta, strength in zip(
        variance.reshape(2, -1), (scaling.extra, scaling.bias), scaling.strength, strict=True
    ):
        determined = n_classes - strength * part.sum()
        again = (determined + 2) / (theta @ theta + 2 / (2 * n_classes))
        assert abs(np.log(again / strength)) < 0.03
    share = (np.repeat(scaling.strength, n_classes) * variance).reshape(2, -1)
    # What all biases have in common, one direction of K, no row can tell.
    share[1] = (share[1] - 1 / n_classes) / (1 - 1 / n_classes)
    # Second derivatives are those of a point near by.
    assert_allclose(scaling.shrinkage, share, atol=0.06)


def test_derivatives_are_those_of_the_loss():
    data = draw(4, 30)
    theta = np.random.default_rng(1).normal(size=8) * 0.3
    problem = _VectorLoss(*data)
    (loss, gradient), hessian = problem.evaluate(theta), problem.curvature(theta)
    assert_allclose(loss, objective(theta, *data, (0.0, 0.0)), rtol=1e-12)
    assert_allclose(gradient, approx_fprime(theta, quick, 1e-7, *data, (0.0, 0.0)), rtol=1e-4, atol=1e-4)
    assert_allclose(hessian, approx_fprime(theta, lambda t: problem.evaluate(t)[1], 1e-7), rtol=1e-4, atol=1e-4)
    assert_allclose(hessian, hessian_by_rows(theta, *data, (0.0, 0.0)), rtol=1e-9, atol=1e-9)


def test_a_fit_on_part_of_the_rows_keeps_the_strengths_and_forgets_the_rest():
    z, y, weight = draw(4, 300)
    whole = fit_vector(z, y, weight)
    part = fit_vector(z[:150], y[:150], weight[:150], whole)
    assert part.strength == whole.strength
    best = best_by_scipy(z[:150], y[:150], weight[:150], whole.strength)
    assert_allclose(parameters(part), best, atol=2e-3)
    least, ours, old = (
        quick(theta, z[:150], y[:150], weight[:150], whole.strength)
        for theta in (best, parameters(part), parameters(whole))
    )
    assert ours - least < 1e-3 * (old - least)


def test_gradients_alone_come_as_near_as_probabilities_can_tell(monkeypatch):
    data = draw(5, 400)
    monkeypatch.setattr(_vector_fit, "MOST_PRODUCTS", 0)
    scaling = fit_vector(*data)
    assert scaling.strength == (10.0, 10.0)
    expected = best_by_scipy(*data, scaling.strength).reshape(2, -1)
    ours, exact = (log_softmax((1 + d) * data[0] + b, axis=1) for d, b in [(scaling.extra, scaling.bias), expected])
    assert_allclose(np.exp(ours), np.exp(exact), atol=1e-3)
    assert ((scaling.shrinkage > 0) & (scaling.shrinkage <= 1)).all()


def test_gradients_alone_forget_the_rows_that_a_fold_does_not_hold(monkeypatch):
    z, y, weight = draw(5, 400)
    monkeypatch.setattr(_vector_fit, "MOST_PRODUCTS", 0)
    part = fit_vector(z[:200], y[:200], weight[:200], fit_vector(z, y, weight))
    alone = fit_vector(z[:200], y[:200], weight[:200])
    assert_allclose(parameters(part), parameters(alone), atol=2e-2)


def test_gradients_alone_leave_a_class_without_rows_to_the_prior(monkeypatch):
    data = draw(4, 100, absent=2)
    monkeypatch.setattr(_vector_fit, "MOST_PRODUCTS", 0)
    assert_array_equal(fit_vector(*data).shrinkage[:, 2], 1.0)


def test_a_class_with_eight_rows_is_held_back_most():
    rng = np.random.default_rng(0)
    moved, moved_freely = np.zeros((2, 2, 3))
    for _ in range(15):
        z = log_softmax(rng.normal(size=(1000, 3)) + [0, 0, -4], axis=1)
        y = (np.exp(z).cumsum(axis=1) < rng.random((1000, 1))).sum(axis=1)
        rare = np.flatnonzero(y == 2)
        kept = np.setdiff1d(np.arange(1000), rare[8:])
        z, y = z[kept], y[kept]
        scaling = fit_vector(z, y, np.ones(len(y)))
        assert scaling.shrinkage[1].argmax() == 2
        assert ((scaling.shrinkage > 0) & (scaling.shrinkage <= 1)).all()
        moved += np.abs(parameters(scaling).reshape(2, 3))
        moved_freely += np.abs(best_by_scipy(z, y, np.ones(len(y)), (0.01, 0.01)).reshape(2, 3))
    assert (moved[:, 2] < moved_freely[:, 2] / 2).all()


def test_an_absent_class_becomes_rare_but_not_impossible():
    z, y, weight = draw(4, 200, absent=2)
    assert 2 not in y
    scaling = fit_vector(z, y, weight)
    before, after = (np.exp(log_softmax(f, axis=1))[:, 2].mean() for f in (z, (1 + scaling.extra) * z + scaling.bias))
    assert 1e-4 < after < before / 5


def test_no_rows_leave_the_shared_temperature():
    scaling = fit_vector(np.empty((0, 3)), np.empty(0, dtype=int), np.empty(0))
    assert_array_equal(parameters(scaling), 0.0)
    assert_allclose(scaling.shrinkage, 1.0)


@pytest.mark.parametrize("total", [1e-18, 1e9, 1e15, 1e21])
def test_weights_of_any_size_leave_a_finite_fit(total):
    for n_classes in (2, 4):
        z, y, weight = draw(n_classes, 60)
        scaling = fit_vector(z, y, weight * (total / weight.sum()))
        assert np.isfinite(parameters(scaling)).all()
        assert np.isfinite(scaling.shrinkage).all()


def test_columns_can_be_put_into_another_order():
    z, y, weight = draw(3, 100)
    scaling, order = fit_vector(z, y, weight), np.array([2, 0, 1])
    turned, fitted = scaling.permuted(order), fit_vector(z[:, order], np.argsort(order)[y], weight)
    assert_array_equal(turned.extra, scaling.extra[order])
    assert_allclose(parameters(turned), parameters(fitted), atol=1e-9)
    assert_array_equal(turned.shrinkage, scaling.shrinkage[:, order])
