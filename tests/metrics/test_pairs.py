"""What all figures of calibration and of risk share: their input."""

from dataclasses import astuple
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skroute.metrics import (
    area_under_risk_coverage,
    calibration_error,
    calibration_test,
    coverage_at_risk,
    risk_coverage_curve,
    score_decomposition,
    smooth_calibration_error,
)

FUNCTIONS = [
    area_under_risk_coverage,
    calibration_error,
    calibration_test,
    coverage_at_risk,
    risk_coverage_curve,
    score_decomposition,
    smooth_calibration_error,
]
TOP_LABEL = {
    "l1": calibration_error,
    "l2": partial(calibration_error, norm="l2", n_bins=7),
    "debiased": partial(calibration_error, norm="l2", debias=True, strategy="quantile"),
    "max": partial(calibration_error, norm="max", strategy="quantile", n_bins=6),
    "smooth": smooth_calibration_error,
    "brier": score_decomposition,
    "spiegelhalter": calibration_test,
    "ks": partial(calibration_test, test="ks"),
    "kuiper": partial(calibration_test, test="kuiper"),
}
RISK = {
    "curve": risk_coverage_curve,
    "area": area_under_risk_coverage,
    "coverage at risk": partial(coverage_at_risk, max_risk=0.12),
}
CLASSWISE = {f"classwise {name}": partial(figure, kind="classwise") for name, figure in TOP_LABEL.items()}
FIGURES = TOP_LABEL | RISK | CLASSWISE
every_figure = pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
every_log_figure = pytest.mark.parametrize("figure", (TOP_LABEL | RISK).values(), ids=TOP_LABEL | RISK)


def numbers(result):
    """Return a result of any kind as one array of numbers."""
    return np.hstack([result] if isinstance(result, float) else astuple(result))


def assert_same(result, expected, rtol=1e-12):
    # The smooth error is the root of an equation, found to 1e-12.
    assert_allclose(numbers(result), numbers(expected), rtol=rtol, atol=1e-11)


@every_figure
def test_whole_weights_are_repetitions(figure, sample):
    y, proba, classes, weight = sample
    by_weight = figure(y, proba, classes=classes, sample_weight=weight)
    assert_same(by_weight, figure(np.repeat(y, weight), np.repeat(proba, weight, axis=0), classes=classes))
    unweighted = numbers(figure(y, proba, classes=classes))
    assert unweighted.shape != numbers(by_weight).shape or not np.allclose(unweighted, numbers(by_weight))


@every_figure
def test_unit_weights_change_nothing(figure, sample):
    y, proba, classes, _ = sample
    ones = figure(y, proba, classes=classes, sample_weight=np.ones(len(y)))
    assert_same(ones, figure(y, proba, classes=classes))


@every_figure
def test_rows_of_weight_zero_count_nowhere_whatever_they_hold(figure, sample):
    y, proba, classes, weight = sample
    kept = weight > 0
    expected = figure(y[kept], proba[kept], classes=classes, sample_weight=weight[kept])
    assert_same(figure(y, proba, classes=classes, sample_weight=weight), expected)


@every_figure
def test_the_order_of_the_rows_does_not_matter(figure, sample):
    y, proba, classes, _ = sample
    order = np.random.default_rng(0).permutation(len(y))
    assert_same(figure(y[order], proba[order], classes=classes), figure(y, proba, classes=classes))


@every_figure
@pytest.mark.parametrize("kind", ["int", "float or bool"])
def test_labels_of_any_type_give_the_same_figures(figure, kind, sample):
    y, proba, classes, _ = sample
    labels = {"int": [7, 3, 9, 5][: len(classes)]}.get(kind, [False, True] if len(classes) == 2 else [0.5, 3.5, 2, 1])
    named = dict(zip(classes.tolist(), labels, strict=True))
    found = figure([named[label] for label in y.tolist()], proba, classes=labels)
    assert_same(found, figure(y, proba, classes=classes))
    assert_same(figure(y.astype(object), proba, classes=classes), figure(y, proba, classes=classes))


