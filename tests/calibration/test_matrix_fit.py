import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import approx_fprime, minimize
from scipy.special import log_softmax

from skroute.calibration import _matrix_fit
from skroute.calibration._matrix_fit import _MatrixLoss, fit_matrix


def draw(n_classes, n_rows, seed=0):
    """Log-probabilities whose first two classes are taken for each other, labels and whole weights."""
    rng = np.random.default_rng(seed)
    z = log_softmax(rng.normal(size=(n_rows, n_classes)) * 2, axis=1)
    truth = 0.7 * z
    truth[:, 1] += 0.6 * z[:, 0] + 0.3
    share = np.exp(log_softmax(truth, axis=1))
    return z, (share.cumsum(axis=1) < rng.random((n_rows, 1))).sum(axis=1), rng.integers(1, 4, n_rows) * 1.0


def ridge_of(strength, n_classes):
    ridge = np.full((n_classes + 1, n_classes), strength[1], dtype=float)
    ridge[np.arange(n_classes), np.arange(n_classes)] = strength[0]
    ridge[-1] = strength[2]
    return ridge


def log_proba(theta, z):
    return log_softmax(z + z @ theta[:-1] + theta[-1], axis=1)


def objective(flat, z, y, weight, strength):
    theta = flat.reshape(z.shape[1] + 1, -1)
    prior = (ridge_of(strength, z.shape[1]) * theta**2).sum() / 2
    return prior - weight @ log_proba(theta, z)[np.arange(len(y)), y]


def gradient(flat, z, y, weight, strength):
    theta = flat.reshape(z.shape[1] + 1, -1)
    excess = (np.exp(log_proba(theta, z)) - np.eye(z.shape[1])[y]) * weight[:, None]
    return (np.column_stack([z, np.ones(len(z))]).T @ excess + ridge_of(strength, z.shape[1]) * theta).ravel()


def best_by_scipy(z, y, weight, strength):
    start = np.zeros((z.shape[1] + 1) * z.shape[1])
    found = minimize(
        objective, start, args=(z, y, weight, strength), jac=gradient, method="BFGS", options={"gtol": 1e-7}
    )
    return found.x.reshape(-1, z.shape[1])


def hessian_by_rows(theta, z, weight, strength):
    """Second derivatives from the covariance of each row's class; inputs within classes."""
    n_classes = z.shape[1]
    total = np.diag(ridge_of(strength, n_classes).T.ravel())
    for row, p, w in zip(z, np.exp(log_proba(theta, z)), weight, strict=True):
        x = np.append(row, 1.0)
        total += w * np.kron(np.diag(p) - np.outer(p, p), np.outer(x, x))
    return total


def test_the_oracle_knows_its_own_gradient():
    data = draw(3, 20)
    flat = np.random.default_rng(0).normal(size=12)
    numeric = approx_fprime(flat, objective, 1e-7, *data, (1.0, 2.0, 3.0))
    assert_allclose(gradient(flat, *data, (1.0, 2.0, 3.0)), numeric, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("n_classes", "n_rows"), [(2, 50), (3, 150), (4, 40), (4, 500)])
def test_is_the_optimum_at_its_strengths(n_classes, n_rows):
    data = draw(n_classes, n_rows)
    scaling = fit_matrix(*data)
    expected = best_by_scipy(*data, scaling.strength)
    assert_allclose(scaling.theta, expected, atol=2e-4)
    ours, least = (objective(theta.ravel(), *data, scaling.strength) for theta in (scaling.theta, expected))
    assert ours <= least + 1e-5


@pytest.mark.parametrize(("n_classes", "n_rows"), [(2, 50), (3, 150), (4, 40), (4, 500)])
def test_strengths_are_near_the_fixed_point_of_the_evidence(n_classes, n_rows):
    z, y, weight = draw(n_classes, n_rows)
    scaling = fit_matrix(z, y, weight)
    hessian = hessian_by_rows(scaling.theta, z, weight, scaling.strength)
    variance = np.diag(np.linalg.inv(hessian)).reshape(n_classes, -1).T
    ridge = ridge_of((0, 1, 2), n_classes)
    first = (2 * n_classes, 2 * n_classes * (n_classes - 1), 2 * n_classes)
    for kind, (strength, start) in enumerate(zip(scaling.strength, first, strict=True)):
        own = ridge == kind
        determined = own.sum() - strength * variance[own].sum()
        again = (determined + 2) / ((scaling.theta[own] ** 2).sum() + 2 / start)
        # Rounds stop when no strength moves by a tenth.
        assert abs(np.log(again / strength)) < 0.15


