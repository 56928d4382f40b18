"""The quick ways to read labels and probabilities, held against the plain ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import rows, unhurried

from skroute import _rows
from skroute._frames import check_proba
from skroute._validation import encode_labels, label_positions
from skroute.reliability import _read, reliability_table


def plain_codes(y, classes):
    """Return the position of every label by sorting the labels."""
    labels, codes = np.unique(y, return_inverse=True)
    return np.array(label_positions(labels.tolist(), classes, "y"))[codes]


@pytest.mark.parametrize("n_classes", [2, 3, 12, 13, 40])
@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_top_class_is_the_first_of_the_largest(n_classes, order, dtype, monkeypatch):
    monkeypatch.setattr(_rows, "BLOCK", 97)
    # Few distinct values, so that many are tied.
    levels = np.random.default_rng(0).integers(0, 4, (200, n_classes)) + 1.0
    proba = (levels / levels.sum(axis=1, keepdims=True)).astype(dtype, order=order)
    top, first = _read._top(proba)
    np.testing.assert_array_equal(top, proba.argmax(axis=1))
    np.testing.assert_array_equal(first, proba.max(axis=1))
    assert first.dtype == proba.dtype


@pytest.mark.parametrize(
    "classes",
    [
        np.arange(4), np.arange(4, dtype="u1"), np.array([3, 1, 2]), np.array([-7, 90, 12], dtype="i2"),
        np.array([2**63, 5], dtype="u8"), np.array([0, 2**40]), np.array([True, False]), np.array([0.5, -1.0]),
        np.array(["b", "a", "long one"]), np.array([b"b", b"a"]), np.array(["b", "a"], dtype=object),
    ],
)  # fmt: skip
def test_labels_are_encoded_as_by_sorting_them(classes):
    y = classes[np.random.default_rng(0).integers(0, len(classes), 100)]
    forms = [y, y.astype(object), y.tolist()]
    if y.dtype.kind == "U":
        forms.append(y.astype("U30"))
    for form in forms:
        codes = encode_labels(form, classes)
        assert codes.dtype == np.intp
        np.testing.assert_array_equal(codes, plain_codes(form, classes))


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        ([0, 3], [0, 1]), ([1, 5], [0, 9]), ([-1, 0], [0, 1]), (["a", "c"], ["a", "b"]), (["a", "z"], ["z", "b"]),
        (np.array(["a", "z"], dtype=object), np.array(["z", "b"], dtype=object)),
        (np.array([2**63], dtype="u8"), [0, 1]),
    ],
)  # fmt: skip
def test_a_label_that_is_no_class_is_refused_by_every_way(y, classes):
    with pytest.raises(ValueError, match=r"y names .*, which is not a class"):
        encode_labels(y, np.array(classes))


@pytest.mark.parametrize("dtype", ["i1", "u1", "i8", "u8"])
@pytest.mark.parametrize("values", [[3, 1, 2], [7, 100, 50], [0, 1], [5]])
def test_distinct_whole_numbers_are_those_of_unique(dtype, values):
    y = np.repeat(np.array(values, dtype=dtype), 3)
    found = _read._distinct(y, "y")
    np.testing.assert_array_equal(found, np.unique(y))
    assert found.dtype == y.dtype


@unhurried
@given(st.data(), st.integers(2, 12))
def test_rows_are_judged_alike_in_blocks_of_any_size(data, n_classes):
    proba = data.draw(rows(n_classes, max_rows=40))
    spoiled, place = proba.copy(), data.draw(st.integers(0, len(proba) - 1))
    spoiled[place, 0] += data.draw(st.sampled_from([0.1, -2.0, np.nan, np.inf, 3.0]))
    with pytest.MonkeyPatch.context() as patch:
        for block in (1, 30, 2**17):
            patch.setattr(_rows, "BLOCK", block)
            assert check_proba(proba)[0] is proba
            with pytest.raises(ValueError, match=f"row {place} "):
                check_proba(spoiled)


def test_every_kind_of_label_gives_one_table():
    rng = np.random.default_rng(0)
    y, proba = rng.integers(0, 3, 500), rng.dirichlet(np.ones(3), size=500)
    names = np.array(["b", "c", "a"])
    expected = reliability_table(y, proba, kind="classwise").sums
    for classes in (names, names.astype(object), np.array([30, 10, 20])):
        found = reliability_table(classes[y], proba, kind="classwise", classes=classes)
        np.testing.assert_array_equal(found.sums, expected)
