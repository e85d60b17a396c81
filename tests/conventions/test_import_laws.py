"""Each law on imports is broken once, in a copy of the package, and `lint-imports` catches it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]

#: Module, an import that breaks a law there, and the law.
BREACHES = (
    (
        "events/dispatcher.py",
        "import qmonus_lite.event_logs.memory",
        "Events know no event log, store, transport, HTTP server, Tornado or SQLite",
    ),
    ("events/log.py", "import qmonus_lite.event_logs.sqlite.event_log", "Layers"),
    (
        "events/ordering.py",
        "import tornado.web",
        "Events know no event log, store, transport, HTTP server, Tornado or SQLite",
    ),
    ("events/inbox.py", "import sqlite3", "One package imports SQLite"),
    ("event_logs/sqlite/event_log.py", "import sqlite3", "One package imports SQLite"),
    ("database/database.py", "import qmonus_lite.events.log", "Layers"),
    ("event_logs/memory.py", "import qmonus_lite.apigw.events", "Layers"),
)


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache", "setup.cfg"],
        cwd=folder,
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with a copy of the package and of the laws."""
    shutil.copytree(
        TOP / "qmonus_lite", tmp_path / "qmonus_lite", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(TOP / "setup.cfg", tmp_path)
    return tmp_path


@pytest.mark.parametrize(("module", "statement", "law"), BREACHES)
def test_a_broken_law_is_caught(copy: Path, module: str, statement: str, law: str) -> None:
    place = copy / "qmonus_lite" / module
    # Behind the docstring, where imports stand.
    text = place.read_text()
    end = text.index('"""', 3) + 3
    place.write_text(f"{text[:end]}\n\n{statement}\n{text[end:]}")
    linted = lint(copy)

    assert linted.returncode != 0
    assert f"{law} BROKEN" in linted.stdout
