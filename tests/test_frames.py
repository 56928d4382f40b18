import math

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from strategies import plain_entropy, rows, unhurried

from skroute import RoutePolicy, RoutingCosts, reliability_table
from skroute._frames import as_spelled, check_proba
from skroute.calibration import PerClassCalibrator, PooledCalibrator, TemperatureCalibrator, VectorCalibrator

GOOD = [[0.97, 0.02, 0.01], [0.58, 0.21, 0.21], [0.2, 0.3, 0.5]]
CLASSES = ["a", "b", "c"]


def spoiled(row, *values):
    proba = np.array(GOOD)
    proba[row, : len(values)] = values
    return proba


# Rows


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(
    ("value", "text"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf"), (1.5, "1.5"), (-0.25, "-0.25")]
)
def test_the_first_bad_value_is_named_with_its_row_and_column(dtype, value, text):
    proba = spoiled(1, 0.58, value).astype(dtype)
    proba[2, 0] = 7
    with pytest.raises(ValueError, match=f"proba must hold finite probabilities .*; row 1 holds {text} in column 1"):
        check_proba(proba)


@pytest.mark.parametrize("values", [(math.inf, -math.inf), (1e308, 1e308)])
def test_values_that_no_sum_can_hold_are_refused_without_a_warning(values):
    with pytest.raises(ValueError, match="row 2 holds"):
        check_proba(spoiled(2, *values))


@pytest.mark.parametrize(
    ("values", "total"), [((0.2, 0.3, 0.51), "1.01"), ((0.2, 0.3, 0.494), "0.994"), ((0,) * 3, "0")]
)
@pytest.mark.parametrize("order", "CF")
def test_the_first_row_that_does_not_sum_to_one_is_named_with_its_sum(values, total, order):
    proba = np.asarray(spoiled(2, *values), order=order)
    with pytest.raises(ValueError, match=rf"must sum to 1 within 0.005; row 2 sums to {total}[;.]( divide|$)"):
        check_proba(proba, name="y_prob")


@pytest.mark.parametrize("row", [(0.3, 0.3, 0.395), (0.3, 0.3, 0.405), (0.576, 0.386, 0.039)])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_rounded_rows_are_accepted_up_to_the_tolerance_and_kept_as_given(row, dtype):
    proba = np.array([row], dtype=dtype)
    values, _ = check_proba(proba)
    assert values.tolist() == proba.tolist()


def test_confidence_is_as_given_where_entropy_renormalises():
    table = RoutePolicy().fit(GOOD).explain([[0.804, 0.2, 0.0]])
    assert table.confidence.tolist() == [0.804]
    assert table.margin.tolist() == [0.804 - 0.2]
    assert table.entropy[0] == pytest.approx(plain_entropy([0.804 / 1.004, 0.2 / 1.004, 0.0]), abs=1e-15)


def test_values_just_outside_are_clipped_and_others_left():
    values, _ = check_proba([[1 + 9e-7, -9e-7, 0.0], [0.3, 0.3, 0.4]])
    assert values.tolist() == [[1.0, 0.0, 0.0], [0.3, 0.3, 0.4]]


@pytest.mark.parametrize("values", [(1 + 2e-6, 0.0, -2e-6), (0.5, 0.5 + 2e-6, -2e-6)])
def test_values_further_outside_are_not(values):
    with pytest.raises(ValueError, match="row 0 holds"):
        check_proba([values])


@unhurried
@given(data=st.data(), n_classes=st.integers(2, 5))
def test_rows_on_the_simplex_pass_unchanged(data, n_classes):
    proba = data.draw(rows(n_classes))
    for given_rows in (proba, np.asfortranarray(proba), proba.tolist(), proba.astype("f4")):
        values, classes = check_proba(given_rows)
        assert values.tolist() == np.asarray(given_rows).tolist()
        assert classes is None


def test_the_callers_array_is_not_changed():
    proba = np.array([[1 + 5e-7, -5e-7]])
    check_proba(proba)
    assert proba.tolist() == [[1 + 5e-7, -5e-7]]


# Containers


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.longdouble, ">f4", int, np.uint8, bool, object])
def test_real_types_become_float64(dtype):
    values, _ = check_proba(np.eye(3).astype(dtype))
    assert values.dtype == np.float64
    assert values.tolist() == np.eye(3).tolist()


def test_float32_stays_float32():
    assert check_proba(np.eye(3, dtype="f4"))[0].dtype == np.float32