@every_figure
def test_without_classes_the_columns_are_the_sorted_labels(figure, sample):
    y, proba, classes, _ = sample
    assert list(dict.fromkeys(y)) != sorted(set(y)), "sorted as they come, the labels prove nothing"
    assert_same(figure(y, proba), figure(y, proba, classes=classes))


@every_figure
def test_frames_match_by_name_and_series_by_position(figure, sample):
    y, proba, classes, weight = sample
    expected = figure(y, proba, classes=classes, sample_weight=weight)
    pandas = pd.DataFrame(proba, columns=classes, index=range(1000, 1300))[classes[::-1]]
    polars = pl.DataFrame(proba, schema=classes.tolist()).select(classes[::-1].tolist())
    series = pd.Series(y, index=range(5, 305)), pd.Series(weight, index=range(300, 0, -1))
    assert_same(figure(series[0], pandas, classes=classes, sample_weight=series[1]), expected)
    assert_same(figure(pl.Series(y.tolist()), polars, classes=classes, sample_weight=pl.Series(weight)), expected)
    # Without classes= the columns of the frame give the order as well.
    backwards = figure(y, proba[:, ::-1], classes=classes[::-1], sample_weight=weight)
    for frame in (pandas, polars):
        assert_same(figure(y, frame, sample_weight=weight), backwards)


@every_figure
def test_one_dimension_is_the_probability_of_the_second_class(figure, sample):
    y, proba, classes, _ = sample
    y, classes = np.where(y == classes[1], classes[1], classes[0]), classes[:2]
    stated = proba[:, 1]
    # They are multiples of 1/40, and so must be their complements.
    both = np.column_stack([np.round(40 * (1 - stated)) / 40, stated])
    assert_same(figure(y, stated, classes=classes), figure(y, both, classes=classes))


@every_log_figure
def test_a_log_gives_the_figure_of_its_probabilities(figure, sample):
    y, proba, classes, weight = sample
    log = {"y_pred": classes[proba.argmax(axis=1)], "confidence": proba.max(axis=1), "sample_weight": weight}
    assert_same(figure(y, **log), figure(y, proba, classes=classes, sample_weight=weight))


@every_log_figure
def test_a_class_may_be_absent_from_the_labels(figure, sample):
    y, proba, classes, _ = sample
    present = y != classes[-1]
    y, proba = y[present], proba[present]
    log = {"y_pred": classes[proba.argmax(axis=1)], "confidence": proba.max(axis=1), "classes": classes}
    assert classes[-1] in log["y_pred"]
    assert_same(figure(y, proba, classes=classes), figure(y, **log))


COMBINED = {"l2": lambda each, axis: np.sqrt(np.mean(np.square(each), axis=axis)), "max": np.max}


@pytest.mark.parametrize("absent", [False, True])
@pytest.mark.parametrize("name", ["l1", "l2", "max", "smooth", "brier", "spiegelhalter", "ks", "kuiper"])
def test_classwise_is_every_class_against_the_others(name, absent, sample, log_of):
    y, proba, classes, weight = sample
    if absent:
        y, proba, weight = (array[y != classes[-1]] for array in (y, proba, weight))
    figure = TOP_LABEL[name]
    result = figure(y, proba, classes=classes, kind="classwise", sample_weight=weight)
    each = [figure(**log_of(y == label, proba[:, c]), sample_weight=weight) for c, label in enumerate(classes)]
    if name in ("spiegelhalter", "ks", "kuiper"):
        assert_allclose(result.statistic, [one.statistic for one in each], rtol=1e-12)
        assert_allclose(result.pvalue, [one.pvalue for one in each], rtol=1e-9)
    else:
        combine = COMBINED.get(name, np.mean)
        assert_allclose(numbers(result), combine([numbers(one) for one in each], axis=0), rtol=1e-10, atol=1e-11)


@every_figure
def test_single_precision_gives_nearly_the_same(figure):
    rng = np.random.default_rng(0)
    proba = rng.dirichlet([1.0, 1.0, 1.0], size=200).astype(np.float32)
    y = rng.integers(0, 3, size=200)
    assert_same(figure(y, proba, classes=range(3)), figure(y, proba.astype(np.float64), classes=range(3)))


