import numpy as np
import pytest

from skroute.reliability import reliability_table
from skroute.reliability._rows import verdicts


def judge(count, confidence, accuracy, low, high):
    arrays = [np.array([value]) for value in (count, confidence, accuracy - confidence, low, high)]
    return verdicts(*arrays, min_count=50, tolerance=0.05)[0]


@pytest.mark.parametrize(
    ("figures", "verdict"),
    [
        ((49, 0.8, 0.2, 0.1, 0.3), "insufficient"),
        ((0, np.nan, np.nan, np.nan, np.nan), "insufficient"),
        ((300, 0.8, 0.52, 0.462, 0.578), "overconfident"),
        ((300, 0.8, 0.823, 0.775, 0.865), "calibrated"),
        ((300, 0.7, 0.823, 0.775, 0.865), "underconfident"),
        ((60, 0.8, 0.72, 0.59, 0.83), "calibrated"),
        ((10**6, 0.8, 0.76, 0.759, 0.761), "calibrated"),
    ],
)
def test_verdict(figures, verdict):
    assert judge(*figures) == verdict


@pytest.fixture
def table():
    """Class a: far off, but few rows; b: off; c: off by less, class d never predicted; hits are the first ones."""
    y_pred = np.repeat(["a", "b", "c"], [10, 300, 300])
    y_true = np.concatenate([["d"] * 10, np.repeat(["b", "d"], [150, 150]), np.repeat(["c", "d"], [220, 80])])
    return reliability_table(y_true, y_pred=y_pred, confidence=np.full(610, 0.85))


def test_worst_ranks_what_is_shown_to_be_off(table):
    assert table.worst(2).label.tolist() == ["b", "c"]
    assert table.worst(9).label.tolist() == ["b", "c"]
    assert table.summary().worst().label.tolist() == ["b"]
    assert len(table.of("a").worst()) == 0


def test_worst_prefers_a_significant_gap_to_a_larger_one_by_chance():
    y_true = np.repeat(["a", "b", "a", "b"], [26, 34, 700, 300])
    confidence = np.repeat([0.52, 0.8], [60, 1000])
    table = reliability_table(y_true, y_pred=["a"] * 1060, confidence=confidence)
    assert table.worst(2).verdict.tolist() == ["overconfident", "calibrated"]


def test_text_leaves_empty_bins_out_but_names_an_empty_class(table):
    text = str(table.rows)
    assert text.count("\n") == 6
    assert "[0.8, 0.9)" in text
    assert "(all)" in text
    assert "weight" not in text
    assert text.endswith("(46 empty bins not shown)")
    assert str(table.summary()).splitlines()[-1].split()[:3] == ["d", "0", "-"]


def test_the_whole_table_shows_its_classes_and_where_the_bins_are(table):
    caption, *lines, note = str(table).splitlines()
    assert caption == repr(table)
    assert lines == str(table.summary()).splitlines()[1:]
    assert ".of(label)" in note
    assert note in table._repr_html_()
    assert table._repr_html_().count("<tr>") == 6


def test_one_line_reprs(table):
    assert (
        repr(table)
        == "ReliabilityTable(top-label, 4 classes, 10 bins: 3 overconfident, 0 underconfident, 2 insufficient)"
    )
    assert repr(table.worst()) == "ReliabilityRows(1 entry: 1 overconfident, 0 underconfident)"


def test_all_classes_together_are_not_one_of_the_worst(table):
    summary = table.summary()
    assert summary.label[0] is None
    worst = summary.worst(10)
    assert None not in worst.label.tolist()
    told = {label for label, verdict in zip(summary.label, summary.verdict, strict=True) if verdict != "insufficient"}
    assert set(worst.label) == told - {None}
    assert table.of().worst().label.tolist() == [None]


def test_html_is_escaped():
    table = reliability_table(["<b>", "a"], y_pred=["<b>", "<b>"], confidence=[0.5, 0.6])
    assert "&lt;b&gt;" in table._repr_html_()
    assert "<b>" not in table._repr_html_()
    assert "&lt;b&gt;" in table.of("<b>")._repr_html_()


def test_weights_and_inversions_are_shown_where_there_are_any():
    y_true = np.repeat(["a", "b", "a", "b"], [190, 10, 80, 120])
    table = reliability_table(
        y_true, y_pred=["a"] * 400, confidence=np.repeat([0.6, 0.9], 200), sample_weight=np.full(400, 0.5)
    )
    assert table.of("a").inverted.all()
    assert not table.of("b").inverted.any()
    header = str(table).splitlines()[1].split()
    assert "weight" in header
    assert header[-1] == "inverted"
