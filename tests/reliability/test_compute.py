import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve

from skroute._frames import check_proba
from skroute.reliability import _compute, reliability_table

CLASSES = ["account_unlock", "security_incident", "vpn_issue"]


def generated(n=2000, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.ones(n_classes), size=n)
    return rng.integers(0, n_classes, n), proba


def naive(rows, edges):
    """Return count, weight, mean confidence and accuracy per bin of (confidence, right, weight) rows, one by one."""
    bins = [[] for _ in edges[1:]]
    for row in rows:
        place = max(i for i, edge in enumerate(edges[:-1]) if row[0] >= edge)
        bins[place].append(row)
    figures = []
    for members in bins:
        weight = sum(w for _, _, w in members)
        confidence = sum(p * w for p, _, w in members) / weight if members else np.nan
        accuracy = sum(right * w for _, right, w in members) / weight if members else np.nan
        figures.append((len(members), weight, confidence, accuracy))
    return np.array(figures).T


def naive_rows(y, proba, weight, kind, label):
    rows = []
    for truth, row, w in zip(y, proba, weight, strict=True):
        top = list(row).index(max(row))
        for c, p in enumerate(row):
            if label in (None, c) and (kind == "classwise" or c == top):
                rows.append((p, truth == c, w))
    return rows


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize("kind", ["top-label", "classwise"])
def test_agrees_with_a_loop_over_rows(kind, strategy, weighted):
    y, proba = generated(300)
    proba = np.round(proba, 1)
    proba[:, 2] = 1 - proba[:, 0] - proba[:, 1]
    proba = np.clip(proba, 0, 1)
    weight = np.random.default_rng(1).random(300) + 0.1 if weighted else None
    table = reliability_table(y, proba, kind=kind, strategy=strategy, n_bins=7, sample_weight=weight)
    for label in [None, 0, 1, 2]:
        rows = naive_rows(y, proba, np.ones(300) if weight is None else weight, kind, label)
        found = table.of(label)
        expected = naive(rows, table.edges)
        got = (found.count, found.weight, found.confidence, found.accuracy)
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(found.gap, found.accuracy - found.confidence)


def test_classwise_figures_are_those_of_the_calibration_curve():
    y, proba = generated()
    table = reliability_table(y, proba, kind="classwise")
    for c in range(3):
        accuracy, confidence = calibration_curve(y == c, proba[:, c], n_bins=10)
        found = table.of(c)
        np.testing.assert_allclose(found.accuracy[found.count > 0], accuracy)
        np.testing.assert_allclose(found.confidence[found.count > 0], confidence)


def test_intervals_are_exact():
    y, proba = generated(500)
    rows = reliability_table(y, proba, confidence_level=0.9).of(1)
    for i in np.flatnonzero(rows.count):
        hits = round(rows.accuracy[i] * rows.count[i])
        expected = binomtest(hits, int(rows.count[i])).proportion_ci(0.9)
        np.testing.assert_allclose((rows.interval_low[i], rows.interval_high[i]), expected)


def test_the_security_class_of_the_lesson_is_overconfident_and_the_other_is_not():
    y_pred = np.repeat(["security_incident", "vpn_issue"], 300)
    y_true = np.repeat(["security_incident", "vpn_issue", "vpn_issue", "account_unlock"], [156, 144, 247, 53])
    table = reliability_table(y_true, y_pred=y_pred, confidence=np.full(600, 0.8))
    incident, vpn = (table.of(label)._select([8]) for label in ("security_incident", "vpn_issue"))
    assert incident.verdict == ["overconfident"]
    np.testing.assert_allclose([incident.interval_low[0], incident.interval_high[0]], [0.462, 0.578], atol=5e-4)
    assert vpn.verdict == ["calibrated"]
    np.testing.assert_allclose([vpn.interval_low[0], vpn.interval_high[0]], [0.775, 0.865], atol=5e-4)


def test_swapped_promises_are_marked_inverted_for_their_class_only():
    rng = np.random.default_rng(0)
    confidence, y_pred = rng.uniform(0.5, 1, 4000), rng.integers(0, 2, 4000)
    right = rng.random(4000) < np.where(y_pred == 1, 1.5 - confidence, confidence)
    table = reliability_table(np.where(right, y_pred, 1 - y_pred), y_pred=y_pred, confidence=confidence)
    assert table.summary().inverted.tolist()[1:] == [False, True]


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize("kind", ["top-label", "classwise"])
def test_unit_weights_change_nothing(kind, strategy):
    y, proba = generated()
    plain, unit = (
        reliability_table(y, proba, kind=kind, strategy=strategy, sample_weight=weight)
        for weight in (None, np.ones(len(y)))
    )
    assert plain == unit
    for name, values in plain._columns().items():
        np.testing.assert_array_equal(unit._columns()[name], values)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize("kind", ["top-label", "classwise"])
