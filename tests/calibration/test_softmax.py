import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import log_softmax, softmax

from skroute.calibration._softmax import unnormalised_softmax


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-13), (np.float32, 1e-5)])
@pytest.mark.parametrize("n_classes", [2, 3, 5, 6, 16, 17, 100])
@pytest.mark.parametrize("n_rows", [1, 15, 16, 300])
def test_softmax_before_its_division(n_rows, n_classes, dtype, rtol):
    rng = np.random.default_rng(0)
    given = (30.0 * rng.normal(size=(n_rows, n_classes))).astype(dtype)
    codes = rng.integers(0, n_classes, n_rows)
    powers = given.copy()
    total, log_of_truth = unnormalised_softmax(powers, codes)
    assert total.dtype == log_of_truth.dtype == dtype
    assert_array_equal(powers.max(axis=1), 1.0)
    assert_allclose(powers / total[:, np.newaxis], softmax(given.astype(float), axis=1), rtol=rtol, atol=1e-37)
    expected = log_softmax(given.astype(float), axis=1)[np.arange(n_rows), codes]
    assert_allclose(log_of_truth, expected, rtol=rtol, atol=rtol)


def test_what_has_no_power_has_a_logarithm():
    total, log_of_truth = unnormalised_softmax(logits := np.array([[0.0, -1e6]]), np.array([1]))
    assert (total.tolist(), log_of_truth.tolist(), logits.tolist()) == ([1.0], [-1e6], [[1.0, 0.0]])
