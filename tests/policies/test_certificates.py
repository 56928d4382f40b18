import json
import math
import pickle
import warnings

import numpy as np
import pytest

from skroute import Certificates, CertifiedPolicy, labels_needed
from skroute.exceptions import UncertifiedClassWarning
from skroute.policies._certificates import read_records

COLUMNS = [
    *("label", "kind", "target", "risk", "status", "guarantee", "threshold", "rows", "rows_needed"),
    *("routed", "errors", "p_value", "upper_bound", "coverage"),
]
WORDS = {
    "certified": "vpn: at most 5% wrong; 2 of 200 were",
    "too_few_rows": "vpn: not certified, 12 rows, 45 needed; never auto-routed",
    "not_attained": "vpn: not certified, 9 of 60 wrong at the first threshold tried, which leaves more than 5% "
    "possible; never auto-routed",
    "given": "vpn: 0.8 was given, nothing is guaranteed",
    "no_target": "vpn: no target, never auto-routed",
    "held_back": "vpn: held back, never auto-routed: by hand, or because some model or calibrator never saw it",
}


def record(status="certified", **change):
    """Return a statement on one class."""
    plain = {
        "label": "vpn", "kind": "error", "target": 0.05, "risk": 0.1, "status": status, "guarantee": "exact",
        "threshold": 0.75, "rows": 240, "rows_needed": 45, "routed": 200, "errors": 2, "p_value": 0.003,
        "upper_bound": 0.02635, "coverage": 0.5,
    }  # fmt: skip
    nothing = {name: math.nan for name in COLUMNS if isinstance(plain[name], (int, float))} | {"guarantee": "none"}
    by_status = {
        "too_few_rows": {"threshold": math.inf, "rows": 12, "routed": 0, "errors": 0, "guarantee": "none"},
        "not_attained": {"threshold": math.inf, "routed": 60, "errors": 9, "guarantee": "none"},
        "given": nothing | {"threshold": 0.8},
        "no_target": nothing | {"threshold": math.inf},
        "held_back": nothing | {"threshold": math.inf},
    }
    return plain | by_status.get(status, {}) | change


def table(*records, confidence=0.9, watch_order="before"):
    return Certificates.from_records(records, confidence, watch_order)


def fitted(**params):
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.full(3, 0.3), size=1500)
    y = np.array(["a", "<b>", "c & d"])[(proba.cumsum(axis=1)[:, :2] < rng.random((1500, 1))).sum(axis=1)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UncertifiedClassWarning)
        return CertifiedPolicy(**params).fit(proba, y, classes=["a", "<b>", "c & d"]).certificates_


# Words


@pytest.mark.parametrize("status", WORDS)
def test_each_status_has_its_words(status):
    sure = " (90% confidence, exact)" if status == "certified" else ""
    assert table(record(status)).statements() == [WORDS[status] + sure]
    assert WORDS[status].partition(": ")[2] in str(table(record(status)))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("certified", "vpn: at least 95% watched or auto-routed to it; so are 50.0% of other classes' rows"),
        ("too_few_rows", "vpn: not certified, 12 rows, 45 needed; everything is watched"),
        ("given", "vpn: 0.8 was given, nothing is guaranteed"),
    ],
)
def test_recall_has_words_of_its_own(status, words):
    level = {"threshold": 0.0} if status == "too_few_rows" else {}
    (found,) = table(record(status, kind="recall", target=0.95, **level)).statements()
    assert found == words + (" (90% confidence, exact)" if status == "certified" else "")


@pytest.mark.parametrize(
    ("target", "words"),
    [(0.05, "5%"), (0.07, "7%"), (0.00004, "0.004%"), (0.9999, "99.99%"), (0.99999, "99.999%"), (1 / 3, "33.3")],
)
def test_targets_are_told_as_they_were_given(target, words):
    """A recall of 0.9999 used to read as 100%."""
    assert f"at least {words}" in table(record(kind="recall", target=target)).statements()[0]
    assert f">= {words}" in str(table(record(kind="recall", target=target)))