def test_whole_weights_repeat_rows(kind, strategy):
    y, proba = generated()
    weight = np.random.default_rng(1).integers(0, 5, len(y))
    settings = {"kind": kind, "strategy": strategy}
    weighted = reliability_table(y, proba, sample_weight=weight, **settings)
    repeated = reliability_table(np.repeat(y, weight), np.repeat(proba, weight, axis=0), **settings)
    assert weighted == repeated
    importances = reliability_table(y, proba, sample_weight=weight, weights="importance", **settings)
    for name in ("weight", "confidence", "accuracy", "gap"):
        np.testing.assert_array_equal(getattr(importances.rows, name), getattr(repeated.rows, name))
    assert (importances.rows.count[weighted.rows.count > 0] < weighted.rows.count[weighted.rows.count > 0]).all()


def test_what_the_weights_mean_can_be_said():
    y, proba = ["a", "b", "b"], [[0.7, 0.3], [0.4, 0.6], [0.2, 0.8]]
    with pytest.raises(ValueError, match=r"whole numbers where weights='frequency', got 2\.5 in row 1"):
        reliability_table(y, proba, sample_weight=[1.0, 2.5, 3.0], weights="frequency")
    for weight in (None, [1.0, 2.0, 3.0]):
        with pytest.raises(ValueError, match="'weights' parameter of reliability_table must be one of 'auto'"):
            reliability_table(y, proba, sample_weight=weight, weights="count")
    whole, other = (reliability_table(y, proba, sample_weight=w).summary().count[0] for w in ([1, 2, 3], [1, 2, 3.5]))
    assert (whole, other) == (6, 3)


def test_rows_of_weight_zero_count_nowhere():
    y, proba = generated(100)
    weight = np.r_[np.zeros(40), np.ones(60)]
    assert reliability_table(y, proba, sample_weight=weight) == reliability_table(y[40:], proba[40:])


def test_uneven_weights_widen_the_interval():
    y, proba = generated()
    weight = np.random.default_rng(1).exponential(size=len(y)) ** 2
    widths = [
        rows.interval_high[0] - rows.interval_low[0]
        for rows in (reliability_table(y, proba, sample_weight=w).summary() for w in (None, weight))
    ]
    assert widths[1] > 1.5 * widths[0]


def test_blocks_do_not_show(monkeypatch):
    y, proba = generated(100)
    weight = np.linspace(0.1, 9, 100)
    whole = [reliability_table(y, proba, kind=kind, sample_weight=weight) for kind in _compute.KINDS]
    monkeypatch.setattr(_compute, "BLOCK", 7)
    assert whole == [reliability_table(y, proba, kind=kind, sample_weight=weight) for kind in _compute.KINDS]


def test_tied_probabilities_go_to_the_first_class():
    table = reliability_table(["b"], [[0.2, 0.4, 0.4]], classes=["a", "b", "c"])
    assert table.of("b").count.sum() == 1
    assert table.of("c").count.sum() == 0


@given(st.sampled_from([0.1, 0.3, 0.5, 0.6, 0.7, 0.9, 1.0]))
def test_confidences_on_an_edge_open_their_bin(confidence):
    rows = reliability_table(["a"], y_pred=["a"], confidence=[confidence], classes=["a", "b"]).of("a")
    place = int(np.flatnonzero(rows.count)[0])
    assert rows.low[place] <= confidence
    assert confidence < rows.high[place] or place == 9


def test_absent_classes_keep_their_rows():
    table = reliability_table(["a", "a"], [[0.9, 0.1, 0.0], [0.8, 0.1, 0.1]], classes=["a", "b", "c"])
    rows = table.of("c")
    assert rows.count.tolist() == [0] * 10
    assert np.isnan(rows.gap).all()
    assert np.isnan(rows.interval_low).all()
    assert set(rows.verdict) == {"insufficient"}


def assert_same_figures(first, second):
    np.testing.assert_array_equal(first.sums, second.sums)


