import pickle
import sys
import threading

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from skroute.classifier import _contents
from skroute.classifier._contents import Contents

ROWS = np.arange(12.0).reshape(4, 3)
TEXTS = ["reset my password", "vpn is down", "unlock"]


def frame(**columns):
    return pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]} | columns)


def changed(kind):
    """Return a value and another that differs in one thing."""
    rows = ROWS.copy()
    pairs = {
        "number": (ROWS, rows),
        "sign of zero": (np.array([0.0]), np.array([-0.0])),
        "dtype": (ROWS, ROWS.view(np.int64)),
        "shape": (ROWS, ROWS.reshape(3, 4)),
        "order": (ROWS, np.asfortranarray(ROWS)),
        "length": (ROWS, ROWS[:3]),
        "text": (TEXTS, [*TEXTS[:2], "unlocked"]),
        "object": (np.array(TEXTS, dtype=object), np.array(TEXTS[::-1], dtype=object)),
        "mask": (np.ma.array(ROWS, mask=False), np.ma.array(ROWS, mask=ROWS > 10)),
        "sparse values": (csr_array(ROWS), csr_array(2 * ROWS)),
        "sparse places": (csr_array(ROWS > 5), csr_array(ROWS < 6)),
        "column name": (frame(), frame().rename(columns={"a": "c"})),
        "column dtype": (frame(), frame(a=[1, 2])),
        "column": (frame(), frame(b=["x", "z"])),
        "index": (frame(), frame().set_axis([5, 6])),
        "parameter": (LogisticRegression(), LogisticRegression(C=2.0)),
        "generator": (np.random.default_rng(0), np.random.default_rng(1)),
    }
    rows[3, 2] += 1.0
    return pairs[kind]


KINDS = ["number", "sign of zero", "dtype", "shape", "order", "length", "text", "object", "mask", "sparse values"]
KINDS += ["sparse places", "column name", "column dtype", "column", "index", "parameter", "generator"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("large", [False, True])
def test_contents_that_differ_in_anything_are_not_equal(monkeypatch, kind, large):
    if large:
        monkeypatch.setattr(_contents, "LARGE", 1)
    one, other = (Contents.of(value) for value in changed(kind))
    assert one.equal(Contents.of(changed(kind)[0]))
    assert not one.equal(other)
    assert not other.equal(one)


@pytest.mark.parametrize("size", [7, 8, 4096 * 8 + 3, _contents.LONG, _contents.LONG + 1, 2**20, 2**21 + 5])
def test_a_change_of_any_byte_is_seen(size):
    first = np.zeros(size, dtype=np.uint8)
    kept = Contents.of(first).copied()
    for place in {0, 1, size // 2, size - 1}:
        other = first.copy()
        other[place] = 1
        assert not kept.equal(Contents.of(other))
    assert kept.equal(Contents.of(first))


def test_contents_are_read_in_place_until_copied():
    rows = ROWS.copy()
    read, copied = Contents.of(rows), Contents.of(rows).copied()
    rows[0, 0] = -1.0
    assert read.equal(Contents.of(rows))
    assert not copied.equal(read)


def test_large_parts_are_kept_as_digests(monkeypatch):
    monkeypatch.setattr(_contents, "LARGE", 1000)
    small, large = np.zeros(100), np.zeros(1000)
    assert Contents.of(small).nbytes > 800
    assert Contents.of(large).nbytes < 500
    assert not Contents.of(np.zeros(126)).equal(Contents.of(np.zeros(125)))


def test_what_a_pickle_does_not_tell_has_no_contents(monkeypatch):
    def halve(X):
        return X / 2

    for value in (FunctionTransformer(lambda X: X), threading.Lock()):
        with pytest.raises(pickle.PicklingError, match="pickle"):
            Contents.of(value)
    halve.__module__, halve.__qualname__ = "__main__", "halve"
    monkeypatch.setattr(sys.modules["__main__"], "halve", halve, raising=False)
    with pytest.raises(pickle.PicklingError, match="defined in __main__"):
        Contents.of(FunctionTransformer(halve))


def test_a_digest_stands_for_contents(monkeypatch):
    values = [pair for kind in KINDS for pair in changed(kind)]
    digests = {Contents.of(value).digest() for value in values}
    # The first of some pairs is the same.
    assert len(digests) == len({pickle.dumps(value) for value in values})
    assert Contents.of([b"ab", b"c"]).digest() != Contents.of([b"a", b"bc"]).digest()
    contents = Contents.of(ROWS)
    assert contents.digest() == contents.copied().digest() == Contents.of(ROWS.copy()).digest()
