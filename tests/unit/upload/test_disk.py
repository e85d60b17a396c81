"""The disk: what goes wrong becomes an answer, and too much of it a warning."""

import errno
import os
from pathlib import Path

import pytest

from qmonus_lite.errors import (
    Conflict,
    InsufficientStorage,
    InternalFault,
    NotFound,
    Problem,
    TooLarge,
)
from qmonus_lite.upload import disk as disk_module
from qmonus_lite.upload.disk import UNFIT_AFTER, Disk


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (errno.ENOSPC, InsufficientStorage),
        (errno.EDQUOT, InsufficientStorage),
        (errno.EFBIG, TooLarge),
        (errno.EISDIR, Conflict),
        (errno.ENOTDIR, Conflict),
        (errno.ENOENT, Conflict),
        (errno.EIO, InternalFault),
        (errno.EROFS, InternalFault),
        (errno.EMFILE, InternalFault),
    ],
)
def test_an_error_of_the_disk_becomes_an_answer(code: int, problem: type[Problem]) -> None:
    with pytest.raises(problem) as caught, Disk().answering("trying"):
        raise OSError(code, os.strerror(code))

    assert isinstance(caught.value.__cause__, OSError)
    assert os.strerror(code) not in caught.value.detail or problem is Conflict


def test_other_errors_go_on_as_they_are() -> None:
    with pytest.raises(NotFound), Disk().answering("trying"):
        raise NotFound("x")
    with pytest.raises(ValueError), Disk().answering("trying"):
        raise ValueError


def test_an_unknown_error_is_logged_with_what_was_tried(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InternalFault), Disk().answering("writing"):
        raise OSError(errno.EIO, "Input/output error")

    [record] = caplog.records
    assert (vars(record)["action"], vars(record)["doing"]) == ("disk_failed", "writing")


def fail(disk: Disk, code: int = errno.EIO) -> None:
    with pytest.raises(Problem), disk.answering("trying"):
        raise OSError(code, "x")


def test_a_disk_that_fails_again_and_again_is_unfit() -> None:
    disk = Disk()
    for _ in range(UNFIT_AFTER - 1):
        fail(disk)
    assert not disk.unfit
    fail(disk)

    assert disk.unfit


def test_failures_long_ago_are_forgiven(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk()
    for _ in range(UNFIT_AFTER):
        fail(disk)
    monkeypatch.setattr(disk_module, "WITHIN", -1.0)

    assert not disk.unfit


def test_a_full_disk_is_no_broken_one() -> None:
    disk = Disk()
    for _ in range(UNFIT_AFTER):
        fail(disk, errno.ENOSPC)

    assert not disk.unfit


def test_makes_files_for_nobody_else_and_over_nothing(tmp_path: Path) -> None:
    disk = Disk()
    disk.close(disk.create(tmp_path / "a", 0o600))

    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        disk.create(tmp_path / "a", 0o600)
    (tmp_path / "link").symlink_to("elsewhere")
    with pytest.raises(FileExistsError):
        disk.create(tmp_path / "link", 0o600)


def test_tells_file_systems_apart() -> None:
    assert Disk().device(Path("/proc")) != Disk().device(Path("/"))
