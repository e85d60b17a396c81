"""Mount identity, by every way that a system may offer."""

import ctypes
import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qmonus_lite.stores.file import mounts
from qmonus_lite.stores.file.mounts import Mount, Mounts


@pytest.fixture
def here(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def test_tells_file_systems_apart_and_directories_of_one_mount_not(
    here: int, tmp_path: Path
) -> None:
    (tmp_path / "below").mkdir()
    below = os.open(tmp_path / "below", os.O_RDONLY | os.O_DIRECTORY)
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert mounts.mount_of(below) == mounts.mount_of(here)
        assert mounts.mount_of(proc) != mounts.mount_of(here)
        assert mounts.mount_of(here).mount
    finally:
        os.close(below)
        os.close(proc)


def failing(code: int) -> Callable[..., int]:
    def statx(*_arguments: object) -> int:
        ctypes.set_errno(code)
        return -1

    return statx


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM, errno.EINVAL])
def test_asks_proc_where_statx_is_missing_or_forbidden(here: int, code: int) -> None:
    for lookup in (Mounts(None), Mounts(failing(code))):
        first, again = lookup.of(here), lookup.of(here)

        assert first == again == Mount(os.fstat(here).st_dev, first.mount)
        assert f"mnt_id:\t{first.mount}\n" in Path(f"/proc/self/fdinfo/{here}").read_text()


def test_asks_proc_where_the_kernel_knows_no_mount_ids(here: int) -> None:
    # A kernel before 5.8 leaves the bit of the mask away.
    assert Mounts(lambda *_arguments: 0).of(here) == Mounts(None).of(here)


def test_an_error_of_the_disk_is_one_here_too(here: int) -> None:
    with pytest.raises(OSError, match="Stale"):
        Mounts(failing(errno.ESTALE)).of(here)


def test_without_proc_the_device_has_to_do(here: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_more: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", refuse)

    assert Mounts(None).of(here) == Mount(os.fstat(here).st_dev, 0)


def test_a_project_counts_where_new_entries_inherit_it(
    here: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As XFS and ext4 refuse a rename into a tree of another project with EXDEV."""
    answers = [mounts._FSXATTR.pack(0x200, 0, 0, 7), mounts._FSXATTR.pack(0, 0, 0, 7)]
    monkeypatch.setattr(fcntl, "ioctl", lambda *_arguments: answers.pop(0))
    lookup = Mounts(None)

    assert [lookup.of(here).project, lookup.of(here).project] == [7, 0]


def test_a_file_system_without_projects_is_asked_once(
    here: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def refuse(*_arguments: object) -> bytes:
        asked.append(1)
        raise OSError(errno.ENOTTY, "no such ioctl")

    monkeypatch.setattr(fcntl, "ioctl", refuse)
    lookup = Mounts(None)

    assert [lookup.of(here).project, lookup.of(here).project] == [0, 0]
    assert len(asked) == 1
