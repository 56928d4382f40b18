import json
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skroute.reliability import ReliabilityTable, reliability_table

CLASSES = ["account_unlock", "security_incident", "vpn_issue"]


@st.composite
def samples(draw):
    """Labels, probabilities on a coarse grid (so that ties and edges occur) and weights."""
    n = draw(st.integers(1, 30))
    shares = draw(st.lists(st.lists(st.integers(0, 5), min_size=3, max_size=3), min_size=n, max_size=n))
    shares = np.array(shares) + np.array([0, 0, 1])
    y = np.array(draw(st.lists(st.sampled_from(CLASSES), min_size=n, max_size=n)))
    weight = draw(st.none() | st.lists(st.floats(1e-6, 1e6), min_size=n, max_size=n).map(np.array))
    return y, shares / shares.sum(axis=1, keepdims=True), weight


def take(weight, rows):
    return None if weight is None else weight[rows]


def assert_equal_columns(first, second):
    for name, values in second._columns().items():
        np.testing.assert_array_equal(first._columns()[name], values)


@given(samples(), st.sampled_from(["top-label", "classwise"]), st.data())
def test_parts_add_to_the_table_of_the_whole(sample, kind, data):
    y, proba, weight = sample
    # A part may hold whole weights by chance, which must not make them counts.
    settings = {"classes": CLASSES, "kind": kind, "min_count": 5, "weights": "importance"}
    whole = reliability_table(y, proba, sample_weight=weight, strategy="quantile", **settings)
    order = np.array(data.draw(st.permutations(range(len(y)))))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(y)), max_size=3)))
    parts = [
        reliability_table(y[rows], proba[rows], sample_weight=take(weight, rows), n_bins=whole.edges, **settings)
        for rows in np.split(order, cuts)
        if len(rows)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = part + total
    assert total == whole
    assert total.to_dict() == whole.to_dict()
    assert_equal_columns(total, whole)


@given(samples(), st.sampled_from(["top-label", "classwise"]))
def test_json_round_trip_gives_an_equal_table(sample, kind):
    y, proba, weight = sample
    table = reliability_table(y, proba, classes=CLASSES, kind=kind, sample_weight=weight)
    again = ReliabilityTable.from_dict(json.loads(json.dumps(table.to_dict())))
    assert again == table
    assert_equal_columns(again, table)
    assert pickle.loads(pickle.dumps(table)) == table


@pytest.mark.parametrize("classes", [[1, 2], [False, True], ["x", "y"], [0.5, 1.5]])
def test_json_keeps_the_type_of_the_labels(classes):
    table = reliability_table(classes, [[0.9, 0.1], [0.2, 0.8]])
    again = ReliabilityTable.from_dict(json.loads(json.dumps(table.to_dict())))
    assert again.classes.tolist() == classes
    assert again.of(classes[1]).count.sum() == 1


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"classes": ["a", "c"]}, "classes"),
        ({"kind": "classwise"}, "kind"),
        ({"n_bins": 5}, "edges"),
        ({"min_count": 1}, "min_count"),
        ({"confidence_level": 0.9}, "confidence_level"),
        ({"tolerance": 0.1}, "tolerance"),
    ],
)
def test_tables_of_different_layouts_do_not_add(change, name):
    first, second = (
        reliability_table(["a"], [[0.9, 0.1]], **({"classes": ["a", "b"]} | settings)) for settings in ({}, change)
    )
    assert first != second
    with pytest.raises(ValueError, match=f"must have equal {name} to be added"):
        first + second


def test_only_tables_add_and_compare():
    table = reliability_table(["a"], [[0.9, 0.1]], classes=["a", "b"])
    assert table != 1
    with pytest.raises(TypeError):
        table + 1


@pytest.fixture
def table():
    y = ["all", "all", "other", "other"]
    return reliability_table(y, [[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.7, 0.3]], classes=["all", "other"])


def test_a_class_may_be_called_all(table):
    assert table.of("all").count.sum() == 3
    assert table.of().count.sum() == 4
    assert table.of("all").label.tolist() == ["all"] * 10
    assert table.of(None).label.tolist() == [None] * 10
    assert str(table.summary()).splitlines()[2].startswith("(all)")


def test_all_means_every_class_where_no_class_has_that_name():
    table = reliability_table(["a", "b"], [[0.9, 0.1], [0.8, 0.2]])
    assert table.of("all").count.sum() == 2
    with pytest.raises(ValueError, match="label names 'c', which is not a class"):
        table.of("c")


def test_groups_come_in_reading_order(table):
    assert len(table) == 30
    assert table.rows.label.tolist() == [None] * 10 + ["all"] * 10 + ["other"] * 10
    np.testing.assert_array_equal(table.of("other").low, table.edges[:-1])
    np.testing.assert_array_equal(table.of("other").high, table.edges[1:])


