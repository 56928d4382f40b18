"""The command line: ``skroute demo`` on generated tickets or on a file."""

from skroute.cli._main import main

__all__ = ["main"]
