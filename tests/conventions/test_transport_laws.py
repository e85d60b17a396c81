"""What events and transports may not import: each law is broken once in a copy, and found."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("importlinter")

TOP = Path(__file__).parents[2]
#: Module of the package, what it imports against a law, and the law.
BREACHES = (
    ("events/query.py", "qmonus_lite.transports.local", "Layers"),
    ("events/transport.py", "qmonus_lite.transports.http.transport", "Layers"),
    (
        "events/workers.py",
        "qmonus_lite.transports.http.worker_registry",
        "The events package knows no transport and no HTTP library",
    ),
    ("events/outcome.py", "aiohttp", "The events package knows no transport and no HTTP library"),
    ("events/retry.py", "tornado", "The events package knows no transport and no HTTP library"),
    ("events/envelope.py", "qmonus_lite.worker.app", "Layers"),
    ("events/known_handlers.py", "qmonus_lite.apigw.dispatch", "Layers"),
    ("transports/local.py", "qmonus_lite.worker.limits", "Layers"),
    ("transports/heartbeat.py", "qmonus_lite.compose.shared", "Layers"),
    ("transports/http/codec.py", "tornado", "Transports know no HTTP library and no database"),
    ("transports/http/client.py", "aiohttp", "Transports know no HTTP library and no database"),
    ("transports/http/signature.py", "sqlite3", "Transports know no HTTP library and no database"),
)


def lint(folder: Path) -> str:
    """What lint-imports prints for the package in a folder."""
    code = "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c())"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    return " ".join(done.stdout.split())


def test_every_forbidden_import_of_events_and_transports_is_found(tmp_path: Path) -> None:
    package = tmp_path / "qmonus_lite"
    shutil.copytree(
        TOP / "qmonus_lite", package, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
    )
    shutil.copy(TOP / "setup.cfg", tmp_path / "setup.cfg")
    for module, imported, _ in BREACHES:
        place = package / module
        place.write_text(f"{place.read_text()}\nimport {imported}\n")
    printed = lint(tmp_path)

    missed = []
    for module, imported, law in BREACHES:
        importer = "qmonus_lite." + module.removesuffix(".py").replace("/", ".")
        if f"{law} BROKEN" not in printed or f"{importer} -> {imported}" not in printed:
            missed.append((importer, imported))
    assert missed == [], printed
