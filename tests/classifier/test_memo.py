import sys
import threading

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from skroute.classifier import _memo
from skroute.classifier._memo import Contents, Memo

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
        monkeypatch.setattr(_memo, "LARGE", 1)
    one, other = (Contents.of(value) for value in changed(kind))
    assert one.equal(Contents.of(changed(kind)[0]))
    assert not one.equal(other)
    assert not other.equal(one)


@pytest.mark.parametrize("size", [7, 8, 4096 * 8 + 3, _memo.BLOCK * 8, _memo.BLOCK * 16 + 5])
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
    monkeypatch.setattr(_memo, "LARGE", 1000)
    small, large = np.zeros(100), np.zeros(1000)
    assert Contents.of(small).nbytes > 800
    assert Contents.of(large).nbytes < 500
    assert not Contents.of(np.zeros(126)).equal(Contents.of(np.zeros(125)))


def test_what_a_pickle_does_not_tell_has_no_contents(monkeypatch):
    def halve(X):
        return X / 2

    assert Contents.of(FunctionTransformer(lambda X: X)) is None
    assert Contents.of(threading.Lock()) is None
    halve.__module__, halve.__qualname__ = "__main__", "halve"
    monkeypatch.setattr(sys.modules["__main__"], "halve", halve, raising=False)
    assert Contents.of(FunctionTransformer(halve)) is None


def kept(memo, number, nbytes=10):
    contents = Contents.of(np.full(10, float(number))).copied()
    memo.keep("owner", contents, number, nbytes)
    return contents


def test_a_memo_forgets_what_was_not_asked_for_longest():
    memo = Memo(max_bytes=10**6, max_entries=3)
    contents = [kept(memo, number) for number in range(3)]
    assert memo.find("owner", contents[0]) == 0
    contents.append(kept(memo, 3))
    assert [memo.find("owner", one) for one in contents] == [0, None, 2, 3]
    assert len(memo) == 3


def test_a_memo_is_bounded_by_bytes():
    one = Contents.of(np.full(10, 0.0)).nbytes + 1000
    memo = Memo(max_bytes=3 * one, max_entries=100)
    for number in range(10):
        kept(memo, number, 1000)
        assert memo.nbytes <= 3 * one
    assert len(memo) == 3
    kept(memo, 10, 4 * one)
    assert len(memo) == 3


def test_owners_do_not_see_each_others_values():
    memo = Memo(10**6, 10)
    contents = kept(memo, 1)
    assert memo.find("other", contents) is None
    memo.forget(memo.find("owner", contents))
    assert memo.find("owner", contents) is None
    assert len(memo) == 0


def test_threads_find_what_belongs_to_their_contents():
    memo, wrong = Memo(10**5, 8), []

    def work(seed):
        for number in np.random.default_rng(seed).integers(0, 12, size=300).tolist():
            contents = Contents.of(np.full(10, float(number)))
            if memo.find("owner", contents) not in (None, number):
                wrong.append(number)
            kept(memo, number)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(memo) <= 8
