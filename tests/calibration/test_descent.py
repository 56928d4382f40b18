import numpy as np
import pytest
from numpy.testing import assert_allclose

from skroute.calibration._descent import posterior_variance


@pytest.mark.parametrize("n", [1, 2, 7, 90])
@pytest.mark.parametrize("rank", [0, 1, 200])
def test_variances_are_those_of_the_inverse(n, rank):
    rng = np.random.default_rng(n)
    half = rng.normal(size=(rank, n))
    matrix, ridge = half.T @ half, rng.uniform(0.5, 30.0, n)
    expected = np.diag(np.linalg.inv(matrix + np.diag(ridge)))
    assert_allclose(posterior_variance(matrix, ridge), expected, rtol=1e-9)
