"""Numbers and dicts of a policy as strict JSON, which knows no infinity and only text as keys."""

import json
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

__all__ = ["from_json", "is_kept", "to_json"]


def to_json(value: Any) -> Any:
    """Return a number, dict, list or text as JSON holds it; +inf becomes "inf"."""
    return _each(_plain(value), lambda part: "inf" if isinstance(part, float) and part == math.inf else part)


def from_json(value: Any) -> Any:
    """Return what `to_json` was given, but for the type of keys, and lists for tuples."""
    return _each(value, lambda part: math.inf if isinstance(part, str) and part == "inf" else part)


def is_kept(value: Any) -> bool:
    """Return whether strict JSON gives the same value back, but for the type of keys, and lists for tuples."""
    try:
        plain = _plain(value)
        again = json.loads(json.dumps(to_json(plain), allow_nan=False))
    except (TypeError, ValueError, OverflowError):
        return False
    return bool(from_json(again) == plain)


def _plain(value: Any) -> Any:
    """Return dicts with texts as keys, lists and Python's own numbers."""
    if isinstance(value, Mapping):
        # Of an enumeration of texts the text, not the name.
        return {str.__str__(k) if isinstance(k, str) else str(k): _plain(part) for k, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    # An item of a long double is one still.
    return float(value) if isinstance(value, (Decimal, Fraction, np.longdouble)) else value


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return a dict or list whose parts are changed, whatever the depth; or a part."""
    if isinstance(value, Mapping):
        return {label: _each(part, change) for label, part in value.items()}
    return [_each(part, change) for part in value] if isinstance(value, list) else change(value)
