"""Run the command line as ``python -m skroute``."""

import sys

from skroute.cli import main

if __name__ == "__main__":
    sys.exit(main())
