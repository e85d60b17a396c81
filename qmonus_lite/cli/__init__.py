"""The command line: one module per command group; no import on platforms without support."""

import sys

from qmonus_lite.platforms import platform_fault

# Before the modules of commands, whose imports would fail there one by one.
if fault := platform_fault(sys.platform):
    print(f"qmonus-lite: {fault}", file=sys.stderr)
    raise SystemExit(2)
