import dataclasses
import json
import math

import numpy as np
import pandas as pd
import polars as pl
import pytest

from skroute import RoutePolicy, RouteTable
from skroute.policies import CostPolicy, RoutingCosts

CLASSES = ["unlock", "vpn", "security"]
COLUMNS = [
    "route",
    "label",
    "confidence",
    "threshold",
    "margin",
    "entropy",
    "watch",
    "passed_threshold",
    "passed_margin",
    "passed_entropy",
    "reason",
]
SHOWN = ["route", "label", "confidence", "threshold", "margin", "entropy", "watch", "reason"]
PROBA = np.array(
    [
        [0.970, 0.020, 0.01],
        [0.580, 0.210, 0.21],
        [0.745, 0.255, 0.00],
        [0.760, 0.150, 0.09],
        [0.010, 0.980, 0.01],
        [0.000, 0.220, 0.78],
        [0.900, 0.000, 0.10],
        [0.040, 0.000, 0.96],
        [0.500, 0.410, 0.09],
    ]
)
ROUTES = ["auto", "watch", "clarify", "clarify", "clarify", "watch", "watch", "auto", "escalate"]
REASONS = ["passed", "confidence", "margin", "entropy", "never", "confidence", "watch", "passed", "confidence"]
WATCHES = [None, "security", None, None, None, "security", "security", "security", None]


@pytest.fixture
def table():
    policy = RoutePolicy(
        0.74, thresholds={"vpn": math.inf, "security": 0.8}, margin=0.5, max_entropy=0.6, watch={"security": 0.10}
    )
    return policy.fit(PROBA, classes=CLASSES).explain(PROBA)


def test_every_kind_of_row_is_told_with_its_reason(table):
    # The second row fails all three gates; the first of them is the reason.
    assert table.route.tolist() == ROUTES
    assert table.reason.tolist() == REASONS
    assert table.label.tolist() == [CLASSES[i] for i in PROBA.argmax(axis=1)]
    assert table.watch.tolist() == WATCHES
    assert table.threshold.tolist() == [0.74, 0.74, 0.74, 0.74, math.inf, 0.8, 0.74, 0.8, 0.74]


def test_signals_and_gates_of_every_row_are_told(table):
    assert table.confidence.tolist() == PROBA.max(axis=1).tolist()
    assert np.round(table.margin, 12).tolist() == [0.95, 0.37, 0.49, 0.61, 0.97, 0.56, 0.80, 0.92, 0.09]
    assert table.passed_threshold.tolist() == [True, False, True, True, False, False, True, True, False]
    assert table.passed_margin.tolist() == [True, False, False, True, True, True, True, True, False]
    assert table.passed_entropy.tolist() == [True, False, True, False, True, True, True, True, False]


def test_a_fired_watch_for_another_class_overrules_escalation():
    policy = RoutePolicy(watch={2: 0.2}).fit(PROBA)
    assert policy.explain([[0.58, 0.21, 0.21]]).route.tolist() == ["watch"]


def test_a_row_that_watch_order_flag_lets_through_still_names_its_watch():
    policy = RoutePolicy(watch={2: 0.05}, watch_order="flag").fit(PROBA)
    table = policy.explain([[0.92, 0.00, 0.08]])
    assert (table.route[0], table.reason[0], table.watch[0]) == ("auto", "passed", 2)


def test_counts_hold_all_four_routes(table):
    assert table.counts() == {"auto": 2, "watch": 3, "escalate": 1, "clarify": 3}
    assert table[:1].counts() == {"auto": 1, "watch": 0, "escalate": 0, "clarify": 0}
    assert sum(table.counts().values()) == len(table) == 9


def test_it_slices_like_an_array(table):
    assert table[2:5].reason.tolist() == REASONS[2:5]
    assert table[::-1].reason.tolist() == REASONS[::-1]
    assert table[table.route == "watch"].watch.tolist() == ["security"] * 3
    assert table[[5, 0, 0]].reason.tolist() == ["confidence", "passed", "passed"]
    assert len(table[[]]) == len(table[:0]) == 0
    assert isinstance(table[1:3], RouteTable)