def test_derivatives_are_those_of_the_loss():
    z, y, weight = draw(3, 25)
    theta = np.random.default_rng(1).normal(size=(4, 3)) * 0.3
    by_class, free = theta.T.ravel(), (0.0, 0.0, 0.0)
    problem = _MatrixLoss(z, y, weight)
    loss, slope = problem.evaluate(by_class)
    assert_allclose(loss, objective(theta.ravel(), z, y, weight, free), rtol=1e-12)
    assert_allclose(slope.reshape(3, 4).T.ravel(), gradient(theta.ravel(), z, y, weight, free), rtol=1e-9, atol=1e-9)
    hessian = problem.curvature(by_class)
    assert_allclose(hessian, hessian_by_rows(theta, z, weight, free), rtol=1e-9, atol=1e-9)
    numeric = approx_fprime(theta.ravel(), gradient, 1e-7, z, y, weight, free)
    order = np.arange(12).reshape(4, 3).T.ravel()
    assert_allclose(hessian, numeric[np.ix_(order, order)], rtol=1e-4, atol=1e-4)


def test_a_fit_on_part_of_the_rows_keeps_the_strengths_and_forgets_the_rest():
    z, y, weight = draw(4, 300)
    whole = fit_matrix(z, y, weight)
    part = fit_matrix(z[:150], y[:150], weight[:150], whole)
    assert part.strength == whole.strength
    best = best_by_scipy(z[:150], y[:150], weight[:150], whole.strength)
    assert_allclose(part.theta, best, atol=5e-3)
    least, ours, old = (
        objective(theta.ravel(), z[:150], y[:150], weight[:150], whole.strength)
        for theta in (best, part.theta, whole.theta)
    )
    assert ours - least < 1e-3 * (old - least)


@pytest.mark.parametrize(("name", "value"), [("MOST_CLASSES", 3), ("MOST_PRODUCTS", 0)])
def test_gradients_alone_come_as_near_as_probabilities_can_tell(monkeypatch, name, value):
    z, y, weight = draw(4, 400)
    monkeypatch.setattr(_matrix_fit, name, value)
    scaling = fit_matrix(z, y, weight)
    assert scaling.strength == (8.0, 24.0, 8.0)
    expected = best_by_scipy(z, y, weight, scaling.strength)
    assert_allclose(np.exp(log_proba(scaling.theta, z)), np.exp(log_proba(expected, z)), atol=1e-2)


@pytest.mark.parametrize("n_classes", [4, 12])
def test_gradients_alone_forget_the_rows_that_a_fold_does_not_hold(monkeypatch, n_classes):
    z, y, weight = draw(n_classes, 500)
    monkeypatch.setattr(_matrix_fit, "MOST_CLASSES", 3)
    whole = fit_matrix(z, y, weight)
    part = fit_matrix(z[:400], y[:400], weight[:400], whole)
    best = best_by_scipy(z[:400], y[:400], weight[:400], whole.strength)

    def of_others(theta):
        return -np.average(log_proba(theta, z[400:])[np.arange(100), y[400:]], weights=weight[400:])

    # What it still knows of them is little of what a fit on all rows knows.
    assert abs(of_others(best) - of_others(part.theta)) < 0.1 * (of_others(best) - of_others(whole.theta))


def test_what_one_class_borrows_from_another_is_found():
    z, y, weight = draw(3, 3000)
    matrix = np.eye(3) + fit_matrix(z, y, weight).theta[:-1]
    # Softmax does not see what all columns share.
    borrowed = matrix[0, 1] - matrix[0, 2]
    assert_allclose(borrowed, 0.6, atol=0.15)
    assert abs(matrix[2, 0] - matrix[2, 1]) < 0.15


def test_no_rows_leave_the_identity():
    assert_array_equal(fit_matrix(np.empty((0, 3)), np.empty(0, dtype=int), np.empty(0)).theta, 0.0)


@pytest.mark.parametrize("total", [1e-18, 1e9, 1e15, 1e21])
def test_weights_of_any_size_leave_a_finite_fit(total):
    for n_classes in (2, 4):
        z, y, weight = draw(n_classes, 60)
        assert np.isfinite(fit_matrix(z, y, weight * (total / weight.sum())).theta).all()


def test_columns_can_be_put_into_another_order():
    z, y, weight = draw(3, 100)
    order = np.array([2, 0, 1])
    turned = fit_matrix(z, y, weight).permuted(order)
    fitted = fit_matrix(z[:, order], np.argsort(order)[y], weight)
    assert_allclose(turned.theta, fitted.theta, atol=1e-6)
