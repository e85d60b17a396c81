"""Entry point of `python -m qmonus_lite`, equal to the console script `qmonus-lite`."""

import sys

from qmonus_lite.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
