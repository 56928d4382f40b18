import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from strategies import n_classes, plain_entropy, rows, unhurried

from skroute.datasets import load_lesson
from skroute.routing._signals import measure

LESSON = load_lesson()


def test_lesson_rows_to_the_printed_digits():
    signals = measure(LESSON.proba)
    assert_array_equal(np.round(signals.confidence, 3), LESSON.confidence)
    assert_array_equal(np.round(signals.margin, 3), LESSON.margin)
    assert_array_equal(np.round(signals.entropy, 2), LESSON.normalised_entropy)
    assert_array_equal(np.round(signals.entropy * math.log2(3), 2), LESSON.entropy_bits)


@pytest.mark.parametrize(
    ("row", "confidence", "margin", "bits", "normalised"),
    [
        ((0.576, 0.386, 0.039), 0.576, 0.190, 1.17, 0.74),
        ((0.58, 0.21, 0.21), 0.58, 0.37, 1.40, 0.88),
        ((0.974, 0.022, 0.004), 0.974, 0.952, 0.19, 0.12),
        ((0.45, 0.21, 0.34), 0.45, 0.11, 1.52, 0.96),
        ((0.371, 0.249, 0.380), 0.380, 0.009, 1.56, 0.98),
    ],
)
def test_rows_of_the_design(row, confidence, margin, bits, normalised):
    signals = measure(np.array([row]))
    assert signals.confidence[0] == confidence
    assert round(signals.margin[0], 3) == margin
    assert round(signals.entropy[0] * math.log2(3), 2) == bits
    assert round(signals.entropy[0], 2) == normalised


@pytest.mark.parametrize("n_classes", [2, 3, 7, 100])
def test_uniform_and_one_hot_rows_are_the_extremes(n_classes):
    signals = measure(np.vstack([np.full(n_classes, 1 / n_classes), np.eye(n_classes)[-1]]))
    assert signals.confidence.tolist() == [1 / n_classes, 1.0]
    assert signals.margin.tolist() == [0.0, 1.0]
    assert_allclose(signals.entropy, [1.0, 0.0], atol=1e-15)
    assert (signals.entropy <= 1.0).all()
    assert signals.top.tolist() == [0, n_classes - 1]


@unhurried
@given(data=st.data(), n_classes=n_classes, dtype=st.sampled_from(["f4", "f8"]), order=st.sampled_from("CF"))
def test_signals_equal_a_loop_over_the_row(data, n_classes, dtype, order):
    proba = np.asarray(data.draw(rows(n_classes)), dtype=dtype, order=order)
    signals = measure(proba)
    for i, row in enumerate(proba.tolist()):
        second, first = sorted(row)[-2:]
        assert signals.top[i] == row.index(first)
        assert signals.confidence[i] == first
        assert signals.margin[i] == first - second
        assert signals.entropy[i] == pytest.approx(plain_entropy(row), abs=1e-13)


def test_confidence_and_margin_are_as_given_while_entropy_renormalises():
    proba = np.array([[0.6, 0.3, 0.1]])
    scaled = measure(proba * 1.004)
    assert scaled.confidence[0] == 0.6 * 1.004
    assert scaled.margin[0] == 0.6 * 1.004 - 0.3 * 1.004
    assert scaled.entropy[0] == pytest.approx(measure(proba).entropy[0], abs=1e-15)


def test_blocks_do_not_show(monkeypatch):
    proba = np.random.default_rng(0).dirichlet(np.ones(3), size=101)
    whole = measure(proba)
    monkeypatch.setattr("skroute.routing._signals.BLOCK_CELLS", 21)
    parts = measure(proba)
    assert_array_equal(parts.top, whole.top)
    assert_array_equal(parts.confidence, whole.confidence)
    assert_array_equal(parts.margin, whole.margin)
    assert_array_equal(parts.entropy, whole.entropy)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_input_is_left_as_it_was(dtype):
    proba = np.array([[0.1, 0.7, 0.2], [0.3, 0.3, 0.4]], dtype=dtype)
    before = proba.copy()
    measure(proba)
    assert_array_equal(proba, before)


def test_no_rows_give_empty_signals():
    signals = measure(np.empty((0, 3)))
    assert [len(a) for a in (signals.top, signals.confidence, signals.margin, signals.entropy)] == [0] * 4
