"""Settings of every test and doctest."""

import pytest
import threadpoolctl


@pytest.fixture(autouse=True, scope="session")
def _one_blas_thread():
    """Keep BLAS on one thread: the matrices are small, and the test workers already fill the cores."""
    with threadpoolctl.threadpool_limits(1):
        yield
