"""Running commands in this process, in a launch directory of their own."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from qmonus_lite.cli.main import main


@dataclass(frozen=True)
class Ended:
    """Exit status and output of a command."""

    status: int
    out: str
    err: str


class Shell:
    """A launch directory with a plugin folder, and the command line in it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.plugins = folder / "plugins"
        self._capsys = capsys

    @property
    def state(self) -> Path:
        return self.folder / ".qmonus-lite"

    def put(self, name: str, text: str) -> Path:
        place = self.plugins / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return place

    def run(self, *arguments: str) -> Ended:
        """Run one command line to its end."""
        status = main(arguments)
        captured = self._capsys.readouterr()
        return Ended(status, captured.out, captured.err)

    def refused(self, *arguments: str) -> str:
        """The one message of a command line that is refused."""
        ended = self.run(*arguments)
        assert (ended.status, ended.out) == (2, "")
        assert ended.err.startswith("qmonus-lite: ")
        assert "Traceback" not in ended.err
        return ended.err.removeprefix("qmonus-lite: ").rstrip("\n")


@pytest.fixture
def shell(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    restored: None,
) -> Shell:
    for name in [name for name in os.environ if name.startswith("QMONUS_LITE_")]:
        monkeypatch.delenv(name)
    (tmp_path / "plugins").mkdir()
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, capsys)
