import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import beta

from skroute.datasets import load_lesson

LESSON = load_lesson()


def signals(row):
    """Return confidence, margin, entropy in bits and normalised entropy of one row."""
    second, first = np.sort(row)[-2:]
    share = row[row > 0] / row.sum()
    entropy = -np.sum(share * np.log2(share))
    return first, first - second, entropy, entropy / np.log2(len(row))


def route(row, watch_order=None, thresholds=(0.8, 0.8, 0.8)):
    """Follow the table of routes with default gates, literally; no order means no watch."""
    confidence, margin, _, entropy = signals(row)
    top = int(np.argmax(row))
    gates = confidence >= thresholds[top] and margin >= 0.30 and entropy <= 0.45
    fires = watch_order is not None and row[2] >= 0.34
    otherwise = "escalate" if entropy >= 0.80 else "clarify"
    if watch_order == "before":
        return "auto" if gates and not (fires and top != 2) else "watch" if fires else otherwise
    counts = fires and {"after": True, "top": top == 2}.get(watch_order, False)
    return "auto" if gates else "watch" if counts else otherwise


def test_signals_are_those_of_the_rows_to_the_printed_digits():
    confidence, margin, entropy_bits, normalised_entropy = np.array([signals(row) for row in LESSON.proba]).T
    assert_array_equal(np.round(confidence, 3), LESSON.confidence)
    assert_array_equal(np.round(margin, 3), LESSON.margin)
    assert_array_equal(np.round(entropy_bits, 2), LESSON.entropy_bits)
    assert_array_equal(np.round(normalised_entropy, 2), LESSON.normalised_entropy)


def test_routes_without_a_watch():
    assert LESSON.route == [route(row) for row in LESSON.proba]
    assert set(LESSON.route) == {"auto", "clarify", "escalate"}


@pytest.mark.parametrize("watch_order", ["before", "after", "flag", "top"])
def test_routes_with_the_watch(watch_order):
    assert LESSON.watch == {"security_incident": 0.34}
    assert LESSON.route_with_watch[watch_order] == [route(row, watch_order) for row in LESSON.proba]


def test_the_lessons_thresholds_give_the_same_routes():
    thresholds = [LESSON.thresholds[label] for label in LESSON.classes.tolist()]
    assert thresholds == [0.80, 0.72, 0.60]
    assert LESSON.route == [route(row, thresholds=thresholds) for row in LESSON.proba]


def test_probabilities_are_kept_as_printed():
    assert LESSON.proba[0].tolist() == [0.576, 0.386, 0.039]
    assert_allclose(LESSON.proba.sum(axis=1), [1.001, 1, 1, 1, 1, 1, 1])
    assert LESSON.classes.tolist() == ["account_unlock", "vpn_issue", "security_incident"]
    assert len(LESSON.names) == len(set(LESSON.names)) == len(LESSON.proba)


def test_reliability_counts_give_their_intervals_and_verdicts():
    for group in LESSON.reliability:
        n, k = group["count"], group["n_right"]
        low, high = beta.ppf(0.025, k, n - k + 1), beta.ppf(0.975, k + 1, n - k)
        assert group["interval"] == (round(low, 3), round(high, 3))
        gap = group["mean_confidence"] - k / n
        excluded = not low <= group["mean_confidence"] <= high
        assert group["verdict"] == ("overconfident" if gap > 0.05 and excluded else "calibrated")
    assert [group["verdict"] for group in LESSON.reliability] == ["overconfident", "calibrated"]


def test_callers_do_not_share_state():
    lesson = load_lesson()
    lesson.proba[:] = 0
    lesson.watch.clear()
    lesson.reliability[0].clear()
    assert load_lesson().proba[6, 0] == 1
    assert load_lesson().watch
    assert load_lesson().reliability[0]
