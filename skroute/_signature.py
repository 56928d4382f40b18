"""The signature of a constructor, found once.

scikit-learn reads the names of an estimator's parameters from its constructor in every `clone`, `get_params` and
`set_params`: several times for each candidate of a search. To work out a signature takes longer than all else of these.
"""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["with_signature"]

Function = TypeVar("Function", bound=Callable[..., Any])


def with_signature(function: Function) -> Function:
    """Return the function, which carries its signature: `inspect.signature` finds it there.

    Parameters
    ----------
    function : callable
        Defined by ``def``.

    Returns
    -------
    function : callable
        The same.
    """
    vars(function)["__signature__"] = inspect.signature(function)
    return function