def test_summary_takes_all_bins_together(table):
    summary = table.summary()
    assert summary.label.tolist() == [None, "all", "other"]
    assert summary.count.tolist() == [4, 3, 1]
    np.testing.assert_allclose(summary.confidence, [0.75, 0.8, 0.6])
    np.testing.assert_allclose(summary.accuracy, [0.75, 2 / 3, 1.0])


def test_exports(table):
    columns = ["label", "low", "high", "count", "weight", "confidence", "accuracy"]
    columns += ["interval_low", "interval_high", "gap", "verdict", "inverted"]
    frame = table.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert frame.columns.tolist() == columns
    assert frame["label"].isna().sum() == 10
    frame = table.to_polars()
    assert isinstance(frame, pl.DataFrame)
    assert frame.columns == columns
    assert frame["label"].null_count() == 10
    assert frame["count"].sum() == 8
    records = table.to_records()
    assert records[9]["count"] == 1
    assert type(records[9]["count"]) is int
    assert table.summary().to_records()[0]["label"] is None


@pytest.mark.parametrize("lost", ["classes", "sums"])
def test_from_dict_names_what_is_missing(table, lost):
    state = table.to_dict()
    del state[lost]
    with pytest.raises(ValueError, match=f"it lacks {lost}"):
        ReliabilityTable.from_dict(state)


def test_from_dict_refuses_sums_of_another_shape(table):
    with pytest.raises(ValueError, match="must have shape"):
        ReliabilityTable.from_dict(table.to_dict() | {"classes": ["a", "b", "c"]})


def test_from_dict_ignores_the_order_of_the_entries(table):
    state = table.to_dict()
    state["sums"] = dict(reversed(state["sums"].items()))
    assert ReliabilityTable.from_dict(state) == table


@pytest.mark.parametrize("confidence", [0.7, 0.123456789012, 1 / 3, 1.0, 0.0])
def test_the_mean_of_equal_confidences_is_that_confidence_to_twelve_digits(confidence):
    table = reliability_table(["a"] * 1234, y_pred=["a"] * 1234, confidence=[confidence] * 1234, classes=["a", "b"])
    assert table.summary().confidence[0] == round(confidence, 12)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "foo"},
        {"min_count": -4},
        {"tolerance": "x"},
        {"confidence_level": 2},
        {"edges": [0.0, 0.5, 0.4, 1.0]},
        {"edges": 3},
        {"sums": {}},
        {"sums": None},
    ],
)
def test_from_dict_refuses_what_no_table_holds(table, wrong):
    with pytest.raises(ValueError):
        ReliabilityTable.from_dict(table.to_dict() | wrong)


@pytest.mark.parametrize("cell", ["-5", "1/0", "many", None, "1000000"])
def test_from_dict_refuses_sums_that_no_rows_made(table, cell):
    state = table.to_dict()
    state["sums"]["hits"][0][0] = cell
    with pytest.raises(ValueError, match="The sums in state"):
        ReliabilityTable.from_dict(state)


def test_sum_adds_tables(table):
    assert sum([table, table]) == table + table
    with pytest.raises(TypeError):
        1 + table


@pytest.mark.parametrize("weight", [[0.1, 0.3, 1.7, 1e-9], [1e-20, 1e20, 3.3, 0.7], [5, 1, 0, 2**40]])
@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_from_dict_takes_all_that_weights_can_make(table, weight, strategy):
    proba = [[0.9, 0.1], [1 / 3, 2 / 3], [0.3, 0.7], [0.7, 0.3]]
    for kind in ("top-label", "classwise"):
        first = reliability_table(
            ["a", "b", "b", "a"], proba, sample_weight=weight, kind=kind, strategy=strategy, n_bins=3
        )
        assert ReliabilityTable.from_dict(json.loads(json.dumps((first + first).to_dict()))) == first + first


HUGE = dict.fromkeys(["count", "weight", "squared_weight"], str(10**30))


@pytest.mark.parametrize(
    "cell",
    [
        {"count": "3/2"},
        {"weight": "3"},
        {"squared_weight": "1/2"},
        {"squared_weight": "5"},
        {"confidence": "0"},
        {"confidence": str(2 * 2**41)},
        HUGE | {"confidence": str(3 * 2**39 * 10**30)},
    ],
)
def test_from_dict_refuses_cells_that_no_rows_made(cell):
    state = reliability_table(["a", "b"], y_pred=["a", "a"], confidence=[0.72, 0.78]).to_dict()
    assert state["sums"]["count"][0][7] == "2"
    assert ReliabilityTable.from_dict(state).summary().count.tolist() == [2, 2, 0]
    for name, text in cell.items():
        state["sums"][name][0][7] = text
    with pytest.raises(ValueError, match="no rows can have made them"):
        ReliabilityTable.from_dict(state)
