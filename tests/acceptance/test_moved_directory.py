"""A launch directory that was moved or copied, and a changed port: events tell where things are."""

import shutil
from pathlib import Path

import pytest

from tests.acceptance.harness import Installation
from tests.acceptance.process import free_port, until

UPLOADED = "APIGW.OnFileUploaded"
EVENTS = 30


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """One that was stopped with events that wait, one of them a dead letter."""
    installation = Installation(tmp_path / "first")
    installation.record(UPLOADED)
    apigw, worker = installation.start("apigw"), installation.start("lambda")
    until(lambda: installation.ready, report=lambda: installation.log)
    worker.end()
    file = installation.file("f", b"content")
    for number in range(EVENTS):
        answer = installation.upload(file, f"/upload/{number}", token=installation.token)
        assert answer.status == 201, answer.text
    apigw.end()
    return installation


def put(installation: Installation, base: Path, port: int) -> None:
    """Let the installation run at another launch directory and port."""
    installation.base, installation.port = base, port
    installation.plugins, installation.data = base / "plugins", base / ".qmonus-lite"
    installation.url = f"http://127.0.0.1:{port}"


def check_events(installation: Installation) -> None:
    for number in range(EVENTS):
        event = installation.recorded(UPLOADED, f"/upload/{number}")
        assert event["filepath"] == f"{installation.base}/upload/{number}"
        assert Path(event["filepath"]).read_text() == "content"
        assert (event["address"], event["port"]) == ("127.0.0.1", installation.port)


def records(installation: Installation, action: str) -> list[str]:
    return [line for line in installation.log.splitlines() if f"action={action}" in line]


def test_events_that_wait_are_right_after_a_move_and_a_change_of_port(
    installation: Installation, tmp_path: Path
) -> None:
    moved, port = tmp_path / "moved", installation.port
    installation.base.rename(moved)
    put(installation, moved, free_port())
    listed = installation.run("events", "list", f"--base_dir={moved}").stdout.splitlines()
    event_id = listed[0].split()[0]
    shown = installation.run("events", "show", event_id, f"--base_dir={moved}").stdout
    assert f'"filepath": "{moved}/upload/0"' in shown
    assert f'"port": {port}' in shown

    installation.up()
    check_events(installation)
    assert len(records(installation, "data_dir_moved")) == 1
    assert records(installation, "data_dir_copied") == []
    installation.end()


def test_a_copy_delivers_on_its_own_files_and_warns_once(
    installation: Installation, tmp_path: Path
) -> None:
    original, copy = installation.base, tmp_path / "copy"
    shutil.copytree(original, copy)
    put(installation, copy, free_port())
    for name in original.joinpath("upload").iterdir():
        name.write_text("of the original")
    installation.up()
    check_events(installation)
    installation.end()
    installation.up()
    installation.end()

    [warning] = records(installation, "data_dir_copied")
    assert f"{copy}/.qmonus-lite is a copy of {original}/.qmonus-lite" in warning
    put(installation, original, free_port())
    installation.up()
    assert len(records(installation, "data_dir_copied")) == 1
    installation.end()
