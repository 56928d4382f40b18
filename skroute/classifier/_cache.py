"""Fits that are remembered on disk: joblib's Memory, with a plain refit where something cannot be hashed."""

import pickle
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import joblib
import numpy as np
import scipy
import sklearn
from joblib.memory import MemorizedResult
from sklearn import get_config

from skroute._version import __version__
from skroute._warn_caller import warn_caller
from skroute.exceptions import CacheWarning

__all__ = ["cached_call", "is_cached"]

# Characters of somebody else's message.
MOST_QUOTED = 120
# What fits differ by: a folder outlives them all.
VERSIONS = (__version__, sklearn.__version__, np.__version__, scipy.__version__)


def cached_call(
    memory: joblib.Memory,
    function: Callable[..., Any],
    hashed: dict[str, Any],
    ignored: dict[str, Any],
    named: Sequence[str] = (),
) -> tuple[Any, MemorizedResult | None]:
    """Call a function under a memory.

    Parameters
    ----------
    memory : joblib.Memory
        With a location.
    function : callable
        A module-level function, with an argument `digest` of which it makes no use: the one that joblib looks at, so
        that nothing is hashed twice.
    hashed, ignored : dict
        Its other arguments: those that its result depends on, together with scikit-learn's configuration and the
        versions installed, and the others.
    named : sequence of str
        Those of the hashed arguments that may hold the user's own classes. Where they cannot be hashed, as with a class
        defined in an interactive session, the call is not cached, with a warning.

    Returns
    -------
    value : object
        What the function returns.
    file : MemorizedResult or None
        Where it is cached; None where it is not.
    """
    key = [hashed[name] for name in named]
    try:
        joblib.hash(key)
        if b"__main__" in pickle.dumps(key):
            # Hashed by name only: redefined in the session, it would be taken for its old self.
            raise pickle.PicklingError("defined in __main__")
    except Exception as error:
        # Of what pickle says, which may quote all of the estimator.
        reason = textwrap.shorten(str(error), MOST_QUOTED, placeholder=" ...")
        warn_caller(
            f"memory: the estimator or its fit parameters cannot be hashed ({reason}); fitted without the cache. "
            "Define their classes and functions in a module that can be imported.",
            CacheWarning,
        )
        return function(**hashed, **ignored), None
    arguments = hashed | ignored
    cached = memory.cache(function, ignore=list(arguments))
    arguments["digest"] = joblib.hash((hashed, get_config(), VERSIONS))
    value = cached(**arguments)
    # What cannot be pickled is not written, with a warning of joblib.
    return value, cached.call_and_shelve(**arguments) if cached.check_call_in_cache(**arguments) else None


def is_cached(file: MemorizedResult) -> bool:
    """Tell whether a cached value is still there."""
    found: bool = file.store_backend.contains_item((file.func_id, file.args_id))
    return found
