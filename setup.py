"""Everything about the package stands in setup.cfg."""

import sys

if sys.platform != "linux":
    # pip would go on to a dependency that cannot be built here, and name only that.
    sys.exit(
        f"qmonus-lite runs on Linux only, and this is {sys.platform};"
        " see docs/reference/platforms.md"
    )

from setuptools import setup

setup()
