"""scikit-learn's fit callbacks (new in 1.9); nothing happens where they do not exist or none is set."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

__all__ = ["CallbackSupportMixin", "begin_fit", "end_fit", "fit_task", "subtask", "with_callbacks"]

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stand-in for scikit-learn below 1.9."""

    def with_callbacks(method: Any) -> Any:
        """Return the method as it is: scikit-learn below 1.9 has no callbacks."""
        return method


def begin_fit(estimator: Any, X: Any, y: Any, n_tasks: int) -> Any:
    """Open the fit of a meta-estimator that runs `n_tasks` inner fits; return its context, or None."""
    if not hasattr(estimator, "_init_callback_context"):
        return None
    context = estimator._init_callback_context(max_subtasks=n_tasks)
    context.call_on_fit_task_begin(estimator=estimator, X=X, y=y)
    return context


def end_fit(context: Any, estimator: Any, X: Any, y: Any) -> None:
    """Close the fit; callbacks may rebuild a fitted estimator from its learned attributes."""
    if context is not None:
        learned = partial(_learned, estimator)
        context.call_on_fit_task_end(estimator=estimator, X=X, y=y, reconstruction_attributes=learned)


def _learned(estimator: Any) -> dict[str, Any]:
    # Of its state, which is complete where some of what it learned is not yet an attribute.
    return {name: value for name, value in estimator.__getstate__().items() if name.endswith("_")}


def subtask(context: Any, name: str) -> Any:
    """Return the context of one inner fit, to be handed to `fit_task` in whichever worker runs it."""
    return None if context is None else context.subcontext(task_name=name)


@contextmanager
def fit_task(context: Any, owner: Any, estimator: Any, X: Any, y: Any) -> Iterator[None]:
    """Report one inner fit, and pass the callbacks on to the estimator that it fits."""
    if context is None:
        yield
        return
    with context.propagate_callback_context(estimator):
        context.call_on_fit_task_begin(estimator=owner, X=X, y=y)
        yield
    context.call_on_fit_task_end(estimator=owner, X=X, y=y)
