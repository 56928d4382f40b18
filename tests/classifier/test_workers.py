import os
import threading
import time
import weakref

import joblib
import numpy as np
import pytest
import sklearn

from skroute.classifier import _workers
from skroute.classifier._workers import do_all


def square(number):
    return number**2


def process(_):
    return os.getpid()


def slow_process(seconds):
    time.sleep(seconds)
    return os.getpid()


def settings(_):
    return sklearn.get_config()["assume_finite"], np.geterr()["under"]


def refuse(number, error):
    if number == error:
        raise TimeoutError(f"no {number}")
    return number


def refuse_later(seconds, refuses):
    time.sleep(seconds)
    if refuses:
        raise TimeoutError(f"after {seconds}")


class OfTwoError(Exception):
    def __init__(self, what, number):
        super().__init__(f"{what} {number}")


class HoldingError(Exception):
    def __init__(self, text):
        super().__init__(text)
        self.lock = threading.Lock()


def refuse_oddly(number, kind):
    time.sleep(0.1)
    if number == 5:
        raise OfTwoError("no", 5) if kind == "of two" else HoldingError("no 5")


def end_loop(number):
    if number:
        raise StopIteration
    return number


def interrupt(seconds, first):
    time.sleep(seconds)
    if first:
        raise KeyboardInterrupt


@pytest.fixture(params=[0.0, 1e9], ids=["processes", "one after the other"])
def start(request, monkeypatch):
    monkeypatch.setattr(_workers, "START", request.param)
    monkeypatch.setattr(_workers, "START_AGAIN", request.param)


@pytest.fixture
def at_once(monkeypatch):
    """Ask processes without waiting for the first job."""
    monkeypatch.setattr(_workers, "START", 0.0)
    monkeypatch.setattr(_workers, "START_AGAIN", 0.0)


@pytest.mark.usefixtures("start")
@pytest.mark.parametrize("by_threads", [False, True])
@pytest.mark.parametrize("n_jobs", [None, 1, 2, 3, -1])
def test_results_come_in_the_order_of_the_jobs(n_jobs, by_threads):
    for n in (1, 2, 3, 7):
        assert do_all(square, [(i,) for i in range(n)], n_jobs, by_threads=by_threads) == [i**2 for i in range(n)]


def test_quick_jobs_are_done_here(monkeypatch):
    monkeypatch.setattr(_workers, "_last_asked", {})
    before = time.perf_counter()
    assert set(do_all(process, [(i,) for i in range(6)], 2)) == {os.getpid()}
    # Processes would not have started by then.
    assert time.perf_counter() - before < 0.5
    assert not _workers._last_asked


def test_long_jobs_are_shared(monkeypatch):
    monkeypatch.setattr(_workers, "START", 0.1)
    monkeypatch.setattr(_workers, "_last_asked", {})
    where = do_all(slow_process, [(0.3,)] * 6, 2)
    # A third of them stays here.
    assert where[:2] == [os.getpid()] * 2
    assert os.getpid() not in where[2:]
    assert list(_workers._last_asked) == [2]


@pytest.mark.usefixtures("start")
@pytest.mark.parametrize("place", [0, 1, 5])
def test_errors_come_through(place):
    # A test before this one may have left another number of processes.
    do_all(square, [(i,) for i in range(6)], 2)
    with pytest.raises(TimeoutError, match=f"no {place}"):
        do_all(refuse, [(i, place) for i in range(6)], 2)


@pytest.mark.usefixtures("at_once")
def test_an_error_of_a_process_tells_where_it_arose():
    with pytest.raises(TimeoutError) as caught:
        do_all(refuse_later, [(0.2, i == 5) for i in range(6)], 2)
    assert any("in refuse_later" in note for note in caught.value.__notes__)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(("kind", "name"), [("of two", "OfTwoError"), ("holding", "HoldingError")])
def test_an_error_that_cannot_be_sent_says_what_it_was(kind, name):
    with pytest.raises(RuntimeError, match=f"{name}: no 5") as caught:
        do_all(refuse_oddly, [(i, kind) for i in range(6)], 2)
    assert any("in refuse_oddly" in note for note in caught.value.__notes__)


class RefusingNotesError(Exception):
    def add_note(self, note):
        raise TypeError("no notes")


