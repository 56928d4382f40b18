"""Find the command and run it; a user's mistake is one line on stderr and exit code 2."""

import argparse
import os
import sys
from collections.abc import Sequence

from skroute._version import __version__
from skroute.cli import _demo
from skroute.cli._errors import CommandError

__all__ = ["main"]

COMMANDS = {"demo": _demo}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : sequence of str, default=None
        Arguments without the program's name. None: those of the process.

    Returns
    -------
    code : int
        0; 2 after a mistake in the arguments or their files; 130 when interrupted.
    """
    parser = argparse.ArgumentParser(prog="skroute", description="Calibrate a classifier per class and route its rows.")
    parser.add_argument("--version", action="version", version=f"skroute {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=module.SUMMARY, description=module.DESCRIPTION)
        module.add_arguments(command)
    arguments = parser.parse_args(argv)
    try:
        COMMANDS[arguments.command].run(arguments)
    except CommandError as error:
        print(f"skroute: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader, such as head, has what it wants; the interpreter must not complain when it flushes.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    except OSError as error:
        print(f"skroute: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("skroute: interrupted", file=sys.stderr)
        return 130
    return 0
