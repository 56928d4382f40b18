import pytest

from skroute.calibration import _sort_speed
from skroute.calibration._sort_speed import QUICK, ROWS, TIMES, sorts_quickly


@pytest.fixture
def unmeasured():
    sorts_quickly.cache_clear()
    yield
    sorts_quickly.cache_clear()


@pytest.mark.parametrize("quick", [False, True])
def test_the_quickest_sort_counts(unmeasured, monkeypatch, quick):
    slow = 3.0 * QUICK * ROWS
    # All but one were held up by something else.
    seconds = [slow] * (TIMES - 1) + [slow / 10.0 if quick else slow]
    readings = iter([reading for second in seconds for reading in (0.0, second)])
    monkeypatch.setattr(_sort_speed, "perf_counter", lambda: next(readings))
    assert sorts_quickly() is quick


def test_it_is_measured_once(unmeasured):
    assert all(sorts_quickly() is sorts_quickly() for _ in range(10))
    assert sorts_quickly.cache_info().misses == 1