@every_figure
def test_inputs_are_left_as_they_are(figure, sample):
    y, proba, classes, weight = sample
    copies = [array.copy() for array in sample]
    figure(y, proba, classes=classes, sample_weight=weight)
    for array, copy in zip(sample, copies, strict=True):
        assert_array_equal(array, copy)


Y = ["a", "b", "a"]
P = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
LOG = {"y_true": Y, "y_pred": Y, "confidence": [0.5, 0.6, 0.7]}
BAD = {
    "empty": ({"y_true": [], "y_prob": np.zeros((0, 2))}, "at least one row"),
    "one class": ({"y_true": ["a"] * 3}, "holds 1 classes .* pass classes="),
    "one class in a log": (LOG | {"y_true": ["a"] * 3, "y_pred": ["a"] * 3}, "one class only .* pass classes="),
    "one class given": ({"classes": ["a"]}, "at least two classes"),
    "a class twice": ({"classes": ["a", "a"]}, "distinct"),
    "three classes, two columns": ({"classes": ["a", "b", "c"]}, "one column a class"),
    "lengths": ({"y_true": Y[:2]}, "2 labels in y_true, got 3 rows"),
    "lengths of a log": (LOG | {"confidence": [0.5, 0.6]}, "3 labels in y_true, got 2 rows"),
    "lengths of labels in a log": (LOG | {"y_pred": ["a", "b"]}, "3 labels in y_true, got 2 rows"),
    "NaN": ({"y_prob": np.where(P == 0.8, np.nan, P)}, "row 1 holds nan"),
    "infinite": ({"y_prob": np.where(P == 0.8, np.inf, P)}, "row 1 holds inf"),
    "NaN in a log": (LOG | {"confidence": [0.5, np.nan, 0.7]}, "confidence must hold .* row 1 holds nan"),
    "NaN as label": ({"y_true": [0.0, np.nan, 1.0]}, "must not hold NaN; row 1"),
    "None as label": ({"y_true": np.array(["a", None, "b"], dtype=object)}, "without missing values"),
    "outside [0, 1]": ({"y_prob": P + [[0.3, -0.3]]}, "row 0 holds 1.2"),
    "outside [0, 1] in a log": (LOG | {"confidence": [0.5, 1.2, 0.7]}, "confidence must hold .* row 1 holds 1.2"),
    "sums": ({"y_prob": 0.9 * P}, "sum to 1 .* row 0 sums to 0.9"),
    "unknown label": ({"y_true": ["a", "b", "c"], "classes": ["a", "b"]}, "'c', which is not a class"),
    "unknown prediction": (LOG | {"y_pred": ["a", "b", "c"], "classes": ["a", "b"]}, "'c', which is not a class"),
    "negative weights": ({"sample_weight": [1, 1, -1]}, "not negative, got -1.0 in row 2"),
    "NaN weights": ({"sample_weight": [1, np.nan, 1]}, "finite .* in row 1"),
    "zero weights": ({"sample_weight": [0, 0, 0]}, "positive in at least one row"),
    "too few weights": ({"sample_weight": [1, 1]}, "3 rows, got 2 weights"),
    "a missing label in a list": ({"y_true": ["a", "b", np.nan]}, "y_true must hold labels .* without missing values"),
    "a missing prediction in a list": (LOG | {"y_pred": ["a", np.nan, "b"]}, "y_pred must .* without missing values"),
    "a missing class in a list": ({"classes": ["a", np.nan]}, "classes must not hold missing labels"),
    "text and numbers": ({"y_true": ["a", "b", 1]}, "y_true must hold labels of one type"),
    "only None": ({"y_true": [None] * 3, "classes": ["None", "x"]}, "without missing values"),
    "one None": ({"y_true": [None], "y_prob": [[0.5, 0.5]], "classes": ["None", "x"]}, "must not hold None; row 0"),
    "numbers beside their text": (
        LOG | {"y_true": [1.0, 2.0, 1.0], "y_pred": ["1", "2", "1"]},
        "y_true and y_pred must name the same classes; y_true holds 1.0, 2.0, y_pred 1, 2",
    ),
    "masked labels": ({"y_true": np.ma.masked_equal(Y, "b")}, "y_true must not hold masked values"),
    "masked weights": (
        {"sample_weight": np.ma.masked_equal([1, 2, 3], 2)},
        "sample_weight must not hold masked values",
    ),
    "masked confidence": (
        LOG | {"confidence": np.ma.masked_less([0.5, 0.6, 0.7], 0.55)},
        "confidence .* masked values",
    ),
    "confidence as text": (LOG | {"confidence": ["0.5", "0.6", "0.7"]}, "confidence must hold real numbers, got <U3"),
    "complex confidence": (
        LOG | {"confidence": [0.5 + 0j, 0.6, 0.7]},
        "confidence must hold real numbers, got complex",
    ),
    "times": (LOG | {"confidence": np.zeros(3, dtype="m8[s]")}, "confidence must hold real numbers, got timedelta64"),
    "ragged": ({"y_prob": [[0.9, 0.1], [0.2, 0.8], [1.0]]}, "y_prob must hold rows of equal length"),
    "lazy": ({"y_prob": pl.LazyFrame(P)}, r"y_prob must hold its values, got a LazyFrame; pass y_prob.collect\(\)"),
    "one dimension": ({"y_prob": [0.1, 1.5, 0.3]}, r"y_prob must hold finite .*; row 1 holds 1\.5\."),
    "not a time": ({"y_true": np.array(["2026-01-01", "NaT", "NaT"], "M8[ns]")}, "y_true must not hold NaT; row 1"),
    "nothing": ({"y_prob": None}, "got neither in full"),
    "half a log": ({"y_prob": None, "y_pred": Y}, "got neither in full"),
    "both": (LOG | {"y_prob": P}, "got both"),
    "text": ({"y_prob": [["x", "y"]] * 3}, "real numbers"),
    "one column": ({"y_prob": [[1.0]] * 3}, "n_classes >= 2"),
}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_named(function, change, message):
    given = change if "confidence" in change else {"y_true": Y, "y_prob": P} | change
    with pytest.raises(ValueError, match=message):
        function(**given)


