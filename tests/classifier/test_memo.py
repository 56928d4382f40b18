import threading

import numpy as np

from skroute.classifier._contents import Contents
from skroute.classifier._memo import Memo


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
