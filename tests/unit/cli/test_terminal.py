"""What commands print on a terminal: wrapped, coloured, and plain in a pipe."""

import os
import pty
import re
import subprocess
import sys
from contextlib import suppress

import pytest

from qmonus_lite.cli import terminal
from qmonus_lite.cli.main import main
from qmonus_lite.cli.terminal import DIM, styled, wrapped

STYLE = re.compile(r"\x1b\[[0-9]+m")


def on_terminal(columns: int, *words: str, **environ: str) -> str:
    """Output of a command on a terminal of this width."""
    ours, theirs = pty.openpty()
    variables = {**os.environ, "COLUMNS": str(columns), "NO_COLOR": "", **environ}
    command = [sys.executable, "-m", "qmonus_lite", *words]
    with subprocess.Popen(command, stdout=theirs, env=variables):
        os.close(theirs)
        parts = []
        # EIO: the command has ended.
        with suppress(OSError):
            while part := os.read(ours, 1 << 16):
                parts.append(part)
    os.close(ours)
    return b"".join(parts).decode()


@pytest.mark.parametrize("columns", [80, 120])
def test_help_is_coloured_and_within_the_terminal(columns: int) -> None:
    shown = on_terminal(columns, "up", "--help")

    assert STYLE.search(shown)
    for line in STYLE.sub("", shown).splitlines():
        # What is to be copied is not broken.
        words = line.removeprefix("      example: ").split()
        assert len(line) <= columns or len(words) == 1, line


def test_no_color_is_respected() -> None:
    assert not STYLE.search(on_terminal(80, "--help", NO_COLOR="1"))


def test_nothing_is_coloured_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    main(["events", "--help"])

    assert "\x1b" not in capsys.readouterr().out
    assert styled("a", DIM) == "a"


def test_wrapping_breaks_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(terminal, "is_terminal", lambda: True)
    path = "/a-path-of-one-word/" + 60 * "x"

    assert wrapped(f"see {path} for more", 4).splitlines() == [
        "    see",
        f"    {path}",
        "    for more",
    ]
