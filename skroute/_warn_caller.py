"""Warnings that name the line of the caller, however many calls of this library and of scikit-learn lie between."""

import inspect
import os
import warnings
from pathlib import Path

import joblib
import sklearn

__all__ = ["warn_caller"]

# Whoever reads a warning can change none of these.
PASSED_OVER = tuple(f"{Path(file).parent}{os.sep}" for file in (__file__, sklearn.__file__, joblib.__file__))


def warn_caller(message: str, category: type[Warning]) -> None:
    """Warn as from the innermost line outside of skroute, scikit-learn and joblib.

    In a process or a thread that runs nothing else, that is a line of Python's own; were there none at all, it would be
    that of the one who calls this.
    """
    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_code.co_filename.startswith(PASSED_OVER):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=2 if frame is None else level)