@pytest.mark.parametrize("index", [0, -1, 3, np.int64(-2)])
def test_one_index_gives_a_table_of_one_row(table, index):
    row = table[index]
    assert len(row) == 1
    assert row.to_records() == [table.to_records()[index]]


@pytest.mark.parametrize("index", [9, -10])
def test_an_index_out_of_range_is_an_index_error(table, index):
    with pytest.raises(IndexError):
        table[index]


def test_iterating_gives_tables_of_one_row(table):
    assert [row.reason.item() for row in table] == REASONS


def test_it_is_frozen(table):
    with pytest.raises(dataclasses.FrozenInstanceError):
        table.route = table.route[::-1]


def test_records_are_plain_python(table):
    records = table.to_records()
    assert [list(record) for record in records] == [COLUMNS] * 9
    assert {type(value) for record in records for value in record.values()} == {str, float, bool, type(None)}
    assert json.loads(json.dumps(records)) == records


@pytest.mark.parametrize(
    ("classes", "kind"), [([3, 1, 2], int), ([0.5, 1.5, 2.5], float), (np.array([3, 1, 2], dtype=object), int)]
)
def test_records_hold_labels_of_their_own_type(classes, kind):
    policy = RoutePolicy(watch={classes[2]: 0.02}).fit(PROBA, classes=classes)
    record = policy.explain([[0.9, 0.05, 0.05]]).to_records()[0]
    assert (record["label"], record["watch"]) == (classes[0], classes[2])
    assert (type(record["label"]), type(record["watch"])) == (kind, kind)


def test_pandas_holds_the_columns_and_their_types(table):
    frame = table.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == COLUMNS
    assert frame["route"].tolist() == table.route.tolist()
    assert frame["watch"].isna().tolist() == [watch is None for watch in WATCHES]
    assert frame["watch"].dropna().tolist() == ["security"] * 4
    assert [frame[name].dtype.kind for name in ("confidence", "passed_margin")] == ["f", "b"]


def test_polars_holds_the_same_rows(table):
    frame = table.to_polars()
    assert frame.columns == COLUMNS
    assert frame.to_dicts() == table.to_records()
    assert frame.schema["passed_margin"] == pl.Boolean


def test_an_empty_table_converts(table):
    empty = table[:0]
    assert empty.to_records() == []
    assert empty.to_pandas().shape == (0, len(COLUMNS))
    assert empty.to_polars().shape == (0, len(COLUMNS))
    assert repr(empty) == "RouteTable(0 rows: 0 auto, 0 watch, 0 escalate, 0 clarify)"
    assert str(empty).splitlines()[1].split() == SHOWN


def test_repr_is_one_line(table):
    assert repr(table) == "RouteTable(9 rows: 2 auto, 3 watch, 1 escalate, 3 clarify)"


def test_text_holds_the_first_rows_and_counts_the_rest(table):
    long = table[np.arange(25) % 9]
    lines = str(long).splitlines()
    assert len(lines) == 13
    assert lines[1].split() == SHOWN
    assert lines[2].split() == ["auto", "unlock", "0.970", "0.740", "0.950", "0.140", "-", "passed"]
    assert lines[6].split()[3] == "never"
    assert lines[-1] == "(15 more rows)"
    assert "(15 more rows)" in long._repr_html_()
    assert "more row" not in str(long[:10]) + long[:10]._repr_html_()
    assert str(long[:11]).endswith("(1 more row)")
    assert repr(long[0]).startswith("RouteTable(1 row: ")


@pytest.mark.parametrize("label", [True, 0.0001, "x"])
def test_text_and_html_show_labels_as_they_are_spelled(label):
    policy = RoutePolicy(watch={label: 0.1}).fit([[0.5, 0.5]], classes=np.array([label, "y"], dtype=object))
    table = policy.explain([[0.97, 0.03]])
    assert str(table).splitlines()[2].split()[1] == str(label)
    assert str(table).splitlines()[2].split()[6] == str(label)
    assert table._repr_html_().count(f">{label}</td>") == 2


def test_html_escapes_labels():
    policy = RoutePolicy(watch={"<b>": 0.3}).fit([[0.5, 0.5]], classes=["<b>", "a & 'b'"])
    text = policy.explain([[0.6, 0.4], [0.1, 0.9]])._repr_html_()
    assert "<b>" not in text
    assert "&lt;b&gt;" in text
    assert "a &amp; &#x27;b&#x27;" in text
    assert "RouteTable(2 rows: " in text


