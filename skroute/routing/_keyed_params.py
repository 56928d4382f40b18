"""Dict parameters whose entries are parameters themselves: ``thresholds__security_incident``."""

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from numbers import Real
from typing import Any

from skroute._validation import listed, shown

__all__ = ["KeyedParamsMixin", "takes_any"]


class KeyedParamsMixin:
    """Make the entries of dict parameters reachable in `get_params` and `set_params`.

    To stand left of `BaseEstimator`. Only the parameter's name is split off, so that a label may hold anything,
    double underscores included; labels that are not text are found by their text.
    """

    _keyed_params: tuple[str, ...] = ()

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Get parameters, the entries of dict parameters included where `deep`.

        Parameters
        ----------
        deep : bool, default=True
            Whether entries of dict parameters, as ``parameter__label``, and parameters of nested estimators are listed.

        Returns
        -------
        params : dict
            Parameter names mapped to their values.
        """
        params: dict[str, Any] = super().get_params(deep=deep)  # type: ignore[misc]
        for name in self._keyed_params if deep else ():
            entries = params.get(name)
            if isinstance(entries, Mapping):
                params.update({f"{name}__{label}": value for label, value in entries.items()})
        return params

    def __sklearn_clone__(self) -> Any:
        """Return an unfitted copy; refuse a subclass of which it would lose parameters in silence."""
        own: Any = type(self)
        if takes_any(own) and own.get_params is KeyedParamsMixin.get_params:
            raise TypeError(
                f"{own.__name__} must name the parameters of its constructor one by one, or override get_params: "
                "clone, and with it every fit of a router, would lose those given as **."
            )
        return super().__sklearn_clone__()  # type: ignore[misc]

    def set_params(self, **params: Any) -> Any:
        """Set parameters; ``parameter__label`` sets one entry of a dict parameter.

        The dict that the caller gave is never changed: the entry is written into a copy of it. A new label makes a
        new entry, and a parameter that is None becomes a dict. Whole parameters are set before single entries.

        Parameters
        ----------
        **params : dict
            Parameter values by name.

        Returns
        -------
        self : object
        """
        entries: dict[str, dict[str, Any]] = {}
        whole: dict[str, Any] = {}
        # A subclass may leave some of these out: the next clone would lose what is set of them.
        own = self.get_params(deep=False) if any("__" in name for name in params) else {}
        for name, value in params.items():
            head, separator, label = name.partition("__")
            if separator and head in self._keyed_params and head in own:
                entries.setdefault(head, {})[label] = value
            elif separator and not hasattr(getattr(self, head, self), "set_params"):
                raise ValueError(
                    f"{type(self).__name__} cannot set {name!r}: {head} has no entries. Those with entries are "
                    f"{listed(name for name in self._keyed_params if name in own) or 'none of its parameters'}."
                )
            else:
                whole[name] = value
        super().set_params(**whole)  # type: ignore[misc]
        for name, changes in entries.items():
            current = getattr(self, name)
            if current is not None and not isinstance(current, Mapping):
                label, number = next(iter(changes.items()))
                hint = f"; set {name}={{{label!r}: {number!r}, '*': {current!r}}}" if isinstance(current, Real) else ""
                raise ValueError(f"{name}__{label} needs {name} to be a dict or None, got {shown(current)}{hint}.")
            changed = dict(current or {})
            labels = {str(label): label for label in changed}
            changed.update({labels.get(text, text): value for text, value in changes.items()})
            setattr(self, name, changed)
        return self


@lru_cache(maxsize=64)
def takes_any(policy: Callable[..., Any]) -> bool:
    """Tell whether a constructor takes parameters as ``**``."""
    return any(one.kind is one.VAR_KEYWORD for one in inspect.signature(policy).parameters.values())