def test_reasons_name_what_failed_and_recall_first():
    certificates = table(
        record("certified"),
        record("not_attained", label="a"),
        record("too_few_rows", label="b"),
        record("no_target", label="c"),
        record("too_few_rows", label="b", kind="recall"),
    )
    assert certificates.short_reasons() == [
        "recall of b (12 rows, 45 needed, everything is watched)",
        "a (9 of 60 wrong at the first threshold tried: more than 5% possible)",
        "b (12 rows, 45 needed)",
    ]
    assert table(record()).short_reasons() == []


# Tables


def test_text_has_a_line_for_each_statement():
    certificates = table(record(), record("no_target", label="a"), record("too_few_rows", label="sec", kind="recall"))
    caption, header, *lines = str(certificates).splitlines()
    assert header.split() == (
        ["class", "target", "threshold", "rows", "needed", "routed", "errors", "bound", "guarantee", "statement"]
    )
    assert " ".join(lines[0].split()).startswith("vpn <= 5% 0.750 240 45 200 2 2.7% exact at most")
    assert " ".join(lines[1].split()).startswith("a - never - - - - - none")
    assert " ".join(lines[2].split()).startswith("sec recall >= 5%")
    assert caption == repr(certificates) == "Certificates(1 of 3 statements certified at confidence 0.9)"


def test_a_label_may_hold_a_colon():
    certificates = table(record(label="Billing: refund"))
    assert certificates.statements() == ["Billing: refund: at most 5% wrong; 2 of 200 were (90% confidence, exact)"]
    assert str(certificates).endswith("exact      at most 5% wrong; 2 of 200 were")


def test_what_is_shown_of_a_class_stands_together():
    certificates = table(record(label=0), record(label=1), record(label=0, kind="recall"))
    assert [line.split()[:2] for line in str(certificates).splitlines()[2:5]] == [
        ["0", "<="],
        ["0", "recall"],
        ["1", "<="],
    ]
    assert [statement[0] for statement in certificates.statements()] == ["0", "1", "0"]


def test_the_table_tells_how_many_statements_may_be_false():
    """The confidence is that of each search: of hard classes, all that are certified may be certified wrongly."""
    hard = [record("not_attained", label=f"hard {number}") for number in range(13)]
    note = str(table(record(), record(label="a"), *hard, record("too_few_rows", label="b"))).splitlines()[-1]
    assert note == (
        "Of the 15 statements that were tried, up to 1.5 are certified wrongly on average; joint=True has all hold at "
        "once."
    )
    for certain in ([record()], hard):
        assert str(table(*certain)).splitlines()[-1].split()[0] in ("vpn", "hard")
    joint = table(*(record(label=label, risk=0.05) for label in "ab"))
    assert str(joint).splitlines()[-1] == "All that are certified hold at once with 90% confidence."
    assert joint.statements()[0].endswith("(90% confidence of all at once, exact)")
    assert table(record("too_few_rows", risk=0.05)).statements() == [WORDS["too_few_rows"]]


def test_no_bound_is_shown_where_rows_are_too_few():
    assert str(table(record("too_few_rows", upper_bound=1.0))).splitlines()[2].split()[8:10] == ["-", "none"]


def test_html_escapes_labels():
    html = fitted()._repr_html_()
    assert "<td" in html
    assert "&lt;b&gt;" in html
    assert "c &amp; d" in html
    assert "<b>" not in html
    assert "Certificates(" in html


def test_an_empty_table_is_a_table():
    empty = table()
    assert (len(empty), empty.to_records(), empty.statements(), empty.labels_needed()) == (0, [], [], {})
    assert "class" in str(empty)
    assert "table" in empty._repr_html_()


def test_exports_hold_the_same_columns_and_values():
    certificates = fitted(max_error={"a": 0.1, "*": 0.2}, min_recall={"a": 0.9}, thresholds={"c & d": 0.9})
    records = certificates.to_records()
    assert len(certificates) == len(records) == 4
    pandas, polars = certificates.to_pandas(), certificates.to_polars()
    for columns in (list(records[0]), pandas.columns.tolist(), polars.columns):
        assert columns == COLUMNS
    for name in COLUMNS:
        values = [one[name] for one in records]
        assert pandas[name].tolist() == polars[name].to_list() or any(value != value for value in values)
        assert all(a == b or (a != a and b != b) for a, b in zip(pandas[name], values, strict=True))
        assert all(type(value) in (str, float) for value in values)


