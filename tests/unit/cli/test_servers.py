"""`up`, `apigw`, `lambda`: what they do before they serve."""

import os
import subprocess
import sys
from pathlib import Path

from qmonus_lite.cli import process_start, up
from qmonus_lite.cli.arguments import parse
from qmonus_lite.settings.table import Settings
from tests.unit.cli.conftest import Shell


def test_makes_the_default_plugin_folder(tmp_path: Path) -> None:
    process_start.make_default_folder(Settings.of(base_dir=tmp_path))
    process_start.make_default_folder(Settings.of(base_dir=tmp_path))

    assert os.listdir(tmp_path) == ["plugins"]


def test_makes_no_folder_that_was_named_and_none_in_no_directory(tmp_path: Path) -> None:
    process_start.make_default_folder(Settings.of(base_dir=tmp_path, plugins_base_dirs=("more",)))
    process_start.make_default_folder(Settings.of(base_dir=tmp_path / "missing"))

    assert os.listdir(tmp_path) == []


def test_a_child_gets_our_flags_and_its_own_in_their_place() -> None:
    arguments = parse(["--lambda-port=65533", "--port=1", "--lambda_processes=3"])
    child = up._child("w", "lambda", arguments, "--lambda_port=65535", "--lambda_processes=1")

    assert child.argv[1:] == (
        "-Pm",
        "qmonus_lite",
        "lambda",
        "--port=1",
        "--lambda_port=65535",
        "--lambda_processes=1",
    )
    assert parse(child.argv[4:]).settings({}).workers.lambda_port == 65535


def test_a_child_imports_nothing_from_the_working_directory(tmp_path: Path) -> None:
    for name in ("ssl", "logging", "qmonus_lite"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")
    child = up._child("w", "lambda", parse(["--help"]))
    done = subprocess.run(child.argv, cwd=tmp_path, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert "qmonus-lite lambda" in done.stdout


def test_refuses_a_launch_directory_that_is_not_there(shell: Shell) -> None:
    message = shell.refused("apigw", "--base_dir=missing")

    assert message.startswith(f"--base_dir={shell.folder}/missing: no such directory")


def test_goes_on_when_the_reader_of_stdout_is_gone() -> None:
    script = "from qmonus_lite.nonblocking_output import install; install()"
    script += "; print('ready'); print('still')"
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-c", script], stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)

    assert (done.returncode, done.stderr) == (0, b"")
