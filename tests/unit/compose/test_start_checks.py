"""Faults of a start: all at once, each with what, where and what to do."""

import os
import socket
from pathlib import Path

import pytest

from qmonus_lite.compose.start_checks import APIGW_CHECKS, WORKER_CHECKS, check_start
from qmonus_lite.errors import BadResource
from qmonus_lite.settings.table import Settings


def settings(folder: Path, **values: object) -> Settings:
    (folder / "plugins").mkdir(exist_ok=True)
    return Settings.of(**{"base_dir": folder, "port": free_port(), **values})


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def refusal(given: Settings) -> list[str]:
    with pytest.raises(BadResource) as refused:
        check_start(given, APIGW_CHECKS)
    return str(refused.value).splitlines()


def test_a_sound_start_is_taken(tmp_path: Path) -> None:
    given = settings(tmp_path, lambda_port=free_port())

    check_start(given, APIGW_CHECKS)
    check_start(given, WORKER_CHECKS)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_every_fault_is_shown_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("x: 1\n")
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/broken.yml").write_text("x: 1\n")
    (tmp_path / "upload").touch()
    certificate = tmp_path / "none.pem"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        given = settings(
            tmp_path,
            data_dir=tmp_path / "a.yml",
            certfile=certificate,
            keyfile=certificate,
            port=taken.getsockname()[1],
        )
        lines = refusal(given)

    assert lines[0] == "4 faults at the start:"
    assert lines[1] == (
        f"{tmp_path}/upload: is no directory, and every upload needs one there; move it away"
    )
    assert lines[2].startswith(f"--data_dir={tmp_path}/a.yml: cannot be made")
    assert lines[3].startswith(f"--certfile={certificate}")
    assert lines[4].startswith(f"--port={given.server.port}: port {given.server.port} of 127.0.0.1")


def test_faults_of_plugins_are_shown_beside_the_others(tmp_path: Path) -> None:
    (tmp_path / "upload").touch()
    given = settings(tmp_path)
    (tmp_path / "plugins/broken.yml").write_text("x: 1\n")

    lines = refusal(given)

    assert lines[0] == "2 faults at the start:"
    assert lines[2].startswith(f"{tmp_path}/plugins/broken.yml:1:1: ")


def test_each_plugin_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    lines = refusal(settings(tmp_path, plugins_base_dirs=("plugins", "more", "most")))

    assert [line.partition(": no folder")[0] for line in lines[1:]] == [
        "--plugins_base_dirs: more",
        "--plugins_base_dirs: most",
    ]


@pytest.mark.parametrize(
    "template", ["/upload/{filepath}", "/v1/tenants/{tenant}/{filename}/file", "/{filename}"]
)
def test_a_link_that_every_upload_would_lead_through_is_refused(
    tmp_path: Path, template: str
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "upload").symlink_to("disk")

    [line] = refusal(settings(tmp_path, file_upload_api_path=template))

    assert line.startswith(f"{tmp_path}/upload: is a symbolic link")
    assert "mount --bind" in line


def test_a_launch_directory_that_is_a_link_is_taken(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    settings(tmp_path / "disk")
    (tmp_path / "link").symlink_to("disk")
    given = Settings.of(base_dir=tmp_path / "link", port=free_port())

    check_start(given, APIGW_CHECKS)
    assert given.storage.root == tmp_path / "disk"
    assert os.path.isdir(tmp_path / "disk/.qmonus-lite")


def test_what_follows_from_a_missing_launch_directory_is_not_shown(tmp_path: Path) -> None:
    [line] = refusal(Settings.of(base_dir=tmp_path / "missing", port=free_port()))

    assert line == f"--base_dir={tmp_path}/missing: no such directory; make it first"
    assert list(tmp_path.iterdir()) == []