@pytest.mark.parametrize("labels", [[0, 1], [False, True], [0.5, -1.0], ["1", "2"]])
def test_labels_keep_their_type(labels):
    certificates = table(*(record(label=label) for label in labels))
    assert [type(one["label"]) for one in certificates.to_records()] == [type(label) for label in labels]
    for label in labels:
        assert certificates.of(label)["label"] == certificates.of(str(label))["label"] == label


def test_statements_are_found_by_class_and_kind():
    certificates = table(record(), record("given", label="a"), record(kind="recall"))
    assert certificates.of("vpn")["kind"] == "error"
    assert certificates.of("vpn", "recall")["kind"] == "recall"
    for asked in [("vpm",), ("a", "recall"), ("vpn", "precision")]:
        with pytest.raises(ValueError, match=r"There is no statement on the .* of .*; the classes are"):
            certificates.of(*asked)


def test_tables_are_pickled_and_frozen():
    certificates = fitted()
    assert str(pickle.loads(pickle.dumps(certificates))) == str(certificates)
    with pytest.raises(AttributeError):
        certificates.confidence = 0.5


# Labels needed


def test_labels_needed_follow_from_the_errors_seen():
    certificates = table(
        record("certified", label="certified"),
        record("too_few_rows", label="few"),
        record("not_attained", label="near", routed=300, errors=9, rows=400),
        record("not_attained", label="none wrong", routed=30, errors=0, rows=45),
        record("not_attained", label="bad"),
        record("given", label="given"),
        record("no_target", label="unasked"),
        record("held_back", label="held back"),
        record("too_few_rows", label="few", kind="recall"),
        # Else its watch would leave no row to the others.
        watch_order="flag",
    )
    assert certificates.labels_needed() == {
        "certified": 0,
        "few": 33,
        # Three of four rows that come reach the threshold tried.
        "near": math.ceil(labels_needed(0.05, error=0.03, rows=300) * 4 / 3),
        "none wrong": math.ceil(labels_needed(0.05, error=0.5 / 30, rows=30) * 3 / 2),
        "bad": math.inf,
    }
    more, less = (certificates.labels_needed(power=power)["near"] for power in (0.95, 0.5))
    assert more > less


def test_a_class_that_is_not_certified_always_needs_more():
    """Bad luck can fail rows that would do four times in five."""
    for failed in ({"routed": 20000, "errors": 1, "rows": 30000}, {"routed": 1, "errors": 0, "rows": 2000}):
        assert table(record("not_attained", **failed)).labels_needed()["vpn"] >= 1


def test_labels_needed_heed_the_risk_of_joint_statements():
    """With a third of the risk it takes 67 rows, not 45."""
    needed = table(record("too_few_rows", risk=0.1 / 3, rows_needed=67)).labels_needed()
    assert needed == {"vpn": 55}


# Files


def plain_json(records):
    cells = [{key: None if value != value else value for key, value in one.items()} for one in records]
    return json.loads(json.dumps(cells).replace("Infinity", '"inf"'))


def test_statements_are_read_as_they_were_written():
    records = [record(label=0), record("too_few_rows", label=1), record("given", label=1, kind="recall")]
    read = read_records(plain_json(records), np.array([0, 1]), "data")
    assert table(*read).to_pandas().equals(table(*records).to_pandas())


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([record(label="a")], "data must state the error of a, b, each once; got a"),
        ([record(label="a"), record(label="b"), record(label="a")], "each once; got a, b, a"),
        ([record(label="a"), record(label="b"), *[record(label="a", kind="recall")] * 2], "state the recall of"),
        ([record(label="a"), record(label="c")], "data names 'c', which is not a class"),
        ([record(label="a"), record(status="sure", label="b")], r"data\[1\]\['status'\].*must be one of 'certified'"),
        ([record(label="a", rows="many"), record(label="b")], r"data\[0\]\['rows'\] must be a number, 'inf' or None"),
    ],
)
def test_statements_that_are_not_whole_are_refused(records, message):
    with pytest.raises(ValueError, match=message):
        read_records(plain_json(records), np.array(["a", "b"]), "data")