def test_errors_are_sent_as_copies_that_can_be_sent():
    class OfThisTestError(Exception):
        pass

    class TurningError(Exception):
        def __reduce__(self):
            return type(None), ()

    class LeavingError(Exception):
        def __reduce__(self):
            raise SystemExit

    held, weak = ValueError("held"), ValueError("weak")
    held.module, weak.reference = os, weakref.ref(square)
    for error, kind in [
        (KeyError("plain"), KeyError),
        (OfThisTestError("local"), OfThisTestError),
        (RefusingNotesError("refusing"), RefusingNotesError),
        (StopIteration(3), StopIteration),
        (held, ValueError),
        (weak, RuntimeError),
        (TurningError("turning"), RuntimeError),
        (LeavingError("leaving"), RuntimeError),
    ]:
        sent = _workers._sendable(error, "where")
        assert type(sent) is kind
        assert sent is not error
        assert str(error) in str(sent)
        # Nothing is left on an error that a job may raise again.
        assert not hasattr(error, "__notes__")
        assert getattr(sent, "__notes__", []) == ([] if kind is RefusingNotesError else ["where"])


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_jobs_done_here_may_raise_what_ends_loops(n_jobs):
    with pytest.raises(StopIteration):
        do_all(end_loop, [(i,) for i in range(6)], n_jobs)


@pytest.mark.usefixtures("at_once")
def test_an_error_of_a_process_does_not_wait_for_jobs_before_it():
    do_all(square, [(i,) for i in range(6)], 2)
    before = time.perf_counter()
    with pytest.raises(TimeoutError):
        do_all(refuse_later, [(0.3, False), (0.0, False), (30.0, False), (0.0, True)], 2)
    assert time.perf_counter() - before < 15.0


@pytest.mark.usefixtures("at_once")
def test_whatever_moment_an_error_here_comes_nothing_is_left_running():
    do_all(square, [(i,) for i in range(6)], 2)
    for moment in np.linspace(0.0, 0.004, 40):
        with pytest.raises(TimeoutError):
            do_all(refuse_later, [(moment, True)] * 6, 2)
        # It would still give jobs to processes that are being ended.
        assert not any(isinstance(thread, threading.Timer) for thread in threading.enumerate())


@pytest.mark.usefixtures("start")
def test_settings_hold_for_every_job():
    with sklearn.config_context(assume_finite=True), np.errstate(under="raise"):
        found = do_all(settings, [(i,) for i in range(6)], 2)
    assert [assume_finite for assume_finite, _ in found] == [True] * 6
    assert found[0] == (True, "raise")


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_what_is_done_here_is_done_by_this_thread(n_jobs):
    assert do_all(lambda _: threading.current_thread(), [(0,), (1,)], n_jobs) == [threading.current_thread()] * 2
    assert do_all(lambda _: threading.current_thread(), [(0,)], n_jobs) == [threading.current_thread()]


@pytest.mark.usefixtures("at_once")
def test_an_error_here_ends_what_processes_do():
    do_all(square, [(i,) for i in range(6)], 2)
    before = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        do_all(interrupt, [(0.5, True), *[(30.0, False)] * 8], 2)
    assert do_all(square, [(i,) for i in range(6)], 2) == [0, 1, 4, 9, 16, 25]
    assert time.perf_counter() - before < 15.0


def test_a_backend_that_gives_no_result_before_all_are_there_does_all(monkeypatch):
    given = []

    def parallel(**options):
        given.append(options)
        if "return_as" in options:
            raise ValueError("not supported")
        return joblib.Parallel(**options)

    monkeypatch.setattr(_workers, "Parallel", parallel)
    assert do_all(square, [(i,) for i in range(5)], 2) == [0, 1, 4, 9, 16]
    assert given == [{"n_jobs": 2, "return_as": "generator_unordered"}, {"n_jobs": 2}]


@pytest.mark.usefixtures("start")
@pytest.mark.parametrize("by_threads", [False, True])
def test_odd_numbers_of_jobs_and_workers(by_threads):
    assert do_all(square, [], 2, by_threads=by_threads) == []
    for n_jobs in (2.0, 1.5, np.int64(2)):
        assert do_all(square, [(i,) for i in range(5)], n_jobs, by_threads=by_threads) == [0, 1, 4, 9, 16]
    with pytest.raises(ValueError, match="n_jobs == 0"):
        do_all(square, [(1,), (2,)], 0, by_threads=by_threads)


def test_workers_are_those_of_joblib():
    with joblib.parallel_config(n_jobs=2):
        assert do_all(square, [(i,) for i in range(5)], None) == [0, 1, 4, 9, 16]
