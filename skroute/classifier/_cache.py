"""Fits that are remembered on disk, by joblib's Memory."""

import textwrap
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import scipy
import sklearn
from joblib.memory import MemorizedResult

from skroute._version import __version__
from skroute._warn_caller import warn_caller
from skroute.exceptions import CacheWarning

__all__ = ["VERSIONS", "cached_call", "is_cached", "warn_of_no_cache"]

# Characters of somebody else's message.
MOST_QUOTED = 120
# What fits differ by: a folder outlives them all.
VERSIONS = (__version__, sklearn.__version__, np.__version__, scipy.__version__)


def cached_call(
    memory: joblib.Memory, function: Callable[..., Any], digest: str, arguments: dict[str, Any]
) -> tuple[Any, MemorizedResult | None]:
    """Call a function under a memory.

    Parameters
    ----------
    memory : joblib.Memory
        With a location.
    function : callable
        A module-level function, with an argument `digest` of which it makes no use: the one that joblib looks at.
    digest : str
        Stands for all that the result depends on.
    arguments : dict
        Its other arguments.

    Returns
    -------
    value : object
        What the function returns.
    file : MemorizedResult or None
        Where it is cached; None where it is not.
    """
    cached = memory.cache(function, ignore=list(arguments))
    value = cached(**arguments, digest=digest)
    # What cannot be pickled is not written, with a warning of joblib.
    found = cached.check_call_in_cache(**arguments, digest=digest)
    return value, cached.call_and_shelve(**arguments, digest=digest) if found else None


def is_cached(file: MemorizedResult) -> bool:
    """Tell whether a cached value is still there."""
    found: bool = file.store_backend.contains_item((file.func_id, file.args_id))
    return found


def warn_of_no_cache(reason: Exception) -> None:
    """Say that a fit is not cached, and why."""
    # Of what pickle says, which may quote all of the estimator.
    short = textwrap.shorten(str(reason), MOST_QUOTED, placeholder=" ...")
    warn_caller(
        f"memory: the estimator, its rows or its fit parameters cannot be told from others ({short}); fitted without "
        "the cache. Define their classes and functions in a module that can be imported.",
        CacheWarning,
    )
