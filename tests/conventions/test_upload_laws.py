"""What the package of uploads may not import: each law is broken once, and that is found."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("importlinter")

TOP = Path(__file__).parents[2]
#: A forbidden import by the module of `uploads` that gets it; packages that are not there yet are
#: made.
BROKEN = {
    "quota": "qmonus_lite.stores.file.store",
    "receipt": "qmonus_lite.stores.memory",
    "names": "qmonus_lite.http.request",
    "request": "qmonus_lite.apigw.dispatch",
    "lifecycle": "qmonus_lite.writer.service",
    "batching": "qmonus_lite.event_logs.other",
    "keyed_lock": "qmonus_lite.transports.other",
    "store": "tornado.web",
    "accepted": "sqlite3",
}


def module(package: Path, name: str) -> None:
    """Make a module, with its packages, unless it is there."""
    path = package.joinpath(*name.split(".")[1:]).with_suffix(".py")
    for folder in (path.parent, *path.parent.parents):
        if folder == package.parent:
            break
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").touch()
    path.touch()


def lint(folder: Path) -> tuple[int, str]:
    code = "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c())"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_every_forbidden_import_of_uploads_is_found(tmp_path: Path) -> None:
    package = tmp_path / "qmonus_lite"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(TOP / "qmonus_lite", package, ignore=ignored)
    shutil.copy(TOP / "setup.cfg", tmp_path / "setup.cfg")
    for name, imported in BROKEN.items():
        if imported.startswith("qmonus_lite."):
            module(package, imported)
        path = package / "uploads" / f"{name}.py"
        path.write_text(f"{path.read_text()}\nimport {imported}\n")
    status, said = lint(tmp_path)

    assert status == 1, said
    text = " ".join(said.split())
    missed = {
        name: imported
        for name, imported in BROKEN.items()
        if f"qmonus_lite.uploads.{name} -> {imported.partition('.web')[0]}" not in text
    }
    assert missed == {}, said