COSTS = RoutingCosts.from_defaults(CLASSES, wrong=10, review=1)


@pytest.mark.parametrize("policy", [RoutePolicy(candidates=0.9), CostPolicy(COSTS, rule="bayes", candidates=0.9)])
def test_pandas_keeps_the_index_of_the_rows(policy):
    rng = np.random.default_rng(0)
    proba = rng.dirichlet([0.3] * 3, size=300)
    labels = np.array(CLASSES)[(proba.cumsum(axis=1) < rng.random((300, 1))).sum(axis=1)]
    policy.fit(proba, labels, classes=CLASSES)
    names = [f"ticket {number}" for number in range(300)]
    frame = pd.DataFrame(proba, columns=CLASSES, index=names)
    for ask in (policy.explain, policy.candidate_sets):
        expected = ask(proba)
        assert expected.to_pandas().index.tolist() == list(range(300))
        table = ask(frame[CLASSES[::-1]])
        pd.testing.assert_frame_equal(table.to_pandas(), expected.to_pandas().set_axis(names))
        for rows in (slice(2, 50, 3), [7, -1, 3], table.to_pandas().index.str.endswith("7")):
            assert table[rows].to_pandas().index.tolist() == frame.index[rows].tolist()
        assert table.to_records() == expected.to_records()


def test_one_row_keeps_its_index(table):
    indexed = table.indexed_like(pd.Series("abcdefghi", index=list("rstuvwxyz")))
    assert indexed[-1].to_pandas().index.tolist() == ["z"]
    assert indexed[:0].to_pandas().shape == (0, len(COLUMNS))
    assert indexed.indexed_like(list("abcdefghi")) is indexed


def test_only_an_index_of_the_rows_is_kept(table):
    class Odd:
        iloc, index = None, ["a"] * 9

    class Without:
        iloc = None

    for rows in (pd.Series("abc"), pd.DataFrame(np.eye(10)), Odd(), Without(), np.arange(9), "abcdefghi"):
        assert table.indexed_like(rows) is table


def test_tables_of_any_constructor_take_an_index(table):
    class Own(RouteTable):
        def __init__(self, table):
            self.__dict__.update(vars(table))

    @dataclasses.dataclass(frozen=True, eq=False, repr=False)
    class Longer(RouteTable):
        extra: str

    frame = pd.DataFrame(np.eye(9), index=list("abcdefghi"))
    assert Own(table).indexed_like(frame).to_pandas().index.tolist() == list("abcdefghi")
    longer = Longer(**{name: getattr(table, name) for name in COLUMNS}, extra="x").indexed_like(frame)
    assert (longer.extra, longer.index.tolist()) == ("x", list("abcdefghi"))


@pytest.mark.parametrize("sets", [False, True])
def test_a_mask_of_other_rows_is_refused(table, sets):
    index = pd.Index(list("abcdefghi"))
    if sets:
        rng = np.random.default_rng(0)
        proba = rng.dirichlet([1.0] * 3, size=100)
        policy = RoutePolicy(candidates=0.5).fit(proba, proba.argmax(axis=1))
        table = policy.candidate_sets(proba[:9])
    table = table.indexed_like(pd.Series(range(9), index=index))
    mask = pd.Series(np.arange(9) % 2 == 0, index=index)
    assert table[mask].to_pandas().index.tolist() == list("acegi")
    for other in (mask[::-1], mask.reset_index(drop=True), mask[::-1].astype("boolean"), mask[::-1].astype(object)):
        with pytest.raises(ValueError, match="A mask must have the index of the rows"):
            table[other]
        assert len(table[other.to_numpy(dtype=bool)]) == 5
    for same in (mask.astype("boolean"), mask.astype(object)):
        assert table[same].index.tolist() == list("acegi")
        assert len(table[:0][same[:0]]) == len(table[:0][same[:0].astype(object)]) == 0
        same.iloc[3] = None
        with pytest.raises(ValueError, match="A mask must say True or False of every row"):
            table[same]
    assert table[pd.Series([2, 0], index=["x", "y"])].to_pandas().index.tolist() == ["c", "a"]
