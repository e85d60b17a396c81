"""What is said where nothing of this package can run."""

import subprocess
import sys
from pathlib import Path

import pytest

from qmonus_lite.platforms import platform_fault

TOP = Path(__file__).parents[2]


def run_on(platform: str, code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a Python that takes its platform for another."""
    code = f"import sys; sys.platform = {platform!r}; {code}"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=TOP, capture_output=True, text=True, check=False
    )


def test_linux_has_no_fault() -> None:
    assert platform_fault("linux") is None


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_every_command_says_in_one_line_that_it_needs_linux(platform: str) -> None:
    ended = run_on(platform, "import qmonus_lite.cli.main")

    assert (ended.returncode, ended.stdout) == (2, "")
    [line] = ended.stderr.splitlines()
    assert line.startswith(f"qmonus-lite: qmonus-lite runs on Linux only, and this is {platform}")


def test_an_installation_says_that_it_needs_linux() -> None:
    ended = run_on("darwin", "exec(open('setup.py').read())")

    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert line.startswith("qmonus-lite runs on Linux only, and this is darwin")
