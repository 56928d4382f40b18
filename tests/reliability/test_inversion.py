import numpy as np
import pytest
from scipy.stats import binom

from skroute.reliability import reliability_table
from skroute.reliability._inversion import FALSE_ALARM_RATE, _fall_p_value, inverted_groups


def marks(hits, trials, *, dependent=False):
    hits, trials = np.array(hits, dtype=float), np.array(trials, dtype=float)
    return inverted_groups(hits, trials, trials >= 50, np.full(len(hits), dependent)).tolist()


def test_marks_the_group_that_falls_and_no_other():
    assert marks([[180, 160, 110], [110, 160, 180]], [[200] * 3] * 2) == [True, False]


def test_leaves_small_falls_and_small_bins_alone():
    assert marks([[180, 178, 176]], [[200] * 3]) == [False]
    assert marks([[49, 0, 200]], [[49, 49, 200]]) == [False]
    assert marks([[0, 0, 0]], [[0, 0, 0]]) == [False]


def test_takes_effective_numbers():
    assert marks([[180.3, 109.7]], [[200.5, 200.9]]) == [True]


@pytest.mark.parametrize("rows", [(45, 50, 50, 80), (290, 300, 1800, 2000), (50, 50, 40, 50), (48000, 50000, 45, 50)])
def test_p_value_bounds_the_worst_common_accuracy(rows):
    hits_a, trials_a, hits_b, trials_b = rows
    t = np.linspace(0, 1, 20001)
    tails = binom.sf(hits_a - 1, trials_a, t), binom.cdf(hits_b, trials_b, t)
    product = (tails[0] * tails[1]).max()
    expected = {False: product * (1 - np.log(product)), True: 2 * np.minimum(*tails).max()}
    for dependent, worst in expected.items():
        bound = _fall_p_value(*(np.array([value]) for value in rows), np.array([dependent]))[0]
        assert worst <= bound * (1 + 1e-3)
        assert bound <= 1.5 * worst


@pytest.mark.parametrize("accuracy", [0.7, 0.97])
def test_false_alarms_stay_under_their_rate_for_the_whole_table(accuracy):
    """Equal accuracy in all bins is the hardest table without a fall; sizes are uneven on purpose."""
    rng = np.random.default_rng(0)
    trials = rng.choice([50, 80, 500], size=(200, 4, 8))
    alarms = [any(marks(rng.binomial(size, accuracy), size)) for size in trials]
    assert np.mean(alarms) <= FALSE_ALARM_RATE


def test_false_alarms_stay_under_their_rate_where_bins_share_rows():
    """Classwise with two classes near 0.5, what one bin gains the other one loses."""
    rng = np.random.default_rng(0)
    edges = [0, 0.48, 0.49, 0.5, 0.51, 0.52, 1]
    alarms = []
    for _ in range(100):
        y, p = rng.integers(0, 2, 1000), rng.uniform(0.47, 0.53, 1000)
        table = reliability_table(y, p, classes=[0, 1], kind="classwise", n_bins=edges)
        alarms.append(table.rows.inverted.any())
    assert np.mean(alarms) <= FALSE_ALARM_RATE
