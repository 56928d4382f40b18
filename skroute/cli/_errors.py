"""Mistakes that a user of the command line can mend."""

from typing import Any

__all__ = ["CommandError", "extra"]


class CommandError(Exception):
    """Shown as one line on stderr."""


def extra(module: str) -> Any:
    """Import a module of the extra ``cli``."""
    try:
        return __import__(module, fromlist=["*"])
    except ImportError:
        raise CommandError(
            f"the command line needs {module.split('.')[0]}: pip install 'scikit-routing[cli]'"
        ) from None
