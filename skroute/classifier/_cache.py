"""Fits that are remembered: joblib's Memory, with a plain refit where something cannot be hashed."""

import pickle
import warnings
from collections.abc import Callable
from typing import Any

import joblib
from sklearn.utils.validation import check_memory

from skroute.exceptions import CacheWarning

__all__ = ["cached_call"]


def cached_call(
    memory: Any, function: Callable[..., Any], ignored: dict[str, Any], hashed: dict[str, Any], key: tuple[Any, ...]
) -> Any:
    """Call a function under a memory.

    Parameters
    ----------
    memory : None, str or joblib.Memory
        As in `sklearn.pipeline.Pipeline`.
    function : callable
        A module-level function.
    ignored, hashed : dict
        Its arguments: those that its result does not depend on, and the others.
    key : tuple
        Those of the hashed arguments that may hold the user's own classes. Where they cannot be hashed, as with a class
        defined in an interactive session, the call is not cached, with a warning.
    """
    memory = check_memory(memory)
    if memory.location is None:
        return function(**hashed, **ignored)
    try:
        joblib.hash(key)
        if b"__main__" in pickle.dumps(key):
            # Hashed by name only: redefined in the session, it would be taken for its old self.
            raise pickle.PicklingError("defined in __main__")
    except Exception as error:
        warnings.warn(
            f"memory: the estimator or its fit parameters cannot be hashed ({error}); fitted without the cache. "
            "Define their classes and functions in a module that can be imported.",
            CacheWarning,
            stacklevel=3,
        )
        return function(**hashed, **ignored)
    return memory.cache(function, ignore=list(ignored))(**hashed, **ignored)