@pytest.mark.parametrize(
    "proba",
    [
        [["0.5", "0.5"]],
        [["x", "y"]],
        np.array([[0.5, "x"]], dtype=object),
        [[None, {}]],
        [[0.5 + 0j, 0.5]],
        np.array([["2026-01-01", "2026-01-02"]], dtype="M8[D]"),
        pd.DataFrame([[0.5, pd.NA]], dtype="Float64"),
    ],
)
def test_what_is_not_a_number_is_refused(proba):
    with pytest.raises(ValueError, match="proba must hold real numbers, got"):
        check_proba(proba)


@pytest.mark.parametrize("sparse", [scipy.sparse.csr_matrix, scipy.sparse.coo_array])
def test_sparse_rows_ask_for_dense_ones(sparse):
    with pytest.raises(ValueError, match=r"proba must be dense, got a sparse matrix; pass proba.toarray\(\)"):
        check_proba(sparse(np.eye(3)))


@pytest.mark.parametrize("proba", [[0.5, 0.5], 0.5, [[1.0], [1.0]], np.ones((1, 2, 2)) / 2, [], [[]], None])
def test_the_shape_must_have_two_columns_or_more(proba):
    with pytest.raises(ValueError, match=r"proba must (have shape \(n_samples, n_classes >= 2\)|hold real numbers)"):
        check_proba(proba)


def test_rows_of_unequal_length_are_refused():
    with pytest.raises(ValueError):
        check_proba([[0.5, 0.5], [1.0]])


@pytest.mark.parametrize(
    "empty", [np.empty((0, 3)), pd.DataFrame(columns=CLASSES, dtype=float), pl.DataFrame(schema=CLASSES)]
)
def test_no_rows_are_fine(empty):
    policy = RoutePolicy().fit(empty, classes=CLASSES)
    assert policy.decide(empty).shape == (0,)
    assert len(policy.explain(empty)) == 0


def test_one_column_is_the_second_class_only_where_asked():
    values, _ = check_proba([0.25, 1.0], binary_column=True)
    assert values.tolist() == [[0.75, 0.25], [0.0, 1.0]]
    with pytest.raises(ValueError, match="row 1 holds"):
        check_proba([0.25, 1.5], binary_column=True)


# Frames


def frame(library, columns, proba=GOOD):
    if library is pd:
        return pd.DataFrame(proba, columns=columns, index=[f"ticket {i}" for i in range(len(proba))])
    return pl.DataFrame(np.array(proba), schema=columns)


@pytest.mark.parametrize("library", [pd, pl])
def test_named_columns_are_matched_to_the_classes_in_any_order(library):
    shuffled = frame(library, ["c", "a", "b"])
    values, classes = check_proba(shuffled, classes=CLASSES)
    assert values.tolist() == [[row[1], row[2], row[0]] for row in GOOD]
    assert classes.tolist() == CLASSES
    policy = RoutePolicy().fit(shuffled)
    assert policy.classes_.tolist() == ["c", "a", "b"]
    straight = frame(library, ["a", "b", "c"], [[row[1], row[2], row[0]] for row in GOOD])
    assert policy.explain(straight).to_records() == policy.explain(shuffled).to_records()


class Table:
    """A table as Arrow has them: its columns are arrays, and their names stand elsewhere."""

    def __init__(self, proba, names):
        self.columns, self.column_names = list(np.transpose(proba)), names

    def __array__(self, dtype=None, copy=None):
        return np.column_stack(self.columns)


def test_named_columns_of_arrow_are_matched():
    values, _ = check_proba(Table(GOOD, ["c", "a", "b"]), classes=CLASSES)
    assert values.tolist() == [[row[1], row[2], row[0]] for row in GOOD]
    for names in (["0", "1", "2"], ["f0", "f1", "f2"], ["column_0", "column_1", "column_2"]):
        assert check_proba(Table(GOOD, names), classes=CLASSES)[0].tolist() == GOOD
        assert check_proba(Table(GOOD, names))[1] is None
    with pytest.raises(ValueError, match="they lack c and hold x"):
        check_proba(Table(GOOD, ["a", "b", "x"]), classes=CLASSES)
    with pytest.raises(ValueError, match="costs must be a dict of true class to dict of action to cost, or a frame"):
        RoutingCosts(Table(GOOD, ["a", "b", "watch"]))


@pytest.mark.parametrize("library", [pd, pl])
def test_names_of_numbers_match_by_their_text(library):
    values, _ = check_proba(frame(library, ["2", "0", "1"]), classes=[0, 1, 2])
    assert values.tolist() == [[row[1], row[2], row[0]] for row in GOOD]


