"""Folders that are mounts of their own on one file system, and folders that cannot be stored in.

Two volumes of a container are bind mounts of one file system: one device number, and no rename or
link from one to the other.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.acceptance.harness import UPLOADED, Installation
from tests.acceptance.process import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")

NO_RESERVE = "--min_free_bytes=0"
#: Folders of uploads that are mounts of their own; `alias` is a part of `volume`.
FOLDERS = ("", "volume/", "alias/", "memory/", "memory2/", "plain/new/")


@contextmanager
def mounted(place: Path, *words: str | Path) -> Iterator[Path]:
    place.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *words, place], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this machine does not mount that: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@contextmanager
def bound(source: Path, place: Path) -> Iterator[Path]:
    source.mkdir(parents=True, exist_ok=True)
    with mounted(place, "--bind", source):
        yield place


@contextmanager
def volumes(installation: Installation) -> Iterator[Path]:
    """The data directory, the folder of uploads, and folders in it, as mounts."""
    upload, beside = installation.base / "upload", installation.folder / "beside"
    installation.data = installation.folder / "data"
    with ExitStack() as stack:
        for source, place in (
            (beside / "state", installation.data),
            (beside / "upload", upload),
            (beside / "volume", upload / "volume"),
            (beside / "volume/part", upload / "alias"),
        ):
            stack.enter_context(bound(source, place))
        memory = mounted(upload / "memory", "-t", "tmpfs", "-o", "size=64m", "tmpfs")
        stack.enter_context(memory)
        stack.enter_context(bound(upload / "memory/part", upload / "memory2"))
        yield upload


@pytest.fixture(scope="module")
def upload(shared: Installation) -> Iterator[Path]:
    with volumes(shared) as place:
        shared.up(NO_RESERVE, f"--data_dir={shared.data}")
        yield place
        shared.end()


def staged(installation: Installation) -> list[Path]:
    """Staged files that are left, wherever they are."""
    folders = installation.base.rglob(".qmonus-lite-staging")
    known = [installation.data / "staging", *folders]
    return [path for folder in known for path in folder.rglob("*") if path.is_file()]


def put(installation: Installation, path: str, content: bytes, *arguments: str) -> int:
    file = installation.file("f", content)
    return installation.upload(file, f"/upload/{path}", *arguments, token=installation.token).status


def test_every_kind_of_upload_is_stored_on_every_mount(shared: Installation, upload: Path) -> None:
    long = os.urandom(3 << 20)
    for folder in FOLDERS:
        assert put(shared, f"{folder}small", b"content") == 201
        assert put(shared, f"{folder}small", b"again") == 200
        assert put(shared, f"{folder}long", long) == 201
        chunked = shared.curl(f"/upload/{folder}chunked", "-T", "-", token=shared.token, stdin=long)
        assert chunked.status == 201
        only = ("-H", "If-None-Match: *")
        assert [put(shared, f"{folder}only", b"one", *only) for _ in range(2)] == [201, 412]

        assert (upload / folder / "small").read_bytes() == b"again"
        assert (upload / folder / "long").read_bytes() == long
        assert (upload / folder / "chunked").read_bytes() == long
    assert staged(shared) == []
    assert shared.ready and "disk_failed" not in shared.log


def test_a_mount_that_comes_and_goes_while_uploads_run_is_followed(
    shared: Installation, upload: Path
) -> None:
    for number in range(2):
        assert put(shared, f"late/before{number}", b"content") in {200, 201}
        with bound(shared.folder / "beside/late", upload / "late"):
            # What was seen of the folder a moment ago is still believed.
            assert put(shared, f"late/while{number}", b"content") == 201
            assert (shared.folder / "beside/late" / f"while{number}").read_bytes() == b"content"
        # Until it is noticed that the staging directory went with the mount: 503, try again.
        until(lambda: put(shared, "late/after", b"content") in {200, 201})
        assert (upload / "late/after").is_file()
    assert shared.ready and "disk_failed" not in shared.log
    assert staged(shared) == []


def test_a_folder_that_cannot_be_stored_in_is_403_and_no_failing_disk(
    shared: Installation, upload: Path
) -> None:
    (upload / "guarded").mkdir()
    if subprocess.run(["chattr", "+i", upload / "guarded"], check=False).returncode:
        pytest.skip("this file system knows no immutable folders")
    try:
        with bound(shared.folder / "beside/fixed", upload / "fixed"):
            subprocess.run(["mount", "-o", "remount,bind,ro", upload / "fixed"], check=True)
            for folder in ("guarded", "fixed", "guarded/new"):
                refused = [put(shared, f"{folder}/{number}", b"content") for number in range(3)]
                assert refused == [403, 403, 403]
    finally:
        subprocess.run(["chattr", "-i", upload / "guarded"], check=True)
    assert put(shared, "fine", b"content") == 201
    assert shared.ready
    assert "disk_refused" in shared.log and "path=/upload/guarded/0" in shared.log
    assert "disk_failed" not in shared.log


def test_the_writer_process_stores_on_every_mount(
    installation: Installation,
) -> None:
    installation.record(UPLOADED)
    with volumes(installation):
        up = installation.up(NO_RESERVE, f"--data_dir={installation.data}", "--apigw_processes=2")
        until(lambda: up.stderr.count("worker_up") >= 3)
        paths = [f"{folder}{name}" for folder in FOLDERS for name in ("small", "long")]
        for path in paths:
            content = b"content" if path.endswith("small") else bytes(1 << 20)
            assert put(installation, path, content, "-H", "If-None-Match: *") == 201
        for path in paths:
            installation.recorded(UPLOADED, f"/upload/{path}")
        assert staged(installation) == []
        assert installation.ready and "disk_failed" not in installation.log
        installation.end()
