import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from skroute.calibration import PooledCalibrator, TemperatureCalibrator, VectorCalibrator
from skroute.calibration._score_kind import is_proba
from skroute.calibration._scores import (
    LARGE_SCORE,
    check_one_vs_rest,
    check_score_column,
    check_scores,
    check_training,
    in_units,
    normalise,
)
from skroute.exceptions import DoubtfulScoresWarning


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([[0.25, 0.75], [1.0, 0.0]], True),
        ([[0.252, 0.75]], True),
        ([[0.6, 0.75]], False),
        # Most rows speak.
        ([[0.26, 0.75], [0.6, 0.75]], False),
        ([[26.0, 74.0], [30.0, 80.0]], False),
        ([[-0.1, 1.1]], False),
        ([[0.5, 0.5], [2.0, -1.0]], False),
        ([[0.25, np.nan, 0.75]], True),
        ([[0.25, np.nan, 0.5]], False),
    ],
)
def test_probabilities_lie_in_zero_to_one_and_sum_to_one_up_to_rounding(scores, expected):
    assert is_proba(np.array(scores), "auto", "test") is expected


@pytest.mark.parametrize("name", ["pooled", "temperature", "vector"])
def test_rounded_probabilities_and_percentages_are_refused_unless_told_what_they_are(name):
    makers = {"pooled": PooledCalibrator, "temperature": TemperatureCalibrator, "vector": VectorCalibrator}
    rng = np.random.default_rng(0)
    proba, y = rng.dirichlet(np.ones(10), 200), np.tile(np.arange(10), 20)
    for scores, message in [
        (
            proba.round(2),
            r"not all sum to 1: most nearly do, but row \d+ sums to (0\.9|1\.0)\d*\. Divide each row by its sum;",
        ),
        (100.0 * proba, r"look like percentages: most rows sum to about 100\. Divide them by 100; .*kind='scores'"),
    ]:
        with pytest.raises(ValueError, match=message):
            makers[name]().fit(scores, y)
        for kind in ("proba", "scores"):
            assert makers[name](kind=kind).fit(scores, y).from_proba_ is (kind == "proba")
    rounded = proba.round(2)
    assert makers[name]().fit(rounded / rounded.sum(axis=1, keepdims=True), y).from_proba_


def test_who_knows_what_the_scores_are_need_not_have_them_guessed():
    assert is_proba(np.array([[1.01, 0.0]]), "proba", "test")
    assert not is_proba(np.array([[0.5, 0.5]]), "scores", "test")
    with pytest.raises(ValueError, match="'kind' parameter of test"):
        is_proba(np.array([[0.5, 0.5]]), "logits", "test")


def test_normalise_divides_by_the_sum_and_makes_zeros_uniform():
    assert_array_equal(normalise(np.array([[1.0, 3.0], [0.0, 0.0]])), [[0.25, 0.75], [0.5, 0.5]])


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([1.0, 2.0], r"got \(2,\)"),
        ([[1.0]], r"got \(1, 1\)"),
        ([[1.0, 2.0], [-np.inf, 1.0]], "row 1 is not"),
        ([[1.0, 2.0], [np.nan, np.nan]], "row 1 holds only NaN"),
    ],
)
def test_scores_are_a_matrix_with_something_in_every_row(scores, message):
    with pytest.raises(ValueError, match=message):
        check_scores(scores)


def test_a_column_of_scores_may_stand_upright():
    assert_array_equal(check_score_column([[1.0], [2.0]]), [1.0, 2.0])


def test_training_data_come_back_as_codes_in_the_order_of_classes():
    values, codes, labels, weight = check_training([[1, 2], [3, 4]], ["b", "a"], [1, 2], ["b", "a"])
    assert_array_equal(values, [[1.0, 2.0], [3.0, 4.0]])
    assert_array_equal(codes, [0, 1])
    assert_array_equal(labels, ["b", "a"])
    assert_array_equal(weight, [1.0, 2.0])


def test_without_classes_the_sorted_labels_name_the_columns():
    _, codes, labels, weight = check_training([[1, 2], [3, 4]], ["b", "a"], None, None)
    assert_array_equal(codes, [1, 0])
    assert_array_equal(labels, ["a", "b"])
    assert weight is None


def test_a_column_of_a_frame_that_no_row_is_of_is_doubted_unless_it_is_named_as_a_class():
    frame = pd.DataFrame({"id": [1.0, 2.0], "b": [0.1, 0.8], "a": [0.9, 0.2]})
    with pytest.warns(DoubtfulScoresWarning, match=r"no row of y is of: id\. Drop them .* classes=") as caught:
        *_, labels, _ = check_training(frame, ["a", "b"], None, None)
    assert_array_equal(labels, ["id", "b", "a"])
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_training(frame[["b", "a"]], ["a", "b"], None, None)
        check_training(frame, ["a", "b"], None, ["a", "b", "id"])
    # What is refused is not doubted before.
    with pytest.raises(ValueError, match="'c', which is not a class"):
        check_training(frame, ["a", "c"], None, None)


@pytest.mark.parametrize(
    ("y", "weight", "message"),
    [
        (["a", "c"], None, "'c', which is not a class"),
        (["a"], None, "as many rows"),
        (["a", "b"], [1.0], "one value a row"),
        (["a", "b"], [1.0, np.nan], "finite and not negative, got nan in row 1"),
        ([["a", "b"]], None, "one-dimensional"),
    ],
)
def test_training_data_must_fit_each_other(y, weight, message):
    with pytest.raises(ValueError, match=message):
        check_training([[1, 2], [3, 4]], y, weight, ["a", "b"])


def test_one_vs_rest_drops_rows_without_weight():
    values, positive, weight = check_one_vs_rest([1.0, 2.0, 3.0], [1, 0, -1], [2.0, 0.0, 1.0])
    assert_array_equal(values, [1.0, 3.0])
    assert_array_equal(positive, [True, False])
    assert_array_equal(weight, [2.0, 1.0])


@pytest.mark.parametrize("y", [[0, 1, -1], [0.0, 1.0, -1.0], [True, False, True], np.array([0, 1, 1], dtype=np.uint8)])
def test_labels_of_one_class_are_signs_of_any_type(y):
    _, positive, weight = check_one_vs_rest([1.0, 2.0, 3.0], y, None)
    assert_array_equal(positive, np.asarray(y) > 0)
    assert positive.dtype == bool
    assert weight is None


@pytest.mark.parametrize(
    "y", [[0, 1, 2], [0, 1, -2], [0.0, 0.5, 1.0], [0.0, np.nan, 1.0], [0.0, np.inf, 1.0], ["0", "1", "1"], [0, 1, None]]
)
def test_other_labels_of_one_class_are_refused(y):
    with pytest.raises(ValueError, match="y must hold 1 where"):
        check_one_vs_rest([1.0, 2.0, 3.0], y, None)


def test_huge_scores_are_no_probabilities_and_have_no_sum():
    assert not is_proba(np.array([1e308, 1e308, -1e308]), "auto", "test")
    assert not is_proba(np.full((2, 3), 1e308), "auto", "test")


def test_huge_scores_in_small_units_are_cut_in_silence():
    found = in_units(np.array([[1e308, -1e308, 1e-300]]), 1e-300, from_proba=False)
    assert_array_equal(found, [[LARGE_SCORE, -LARGE_SCORE, 1.0]])