@pytest.mark.parametrize(
    "proba", [pd.DataFrame(GOOD), pd.DataFrame(GOOD, index=[7, 7, 7]), pl.DataFrame(np.array(GOOD))]
)
def test_default_columns_are_taken_by_position(proba):
    assert check_proba(proba)[1] is None
    values, _ = check_proba(proba, classes=CLASSES)
    assert values.tolist() == GOOD


@pytest.mark.parametrize("library", [pd, pl])
@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        (["a", "b", "x"], "they lack c and hold x"),
        (["A", "B", "C"], "they lack a, b, c and hold A, B, C"),
    ],
)
def test_wrong_names_are_told(library, columns, complaint):
    with pytest.raises(ValueError, match=f"The columns of proba must be the classes a, b, c; {complaint}"):
        check_proba(frame(library, columns), classes=CLASSES)


def test_a_missing_and_an_extra_column_are_told():
    with pytest.raises(ValueError, match=r"they lack c\. "):
        check_proba(pd.DataFrame([[0.5, 0.5]], columns=["a", "b"]), classes=CLASSES)
    with pytest.raises(ValueError, match=r"they hold n_words\. "):
        check_proba(pd.DataFrame(GOOD, columns=CLASSES).assign(n_words=0.0), classes=CLASSES)


@pytest.mark.parametrize("classes", [None, ["a", "b"]])
def test_a_column_that_stands_twice_is_refused(classes):
    proba = pd.DataFrame([[0.0, 0.4, 0.6]], columns=["a", "a", "b"])
    with pytest.raises(ValueError, match="columns of proba must be distinct, got a more than once"):
        check_proba(proba, classes=classes)


def test_arrays_need_one_column_a_class():
    with pytest.raises(ValueError, match="one column a class: 2 classes, got 3 columns"):
        check_proba(GOOD, classes=["a", "b"])


@pytest.mark.parametrize(
    ("names", "y", "expected"),
    [
        (["2", "0", "1"], [0, 1, 0], [2, 0, 1]),
        (["b", "a"], ["a", "b"], ["b", "a"]),
        (["2.0", "0.5"], [0.5, 2.0], [2.0, 0.5]),
        (["True", "False"], [False, True], [True, False]),
        (["01", "0"], [0, 1], ["01", "0"]),
        (["0.5", "2.0", "3.0"], [0.5, 2.0], ["0.5", "2.0", "3.0"]),
    ],
)
def test_names_become_labels_as_they_are_spelled(names, y, expected):
    assert as_spelled(names, y).tolist() == expected


@pytest.mark.parametrize("library", [pd, pl])
def test_labels_of_a_policy_and_of_a_table_have_the_type_of_those_in_y(library):
    proba = frame(library, ["2", "0", "1"])
    policy = RoutePolicy().fit(proba, [2, 2, 1])
    assert policy.classes_.tolist() == [2, 0, 1]
    assert policy.explain(proba).label.tolist() == [2, 2, 1]
    assert set(reliability_table([2, 2, 1], proba, kind="classwise").summary().label.tolist()) >= {0, 1, 2}


@pytest.mark.parametrize("library", [pd, pl])
@pytest.mark.parametrize(
    "calibrator",
    [TemperatureCalibrator(), VectorCalibrator(), PooledCalibrator(), PerClassCalibrator("isotonic")],
    ids=lambda calibrator: type(calibrator).__name__,
)
def test_calibrators_match_the_columns_of_frames_by_name(calibrator, library):
    rng = np.random.default_rng(0)
    proba = rng.dirichlet([0.5, 0.5, 0.5], 200)
    y = np.array(CLASSES)[(proba.cumsum(axis=1) < rng.random((200, 1))).sum(axis=1)]
    order = [2, 0, 1]
    shuffled = frame(library, [CLASSES[i] for i in order], proba[:, order])
    expected = clone(calibrator).fit(proba, y).predict_proba(proba)
    by_name = clone(calibrator).fit(shuffled, y)
    assert by_name.classes_.tolist() == ["c", "a", "b"]
    np.testing.assert_allclose(by_name.predict_proba(shuffled), expected[:, order], atol=1e-9)
    told = clone(calibrator).fit(shuffled, y, classes=CLASSES)
    for rows_ in (shuffled, frame(library, CLASSES, proba)):
        np.testing.assert_allclose(told.predict_proba(rows_), expected, atol=1e-12)
    np.testing.assert_allclose(told.predict_proba(shuffled[:1]), expected[:1], atol=1e-9)
    with pytest.raises(ValueError, match=r"The columns of scores must be the classes a, b, c; they lack c and hold d"):
        told.predict_proba(frame(library, ["a", "b", "d"], proba))
