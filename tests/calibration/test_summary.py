import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, softmax

from skroute.calibration import PooledCalibrator, VectorCalibrator
from skroute.calibration._links import Link
from skroute.calibration._summary import summarise
from skroute.calibration._vector_fit import VectorScaling

LABELS = np.array(["<b>", "unlock", "vpn", "absent"])


def draw(n_rows=400, seed=0):
    """Three classes, one of them with four rows, and one that is absent."""
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet([1.0, 1.0, 1.0, 0.5], size=n_rows)
    y = rng.integers(0, 2, n_rows)
    y[:4] = 2
    return proba, y


@pytest.fixture
def summary():
    proba, y = draw()
    return PooledCalibrator().fit(proba, LABELS[y], classes=LABELS).summary()


def test_columns_are_what_was_learned():
    proba, y = draw()
    weight = np.arange(400) % 3 * 0.5
    fitted = VectorCalibrator().fit(proba, LABELS[y], weight, classes=LABELS)
    table = fitted.summary()
    assert_array_equal(table.label, LABELS)
    assert_allclose(table.rows, [weight[y == k].sum() for k in range(4)])
    assert_allclose(table.temperature, fitted.temperature_)
    assert_array_equal(table.slope, fitted.slope_)
    assert_array_equal(table.bias, fitted.bias_)
    assert_allclose(table.shrinkage, fitted.scaling_.shrinkage.mean(axis=0))
    assert ((table.shrinkage >= 0) & (table.shrinkage <= 1)).all()
    assert len(table) == 4


def test_every_class_is_explained(summary):
    notes = dict(zip(summary.label, summary.note, strict=True))
    assert notes["absent"].startswith("absent: no row of it was seen")
    assert notes["<b>"] == notes["unlock"] == "own slope and bias and curve"


@pytest.mark.parametrize(
    ("rows", "shrinkage", "curve", "note"),
    [
        (0.0, 0.1, None, "absent: no row of it was seen, its probability is a guess"),
        (5.0, 0.6, "curve", "few rows: held back towards the shared temperature"),
        (5.0, 0.4, None, "own slope and bias; too few rows for a curve"),
        (5.0, 0.4, "curve", "own slope and bias and curve"),
    ],
)
def test_notes_follow_from_rows_shrinkage_and_curves(rows, shrinkage, curve, note):
    vector = VectorScaling(np.zeros(2), np.zeros(2), (1.0, 1.0), np.full((2, 2), shrinkage))
    table = summarise(np.array([0, 1]), np.array([rows, 9.0]), Link(beta=0.5), vector, [curve, "curve"])
    assert table.note[0] == note
    assert_array_equal(table.temperature, 2.0)


def test_without_curves_no_note_speaks_of_them():
    proba, y = draw()
    table = VectorCalibrator().fit(proba, LABELS[y], classes=LABELS).summary()
    assert not any("curve" in note for note in table.note)


def test_a_class_with_few_rows_is_said_to_follow_the_others():
    rng = np.random.default_rng(0)
    y = np.r_[rng.integers(0, 2, 300), [2, 2]]
    proba = rng.dirichlet([20.0, 20.0, 20.0], size=302)
    table = PooledCalibrator().fit(proba, y).summary()
    assert table.rows[2] == 2
    assert table.note[2] == "few rows: held back towards the shared temperature"


@pytest.mark.parametrize("n_classes", [2, 3])
def test_many_rows_leave_nothing_to_the_prior(n_classes):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, n_classes)) * 2
    y = (softmax(0.5 * logits, axis=1).cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1)
    assert (VectorCalibrator().fit(logits, y).summary().shrinkage < 0.1).all()


def test_the_heading_says_how_scores_were_read_and_what_members_are_worth(summary):
    proba, y = draw()
    fitted = PooledCalibrator().fit(proba, LABELS[y], classes=LABELS)
    first, second, third = summary.heading.split("\n")
    assert first.startswith("Scores are probabilities, with ")
    assert second.startswith("Weights of the members: ")
    for name, weight in fitted.pool_weights_.items():
        assert (f" {name} {weight:.2f}" in second) == (weight >= 0.005)
    assert third == "Slope, bias and shrinkage are those of the member vector."


def test_the_heading_names_what_was_left_out_and_why():
    rng = np.random.default_rng(0)
    margins = rng.normal(size=(300, 2))
    heading = PooledCalibrator().fit(margins, rng.integers(0, 2, 300)).summary().heading
    assert "Scores are logits." in heading
    assert "Left out: matrix, says no more than the vector for two classes." in heading


def test_margins_are_named():
    rng = np.random.default_rng(0)
    margins = rng.normal(size=(1500, 4)) * 2 - 2
    share = expit(margins) / expit(margins).sum(axis=1, keepdims=True)
    y = (share.cumsum(axis=1) < rng.random((1500, 1))).sum(axis=1)
    assert "margins of one class against the rest" in VectorCalibrator().fit(margins, y).summary().heading


def test_text_has_heading_and_one_line_a_class(summary):
    lines = str(summary).split("\n")
    assert lines[:3] == summary.heading.split("\n")
    assert lines[3].split() == ["class", "rows", "temperature", "slope", "bias", "shrinkage", "note"]
    assert len(lines) == 8
    assert lines[5].split()[0] == "unlock"
    assert f"{summary.bias[1]:+.3f}" in lines[5]
    assert lines[7].split()[:7] == ["absent", "0", f"{summary.temperature[3]:.3f}", "-", "-", "-", "absent:"]
    assert repr(summary) == str(summary)


def test_html_escapes_labels(summary):
    html = summary._repr_html_()
    assert html.startswith("<div")
    assert html.count("<tr>") == 5
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert "Weights of the members: " in html


def test_records_are_plain(summary):
    records = summary.to_records()
    assert json.loads(json.dumps(records)) == records
    assert [record["label"] for record in records] == LABELS.tolist()
    assert set(records[0]) == {"label", "rows", "temperature", "slope", "bias", "shrinkage", "note"}
    assert records[3]["rows"] == 0.0
    assert list(summary.to_pandas()["bias"]) == [record["bias"] for record in records]