def test_labels_of_any_type_give_the_same_figures():
    y, proba = generated(200, n_classes=2)
    expected = reliability_table(y, proba)
    assert_same_figures(reliability_table(y.astype(bool), proba), expected)
    assert_same_figures(reliability_table(np.array(["no", "yes"])[y], proba), expected)
    assert_same_figures(reliability_table(np.array(["no", "yes"], dtype=object)[y], proba), expected)
    assert_same_figures(reliability_table(y.tolist(), proba.tolist()), expected)
    assert_same_figures(reliability_table(y, proba[:, 1]), reliability_table(y, np.c_[1 - proba[:, 1], proba[:, 1]]))


def test_frames_and_series_are_read_by_name_and_by_position():
    y, proba = generated(200)
    names = np.array(CLASSES)
    expected = reliability_table(names[y], proba, classes=CLASSES)
    index = np.arange(200)[::-1] * 3
    shuffled = pd.DataFrame(proba, columns=CLASSES, index=index)[CLASSES[::-1]]
    labels = pd.Series(names[y], index=index)
    assert reliability_table(labels, shuffled, classes=CLASSES) == expected
    assert reliability_table(labels, shuffled[CLASSES]) == expected
    frame = pl.DataFrame(proba, schema=CLASSES)
    assert reliability_table(pl.Series(names[y]), frame) == expected
    weight = pd.Series(np.ones(200), index=index)
    assert reliability_table(labels, pd.DataFrame(proba), classes=CLASSES, sample_weight=weight) == expected


def test_memory_layout_and_precision_do_not_matter():
    y, proba = generated(200)
    half = np.round(proba * 64) / 64
    half[:, 2] = 1 - half[:, 0] - half[:, 1]
    half = np.clip(half, 0, 1)
    expected = reliability_table(y, half, kind="classwise")
    assert reliability_table(y, np.asfortranarray(half), kind="classwise") == expected
    assert reliability_table(y, half.astype(np.float32), kind="classwise") == expected


def test_a_log_gives_the_table_of_its_probabilities():
    y, proba = generated(200)
    names = np.array(CLASSES)
    table = reliability_table(names[y], y_pred=names[proba.argmax(axis=1)], confidence=proba.max(axis=1))
    assert table == reliability_table(names[y], proba)


def test_inputs_are_left_as_they_are():
    y, proba = generated(50)
    weight = np.arange(50.0)
    copies = y.copy(), proba.copy(), weight.copy()
    for kind in _compute.KINDS:
        reliability_table(y, proba, kind=kind, strategy="quantile", sample_weight=weight)
    for value, copy in zip((y, proba, weight), copies, strict=True):
        np.testing.assert_array_equal(value, copy)


PROBA = [[0.9, 0.1], [0.2, 0.8]]
LOG = {"y_pred": ["a", "b"], "confidence": [0.9, 0.8]}


