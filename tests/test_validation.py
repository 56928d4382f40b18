import math
import types

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from strategies import plain_entropy, rows, unhurried

from skroute import RoutePolicy
from skroute._validation import (
    check_classes,
    check_count,
    check_level,
    check_mapping,
    check_option,
    check_proba,
    check_sample_weight,
    encode_labels,
    label_positions,
    listed,
)

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


# Labels


@pytest.mark.parametrize("classes", [CLASSES, [3, 1, 2], [True, False, None], [0.5, -1.0, 2.5]])
def test_labels_are_found_by_value_and_by_text(classes):
    known = np.array(classes, dtype=object)
    backwards = classes[::-1]
    assert label_positions(backwards, known, "y") == [2, 1, 0]
    assert label_positions(map(str, backwards), known, "y") == [2, 1, 0]


def test_the_closest_class_is_proposed_where_there_is_one():
    known = np.array(["vpn_issue", "account_unlock"])
    with pytest.raises(ValueError, match=r"watch names 'vpn_isue', which is not a class. Did you mean 'vpn_issue'\?"):
        label_positions(["vpn_isue"], known, "watch")
    with pytest.raises(
        ValueError, match=r"names 7, which is not a class\. The classes are vpn_issue, account_unlock\."
    ):
        label_positions([7], known, "watch")


@pytest.mark.parametrize(
    "y", [["b", "a", "b"], pd.Series(["b", "a", "b"], index=[5, 5, 9]), np.array([["b"], ["a"], ["b"]])]
)
def test_labels_are_encoded_in_the_order_of_the_classes(y):
    assert encode_labels(y, np.array(["c", "b", "a"])).tolist() == [1, 2, 1]


@pytest.mark.parametrize(
    ("y", "classes"),
    [([True, False], [False, True]), ([1, 0], [False, True]), ([1.0, 0.0], [0, 1]), (["1", "0"], [0, 1])],
)
def test_labels_of_a_like_type_are_found(y, classes):
    assert encode_labels(y, np.array(classes)).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0.0, math.nan], "y must not hold NaN; row 1 does"),
        (["a", None], "y must hold labels of one type"),
        (["a", "z"], "y names 'z', which is not a class"),
        ([["a", "b"]], "y must be one-dimensional"),
    ],
)
def test_wrong_labels_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        encode_labels(y, np.array(["a", "0.0"]) if y[0] == "a" else np.array([0.0, 1.0]))


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["a"], "at least two classes"),
        ([], "at least two classes"),
        (["a", "b", "a"], "must be distinct, got a more than once"),
        (np.array([1, "1"], dtype=object), "must be distinct, got 1 more than once"),
        ("ab", "must be one-dimensional"),
        ([["a", "b"], ["c", "d"]], "must be one-dimensional"),
    ],
)
def test_classes_must_be_two_or_more_distinct_labels(classes, message):
    with pytest.raises(ValueError, match=message):
        check_classes(classes)


def test_classes_keep_their_order():
    assert check_classes(pd.Index(["c", "a"])).tolist() == ["c", "a"]


# Numbers


@pytest.mark.parametrize("weight", [None, [0, 1, 2.5], pd.Series([0, 1, 2.5], index=[3, 3, 3]), [[0], [1], [2.5]]])
def test_weights_become_floats(weight):
    checked = check_sample_weight(weight, 3)
    assert checked is None if weight is None else checked.tolist() == [0.0, 1.0, 2.5]


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1, -1, 1], r"got -1.0 in row 1"),
        ([1, 1, math.nan], "got nan in row 2"),
        ([math.inf, 1, 1], "got inf in row 0"),
        ([1, 1], "3 rows, got 2 weights"),
        (1.0, "one-dimensional"),
    ],
)
def test_wrong_weights_are_named(weight, message):
    with pytest.raises(ValueError, match=message):
        check_sample_weight(weight, 3)


def test_levels_are_floats_and_edges_belong():
    assert [check_level(v, "m", "P") for v in (0, 1, np.float32(0.5), np.int64(1))] == [0.0, 1.0, 0.5, 1.0]
    assert check_level(None, "m", "P", optional=True) is None
    assert check_level(math.inf, "m", "P", unbounded=True) == math.inf
    assert type(check_level(np.float64(0.5), "m", "P")) is float


@pytest.mark.parametrize("value", [None, math.inf, math.nan, True, np.True_, "0.5", 80, 0.1])
def test_what_is_no_level_is_refused_by_name(value):
    with pytest.raises(ValueError, match=r"The 'm' parameter of P must be a number in \[0.2, 1\]\. Got"):
        check_level(value, "m", "P", low=0.2)


@pytest.mark.parametrize("value", [True, 2.0, "2", None, 1])
def test_counts_are_ints_of_at_least_the_least(value):
    assert check_count(np.int64(2), "n", "P", least=2) == 2
    with pytest.raises(ValueError, match=r"The 'n' parameter of P must be an int of at least 2\. Got"):
        check_count(value, "n", "P", least=2)


def test_options_are_told():
    assert check_option("a", ("a", "b"), "o", "P") == "a"
    with pytest.raises(ValueError, match=r"The 'o' parameter of P must be one of 'a', 'b'\. Got 'c' instead"):
        check_option("c", ("a", "b"), "o", "P")


def test_mappings_are_any_mapping_and_none_is_empty():
    assert dict(check_mapping(types.MappingProxyType({"a": 1}), "w", "P")) == {"a": 1}
    assert check_mapping(None, "w", "P") == {}
    with pytest.raises(ValueError, match="The 'w' parameter of P must be a dict"):
        check_mapping([("a", 1)], "w", "P")


def test_long_lists_are_cut():
    assert listed(range(3)) == "0, 1, 2"
    assert listed(range(12), most=2) == "0, 1 and 10 more"


def test_counts_may_have_a_limit():
    assert check_count(3, "n", "P", most=3) == 3
    with pytest.raises(ValueError, match=r"must be an int of at least 1 and at most 3\. Got 4 instead"):
        check_count(4, "n", "P", most=3)
