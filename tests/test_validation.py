import math
import types

import numpy as np
import pandas as pd
import pytest

from skroute._validation import (
    check_classes,
    check_count,
    check_level,
    check_mapping,
    check_option,
    check_sample_weight,
    encode_labels,
    label_positions,
    listed,
    shown,
)


@pytest.mark.parametrize("classes", [["a", "b", "c"], [3, 1, 2], [True, False, None], [0.5, -1.0, 2.5]])
def test_labels_are_found_by_value_and_by_text(classes):
    known = np.array(classes, dtype=object)
    backwards = classes[::-1]
    assert label_positions(backwards, known, "y") == [2, 1, 0]
    assert label_positions(map(str, backwards), known, "y") == [2, 1, 0]


def test_the_closest_class_is_proposed_where_there_is_one():
    known = np.array(["vpn_issue", "account_unlock"])
    with pytest.raises(ValueError, match=r"watch names 'vpn_isue', which is not a class. Did you mean 'vpn_issue'\?"):
        label_positions(["vpn_isue"], known, "watch")
    with pytest.raises(ValueError, match=r"Did you mean 'account_unlock'\?"):
        label_positions(["ACCOUNT_UNLOCK"], known, "watch")
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


def test_a_level_in_percent_is_told_as_a_share():
    with pytest.raises(ValueError, match=r"Got 97\.5 instead\. 97\.5% is 0\.975\."):
        check_level(97.5, "threshold", "P")
    for value in (250, 100.5, 1.0 + 2.0**-52, -3, 10**400):
        with pytest.raises(ValueError, match=r"Got \S+ instead\.$"):
            check_level(value, "threshold", "P")


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


def test_values_are_shown_on_one_short_line():
    assert shown(0.5) == "0.5"
    assert shown("auto") == "'auto'"
    text = shown(np.zeros((50, 4)))
    assert len(text) == 120
    assert text.startswith("array([[0., 0., 0., 0.], [0., 0.")
    assert text.endswith("...")
    with pytest.raises(ValueError, match=r"an int of at least 2\. Got array\(\[\[0\., .*\.\.\. instead"):
        check_count(np.zeros((50, 4)), "n_classes", "RoutePolicy.audit", least=2)


def test_values_that_cannot_be_shown_are_named_by_their_type():
    class Secret:
        def __repr__(self):
            raise RuntimeError("no repr")

    class Empty:
        def __repr__(self):
            return ""

    for value, name in [(Secret(), "Secret"), (Empty(), "Empty"), (-(10**5000), "int")]:
        assert shown(value) == f"a value of type {name}"
    assert shown(type("Loud", (), {"__repr__": lambda self: "\x1b[31mred\x00"})()) == " [31mred "
