"""Jobs done by several workers, where that does not take longer than to do them one after the other."""

import pickle
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from threading import Event, Timer
from typing import Any

from joblib import effective_n_jobs, wrap_non_picklable_objects
from sklearn import config_context, get_config
from sklearn.utils.parallel import Parallel, delayed

__all__ = ["do_all"]

# Seconds that it takes until processes have started and imported what they need, and until those that wait from the
# last time have what they need; and seconds for which they wait.
START, START_AGAIN, WAIT = 1.2, 0.3, 240.0

# Seconds until joblib's thread that hands jobs to processes has looked at those that it was given last. If it sees them
# for the first time when it is told to end, it prints a KeyError, which does no harm. It takes far less than a
# millisecond, but up to a second where the number of processes was another one a moment ago.
SEEN = 0.05

# When processes were asked for last, by their number.
_last_asked: dict[int, float] = {}


def do_all(
    function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], n_jobs: int | None, *, by_threads: bool = False
) -> list[Any]:
    """Return what a function makes of each job.

    The first job is begun here. If it is done before the others could save what it costs to start processes, all are
    done here, one after the other; if not, processes begin with the others meanwhile.

    Parameters
    ----------
    function : callable
    jobs : sequence of tuple
        Arguments of each call.
    n_jobs : int or None
        As in `joblib.Parallel`.
    by_threads : bool, default=False
        Whether the workers are to be threads, which cost nothing to start.

    Returns
    -------
    results : list
        In the order of the jobs.
    """
    n_workers = min(int(effective_n_jobs(n_jobs)), len(jobs))
    if n_workers <= 1:
        return [function(*job) for job in jobs]
    if by_threads:
        return list(Parallel(n_jobs=n_jobs, backend="threading")(delayed(function)(*job) for job in jobs))
    try:
        parallel = Parallel(n_jobs=n_jobs, return_as="generator_unordered")
    except ValueError:
        # Of another backend, which gives no result before all are there, and could not be left.
        return list(Parallel(n_jobs=n_jobs)(delayed(function)(*job) for job in jobs))
    waited = time.monotonic() - _last_asked.get(n_workers, -WAIT)
    # What processes save is all but their share of the other jobs.
    patience = (START_AGAIN if waited < WAIT else START) / ((len(jobs) - 1) * (1.0 - 1.0 / n_workers))
    # This one goes on with its share meanwhile.
    share = -(-len(jobs) // (n_workers + 1))
    others = _Later(parallel, function, jobs[share:], patience)
    try:
        first = function(*jobs[0])
        if others.cancelled():
            return [first, *[function(*job) for job in jobs[1:]]]
        _last_asked[n_workers] = time.monotonic()
        here = [first, *[function(*job) for job in jobs[1:share]]]
        return [*here, *others.results.result()]
    finally:
        others.stop()


class _Later:
    """Jobs that processes do, but only from some seconds on."""

    def __init__(
        self, parallel: Parallel, function: Callable[..., Any], jobs: Sequence[tuple[Any, ...]], seconds: float
    ) -> None:
        self.parallel, self.function, self.jobs = parallel, function, jobs
        # Settings are those of a thread, and it is another one that asks the processes.
        self.config = get_config()
        self.results: Future[list[Any]] = Future()
        self.stopped, self.given, self.at_work = Event(), Event(), ExitStack()
        self.n_left = len(jobs)
        self.timer = Timer(seconds, self._do)
        self.timer.daemon = True
        self.timer.start()

    def cancelled(self) -> bool:
        """Begin with no job, unless that has happened; return whether it has not."""
        self.timer.cancel()
        return self.results.cancel()

    def stop(self) -> None:
        """Begin with no job, and end those that were begun."""
        self.stopped.set()
        if self.cancelled():
            return
        # Processes must not be ended while jobs are being given to them: both may then wait for each other for ever.
        self.given.wait()
        if self.n_left:
            time.sleep(SEEN)
        # Who leaves before all results are there ends the processes.
        self.at_work.close()
        self.timer.join()

    def _do(self) -> None:
        if not self.results.set_running_or_notify_cancel():
            return
        try:
            with config_context(**self.config):
                self._gather(self._begun())
        except BaseException as error:
            self._fail(error)

    def _begun(self) -> Iterator[tuple[int, Any, Exception | None]]:
        try:
            parallel = self.at_work.enter_context(self.parallel)
            return iter(parallel(self._tasks()))
        finally:
            self.given.set()

    def _gather(self, outcomes: Iterator[tuple[int, Any, Exception | None]]) -> None:
        results = [None] * len(self.jobs)
        for place, result, error in outcomes:
            self.n_left -= 1
            results[place] = result
            if error is not None:
                # Whoever waits for the results learns it now, and ends what is still being done.
                self._fail(error)
        if not self.n_left and not self.results.done():
            self.results.set_result(results)

    def _fail(self, error: BaseException) -> None:
        self.stopped.set()
        if not self.results.done():
            self.results.set_exception(error)

    def _tasks(self) -> Iterator[Any]:
        for i, job in enumerate(self.jobs):
            if self.stopped.is_set():
                return
            yield delayed(_tried)(self.function, i, job)


def _tried(function: Callable[..., Any], place: int, job: tuple[Any, ...]) -> tuple[int, Any, Exception | None]:
    """Return place, result and error: joblib ends processes itself at an error, while it gives them jobs."""
    try:
        return place, function(*job), None
    except Exception as error:
        return place, None, _sendable(error, traceback.format_exc())


def _sendable(error: Exception, note: str) -> Exception:
    """Return the error or, where it could not be made again in another process, one that says the same, with a note.

    What is sent is a copy: the job may raise its own error again.
    """
    try:
        sent = _copied(error)
        with suppress(Exception):
            # An error may refuse it.
            sent.add_note(note)
        _copied(sent)
    except (Exception, SystemExit):
        sent = RuntimeError("".join(traceback.format_exception_only(error)).strip())
        sent.add_note(note)
    return sent


def _copied(error: Exception) -> Exception:
    """Return the error as it would arrive from another process."""
    # As joblib pickles, whose own pickler is not public.
    copied = pickle.loads(pickle.dumps(wrap_non_picklable_objects(error, keep_wrapper=False)))
    if not isinstance(copied, Exception):
        raise TypeError("It would arrive as something else than an error.")
    return copied
