"""File names are UTF-8 in every process, whatever the locale says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.process import TOP

#: Makes a file in the way in which the entry point would.
COMMAND = """
import os, sys
from qmonus_lite.cli.utf8_mode import execute_in_utf8_mode
first_pid = os.environ.setdefault("FIRST_PID", str(os.getpid()))
execute_in_utf8_mode()
open(sys.argv[1], "w").close()
print(sys.getfilesystemencoding(), os.getpid() == int(first_pid), sys.argv[1])
"""

#: No locale of a system is needed for these: Python decodes by ASCII.
ASCII = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(
    "environ",
    [
        {"LC_ALL": "C", **ASCII},
        {"LC_ALL": "POSIX", **ASCII},
        {**ASCII},
        {"LC_ALL": "C"},
        {"LANG": "C.UTF-8"},
        {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "0"},
    ],
    ids=str,
)
@pytest.mark.parametrize("how", ["-c", "file"])
def test_names_are_utf_8(tmp_path: Path, environ: dict[str, str], how: str) -> None:
    file = tmp_path / "command.py"
    file.write_text(COMMAND, encoding="utf-8")
    words = ["-c", COMMAND] if how == "-c" else [str(file)]
    done = subprocess.run(
        [sys.executable, *words, "日本語.bin"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(TOP), **environ},
        capture_output=True,
        check=False,
    )

    assert (done.stderr, done.returncode) == (b"", 0)
    assert done.stdout.decode() == "utf-8 True 日本語.bin\n"
    assert "日本語.bin".encode() in os.listdir(bytes(tmp_path))
