import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from strategies import levels, unhurried

from skroute.metrics import calibration_error
from skroute.reliability import reliability_table


def error_by_loop(hits, stated, weight, edges, power, debias=False):
    """Guo's estimate, bin by bin and row by row."""
    total = float(sum(weight))
    error, largest = 0.0, 0.0
    for b in range(len(edges) - 1):
        last = b == len(edges) - 2
        rows = [i for i, s in enumerate(stated) if edges[b] <= s and (s < edges[b + 1] or last)]
        size = float(sum(weight[i] for i in rows))
        if size == 0.0:
            continue
        accuracy = sum(weight[i] * hits[i] for i in rows) / size
        gap = abs(accuracy - sum(weight[i] * stated[i] for i in rows) / size)
        chance = accuracy * (1.0 - accuracy) / (size - 1.0) if debias and size > 1.0 else 0.0
        error += size / total * (gap**power - chance)
        largest = max(largest, gap)
    return max(error, 0.0) ** (1.0 / power), largest


def quantile_edges_by_sort(stated, n_bins):
    ranked = np.sort(stated)
    return np.unique([0.0, *(ranked[math.floor(len(ranked) * k / n_bins)] for k in range(1, n_bins)), 1.0])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_bins", [1, 4, 10, 15, 100])
@pytest.mark.parametrize(("norm", "debias"), [("l1", False), ("l2", False), ("l2", True), ("max", False)])
def test_agrees_with_a_loop_over_bins_and_rows(forecasts, log_of, n_bins, norm, debias, weighted):
    hits, stated, weight = forecasts
    found = calibration_error(
        **log_of(hits, stated), norm=norm, n_bins=n_bins, debias=debias, sample_weight=weight if weighted else None
    )
    mean, largest = error_by_loop(
        hits, stated, weight if weighted else np.ones(400), np.arange(n_bins + 1) / n_bins, 1 + (norm == "l2"), debias
    )
    assert found == pytest.approx(largest if norm == "max" else mean, abs=1e-12)
    assert found > 0.0


@pytest.mark.parametrize("n_bins", [1, 3, 10, 15])
def test_quantile_bins_hold_equal_shares(forecasts, log_of, n_bins):
    hits, stated, _ = forecasts
    expected, _ = error_by_loop(hits, stated, np.ones(400), quantile_edges_by_sort(stated, n_bins), 1)
    found = calibration_error(**log_of(hits, stated), n_bins=n_bins, strategy="quantile")
    assert found == pytest.approx(expected, abs=1e-12)


def test_the_top_label_error_pools_all_predicted_classes(sample):
    y, proba, classes, weight = sample
    right = classes[proba.argmax(axis=1)] == y
    expected, _ = error_by_loop(right, proba.max(axis=1), weight, np.arange(16) / 15, 1)
    assert calibration_error(y, proba, classes=classes, sample_weight=weight) == pytest.approx(expected, abs=1e-12)


def test_it_sums_up_the_reliability_table(sample):
    y, proba, classes, _ = sample
    rows = reliability_table(y, proba, classes=classes, n_bins=15).of(None)
    filled = rows.count > 0
    expected = np.average(np.abs(rows.gap[filled]), weights=rows.count[filled])
    assert calibration_error(y, proba, classes=classes) == pytest.approx(expected, abs=1e-12)


def test_an_edge_opens_its_own_bin(log_of):
    # 0.5 stands apart from 0.4 although bins closed on the right would join them: 0.5 short and 0.4 over.
    found = calibration_error(**log_of([True, False], [0.5, 0.4]), n_bins=2)
    assert found == pytest.approx((0.5 + 0.4) / 2)


@pytest.mark.parametrize("norm", ["l1", "l2", "max"])
def test_true_promises_have_no_error_and_broken_ones_all_of_it(log_of, norm):
    hits = np.array([True] * 6 + [False] * 4)
    assert calibration_error(**log_of(hits, np.full(10, 0.6)), norm=norm) == pytest.approx(0.0, abs=1e-15)
    assert calibration_error(**log_of(hits, 1.0 - hits), norm=norm) == 1.0


