"""As in a container: process 1, an ASCII locale, umask 0, a setgid folder and a bind mount.

One server with two APIGWs and their writer process; every test looks at another thing.
"""

import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.acceptance.harness import UPLOADED, Installation
from tests.acceptance.process import Running, until
from tests.acceptance.test_bind_mounts import bound

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="namespaces and mounts take root")

#: Process 1 of a process namespace, with umask 0.
CONTAINER = (
    *("unshare", "--pid", "--fork", "--mount-proc", "--kill-child"),
    *("sh", "-c", 'umask 0; exec "$@"', "sh"),
)
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
GROUP = 4321

HANDLER = f"""\
name: handler
event: {UPLOADED}
script: |-
  import subprocess

  async def handler(event, handle):
      with open(event["filepath"], "rb") as file:
          file.read()
      subprocess.run(["sh", "-c", "sleep 0.1 &"], check=True)
"""


@pytest.fixture(scope="module")
def container(shared: Installation) -> Iterator[Running]:
    possible = subprocess.run([*CONTAINER, "true"], capture_output=True, text=True, check=False)
    if possible.returncode:
        pytest.skip(f"this machine makes no process namespace: {possible.stderr.strip()}")
    shared.environ |= ASCII
    shared.record(UPLOADED)
    shared.plugin("z-handler.yml", HANDLER)
    folder = shared.base / "upload" / "group"
    folder.mkdir(parents=True)
    os.chown(folder, -1, GROUP)
    folder.chmod(0o2770)
    with bound(shared.plugins, shared.base / "upload" / "alias"):
        yield shared.up("--apigw_processes=2", within=CONTAINER)
        shared.end()


def children(pid: int) -> list[int]:
    found: list[int] = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, tasks.read_text().split())
    return found


def put(installation: Installation, path: str) -> int:
    file = installation.file("f", b"content")
    return installation.upload(file, f"/upload/{path}", token=installation.token).status


@pytest.mark.usefixtures("container")
def test_names_are_utf_8_on_disk_and_in_events(shared: Installation) -> None:
    assert put(shared, "%E6%97%A5%E6%9C%AC/%F0%9F%98%80.bin") == 201
    [event] = shared.recordings(UPLOADED, "/upload/日本/😀.bin", 1)

    assert event["filepath"] == f"{shared.base}/upload/日本/😀.bin"
    assert os.path.exists(os.fsencode(shared.base) + "/upload/日本/😀.bin".encode())


@pytest.mark.usefixtures("container")
def test_a_file_in_a_setgid_folder_has_its_group(shared: Installation) -> None:
    assert put(shared, "group/new/f") == 201
    assert (shared.base / "upload/group/new/f").stat().st_gid == GROUP


@pytest.mark.usefixtures("container")
def test_no_plugin_comes_by_a_bind_mount_of_the_plugin_folder(shared: Installation) -> None:
    assert put(shared, "alias/evil.yml") == 403
    assert not (shared.plugins / "evil.yml").exists()


@pytest.mark.usefixtures("container")
def test_the_data_directory_is_private_whatever_the_umask(shared: Installation) -> None:
    paths = [shared.data, *shared.data.rglob("*")]
    assert shared.data / "writer.sock" in paths
    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in paths}
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}


def test_processes_that_scripts_left_behind_are_reaped(
    shared: Installation, container: Running
) -> None:
    for number in range(3):
        assert put(shared, f"orphan{number}") == 201
        shared.recordings(UPLOADED, f"/upload/orphan{number}", 1)
    [process_1] = children(container.pid)

    # Its only child is the server.
    until(lambda: len(children(process_1)) == 1, report=lambda: children(process_1))


def test_sigterm_to_process_1_is_a_clean_stop(shared: Installation, container: Running) -> None:
    [process_1] = children(container.pid)
    os.kill(process_1, signal.SIGTERM)
    assert container.wait() == 0
    assert "Traceback" not in shared.log
