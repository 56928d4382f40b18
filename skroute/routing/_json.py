"""Numbers and dicts of a policy as strict JSON, which knows no infinity and only text as keys."""

import json
import math
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

__all__ = ["from_json", "is_kept", "to_json"]


def to_json(value: Any) -> Any:
    """Return a number, dict or text as JSON holds it; +inf becomes "inf"."""
    if isinstance(value, Mapping):
        return {str(label): to_json(level) for label, level in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    # An item of a long double is one still.
    if isinstance(value, (Decimal, Fraction, np.longdouble)):
        value = float(value)
    return "inf" if isinstance(value, float) and value == math.inf else value


def is_kept(value: Any) -> bool:
    """Return whether strict JSON gives the same value back."""
    try:
        again = json.loads(json.dumps(to_json(value), allow_nan=False))
    except (TypeError, ValueError):
        return False
    return bool(from_json(again) == value)


def from_json(value: Any) -> Any:
    """Return what `to_json` was given, but for the type of keys."""
    if isinstance(value, Mapping):
        return {label: from_json(level) for label, level in value.items()}
    return math.inf if value == "inf" else value