@pytest.mark.parametrize(
    ("y", "settings", "message"),
    [
        ([], {"y_prob": np.empty((0, 2))}, "y_true must hold at least one row"),
        (
            ["a"],
            {"y_prob": PROBA, "classes": ["a", "b"]},
            "y_prob must have one row a label: 1 labels in y_true, got 2",
        ),
        (["a", "b"], {"y_prob": [[0.9, 0.2], [0.2, 0.8]]}, "rows of y_prob must sum to 1 .*; row 0 sums to 1.1"),
        (["a", "b"], {"y_prob": [[np.nan, 0.2], [0.2, 0.8]]}, "y_prob must hold finite probabilities .* row 0"),
        (["a", "b"], {"y_prob": [[0.5, 0.5], [-0.2, 1.2]]}, "y_prob must hold finite probabilities .* row 1"),
        (["a", "b"], {"y_prob": PROBA, "classes": ["a", "c"]}, "y_true names 'b', which is not a class"),
        (["a", "a"], {"y_prob": PROBA}, "y_true holds 1 classes .* y_prob has 2 columns: pass classes="),
        (["a", None], {"y_prob": PROBA}, "y_true must hold labels of one type"),
        ([0.0, np.nan], {"y_prob": PROBA}, "y_true must not hold NaN; row 1 does"),
        (["a", "b"], {}, "Pass y_prob, or y_pred and confidence"),
        (["a", "b"], {"y_pred": ["a", "b"]}, "Pass y_prob, or y_pred and confidence"),
        (["a", "b"], {"y_prob": PROBA, **LOG}, "either y_prob, or y_pred and confidence; got both"),
        (["a", "b"], {**LOG, "kind": "classwise"}, "kind 'classwise' needs y_prob"),
        (["a", "b"], {**LOG, "y_pred": ["a"]}, "y_pred must have one row a label"),
        (["a", "b"], {**LOG, "confidence": [0.9]}, "confidence must have one row a label"),
        (["a", "b"], {**LOG, "confidence": [0.9, 1.2]}, "confidence must hold finite probabilities .* row 1 holds 1.2"),
        (
            ["a", "b"],
            {**LOG, "confidence": [np.nan, 0.5]},
            "confidence must hold finite probabilities .* row 0 holds nan",
        ),
        (["a", "b"], {**LOG, "confidence": ["high", "low"]}, "confidence must hold real numbers, got <U4 values"),
        (["a", "a"], {**LOG, "y_pred": ["a", "a"]}, "one class only .*: pass classes="),
        (["a", "b"], {**LOG, "classes": ["b", "c"]}, "y_true names 'a'"),
        (["a", "b"], {"y_prob": PROBA, "sample_weight": [1, -1]}, "sample_weight must be finite and not negative"),
        (["a", "b"], {"y_prob": PROBA, "sample_weight": [1]}, "sample_weight must have one value a row"),
        (["a", "b"], {"y_prob": PROBA, "sample_weight": [0, 0]}, "sample_weight must be positive in at least one row"),
        (["a", "b"], {"y_prob": PROBA, "sample_weight": [1, 1e99]}, "sample_weight must be .* got 1e.99 in row 1"),
        (["a", "b"], {"y_prob": PROBA, "kind": "pairwise"}, "'kind' parameter of reliability_table"),
        (["a", "b"], {"y_prob": PROBA, "strategy": "log"}, "'strategy' parameter of reliability_table"),
        (["a", "b"], {"y_prob": PROBA, "n_bins": 0}, "'n_bins' parameter of reliability_table"),
        (["a", "b"], {"y_prob": PROBA, "min_count": 0}, "'min_count' parameter of reliability_table"),
        (["a", "b"], {"y_prob": PROBA, "confidence_level": 95}, "'confidence_level' parameter of reliability_table"),
        (["a", "b"], {"y_prob": PROBA, "tolerance": -0.1}, "'tolerance' parameter of reliability_table"),
    ],
)
def test_refuses_with_a_message_that_says_what_to_do(y, settings, message):
    with pytest.raises(ValueError, match=message):
        reliability_table(y, **settings)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n_bins", [10, 20, 100, 1000])
def test_one_dimension_is_two_columns_of_the_same_decimals(n_bins, dtype):
    tenths = np.arange(n_bins + 1)
    first, second = ((ends / n_bins).astype(dtype) for ends in (tenths[::-1], tenths))
    y, settings = tenths % 2, {"classes": [0, 1], "kind": "classwise", "n_bins": n_bins}
    assert reliability_table(y, second, **settings) == reliability_table(
        y, np.column_stack([first, second]), **settings
    )


def test_the_complement_of_a_near_certainty_keeps_its_digits():
    almost = 1.0 - 2.0**-52
    values, _ = check_proba([almost, 1.0, 0.0], binary_column=True)
    assert values.tolist() == [[2.0**-52, almost], [0.0, 1.0], [1.0, 0.0]]


def test_more_rows_than_floats_can_count_are_importances():
    data = {"y_pred": ["a", "a", "b"], "confidence": [0.9, 0.8, 0.7], "sample_weight": [1e17, 2e17, 3e17]}
    table = reliability_table(["a", "b", "b"], **data)
    assert table.summary().count.tolist() == [3, 2, 1]
    with pytest.raises(ValueError, match=r"sample_weight must count at most 9007199254740992 rows .*, got 6e\+17"):
        reliability_table(["a", "b", "b"], **data, weights="frequency")


@pytest.mark.parametrize("n_bins", [10**6 + 1, 10**30])
def test_bins_without_number_are_refused(n_bins):
    with pytest.raises(ValueError, match=r"'n_bins' parameter .* must be an int of at least 1 and at most 1000000"):
        reliability_table(["a", "b"], [0.1, 0.9], n_bins=n_bins)


def test_many_bins_are_no_burden():
    table = reliability_table(["a", "b"] * 100, [0.1, 0.9] * 100, n_bins=100_000)
    assert not table.rows.inverted.any()
    assert table.summary().count.tolist() == [200, 100, 100]
