"""Numbers and dicts of a policy as strict JSON, which knows no infinity and only text as keys."""

import math
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

__all__ = ["from_json", "to_json"]


def to_json(value: Any) -> Any:
    """Return a number, dict or text as JSON holds it; +inf becomes "inf"."""
    if isinstance(value, Mapping):
        return {str(label): to_json(level) for label, level in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    # An item of a long double is one still.
    if isinstance(value, (Decimal, Fraction, np.longdouble)):
        value = float(value)
    return "inf" if value == math.inf else value


def from_json(value: Any) -> Any:
    """Return what `to_json` was given, but for the type of keys."""
    if isinstance(value, Mapping):
        return {label: from_json(level) for label, level in value.items()}
    return math.inf if value == "inf" else value