def test_debiasing_removes_what_chance_contributes_on_average(log_of):
    rng = np.random.default_rng(0)
    plain, debiased = [], []
    for _ in range(200):
        stated = rng.random(150)
        data = log_of(rng.random(150) < stated, stated)
        plain.append(calibration_error(**data, norm="l2") ** 2)
        debiased.append(calibration_error(**data, norm="l2", debias=True) ** 2)
    assert np.mean(plain) > 4 * np.mean(debiased)


def test_a_bin_of_one_row_is_left_as_it_is(log_of):
    data = log_of([True, False, True], [0.1, 0.5, 0.9])
    assert calibration_error(**data, norm="l2", debias=True) == calibration_error(**data, norm="l2") > 0.0


@unhurried
@given(hits=arrays(bool, 12), stated=arrays(float, 12, elements=levels), n_bins=st.integers(1, 20))
def test_norms_are_ordered_and_lie_in_the_unit_interval(hits, stated, n_bins):
    data = {"y_true": hits, "y_pred": np.ones(12, dtype=bool), "confidence": stated, "classes": [False, True]}
    l1, l2, largest = (calibration_error(**data, norm=norm, n_bins=n_bins) for norm in ("l1", "l2", "max"))
    assert 0.0 <= l1 <= l2 + 1e-12 <= largest + 2e-12 <= 1.0 + 3e-12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norm": "l3"}, "'norm' parameter"),
        ({"strategy": "equal"}, "'strategy' parameter"),
        ({"n_bins": 0}, "'n_bins' parameter"),
        ({"n_bins": 2.5}, "'n_bins' parameter"),
        ({"debias": True}, "needs norm='l2'"),
        ({"debias": True, "norm": "max"}, "needs norm='l2'"),
    ],
)
def test_bad_settings_are_named(log_of, change, message):
    with pytest.raises(ValueError, match=message):
        calibration_error(**log_of([True, False], [0.5, 0.4]), **change)


def test_chance_follows_the_effective_number_of_rows(log_of):
    hits, weight = np.array([True, False, True, True]), np.array([0.5, 1.5, 2.5, 0.25])
    log = log_of(hits, [0.01] * 4)
    accuracy, n = weight @ hits / weight.sum(), weight.sum() ** 2 / (weight @ weight)
    expected = math.sqrt((accuracy - 0.01) ** 2 - accuracy * (1 - accuracy) / (n - 1))
    for scale in (1e-6, 1.0, 1e6 / 3):
        found = calibration_error(**log, norm="l2", debias=True, sample_weight=weight * scale)
        assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_equal_importances_are_no_weights(forecasts, log_of, strategy):
    hits, stated, _ = forecasts
    settings = log_of(hits, stated) | {"norm": "l2", "debias": True, "strategy": strategy}
    plain = calibration_error(**settings)
    assert calibration_error(**settings, sample_weight=np.full(400, 1 / 400)) == pytest.approx(plain, rel=1e-12)
    tripled = settings | {"sample_weight": np.full(400, 3)}
    assert calibration_error(**tripled, weights="importance") == pytest.approx(plain, rel=1e-12)
    assert calibration_error(**tripled) > plain


@pytest.mark.parametrize("debias", ["no", 1, None])
def test_debias_is_true_or_false(log_of, debias):
    with pytest.raises(ValueError, match=r"'debias' parameter of calibration_error must be True or False\. Got"):
        calibration_error(**log_of([True, False], [0.5, 0.4]), norm="l2", debias=debias)


def test_bins_without_number_are_refused(log_of):
    with pytest.raises(ValueError, match=r"'n_bins' parameter .* at least 1 and at most 1000000\. Got 1000001"):
        calibration_error(**log_of([True, False], [0.5, 0.4]), n_bins=10**6 + 1)