@pytest.mark.parametrize("function", [area_under_risk_coverage, calibration_error, calibration_test])
def test_weights_mean_one_of_three(function):
    with pytest.raises(ValueError, match=f"'weights' parameter of {function.__name__} must be one of"):
        function(Y, P, sample_weight=[1, 2, 3], weights="counts")
    with pytest.raises(ValueError, match=r"whole numbers where weights='frequency', got 0\.5 in row 1"):
        function(Y, P, sample_weight=[1, 0.5, 3], weights="frequency")
    with pytest.raises(ValueError, match="count at most 9007199254740992 rows where weights='frequency', got 2e"):
        function(Y, P, sample_weight=[1, 2e16, 3], weights="frequency")


@every_figure
def test_more_rows_than_floats_can_count_are_importances(figure, sample):
    y, proba, classes, weight = sample
    large = figure(y, proba, classes=classes, sample_weight=weight * 1e17)
    assert_same(large, figure(y, proba, classes=classes, sample_weight=weight / 7), rtol=1e-9)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_large_whole_labels_are_labels(function):
    labels = np.array([2**63 + 5, 2**63 + 7], dtype=np.uint64)
    codes = np.array([0, 1, 0])
    assert_same(function(labels[codes], P), function(codes, P))
    assert_same(function(labels[codes], P, classes=labels), function(codes, P))


@pytest.mark.parametrize(
    "function", [calibration_error, calibration_test, score_decomposition, smooth_calibration_error]
)
@pytest.mark.parametrize("kind", ["classes", "top", None])
def test_the_kind_is_one_of_two(function, kind):
    with pytest.raises(ValueError, match="'kind' parameter"):
        function(Y, P, kind=kind)


@pytest.mark.parametrize(
    "function", [calibration_error, calibration_test, score_decomposition, smooth_calibration_error]
)
def test_a_log_has_no_classwise_figure(function):
    with pytest.raises(ValueError, match="needs y_prob"):
        function(**LOG, kind="classwise")
