"""The disk: what goes wrong becomes an answer, and too much of it a warning."""

import errno
import os
from pathlib import Path

import pytest

from qmonus_lite.errors import InsufficientStorage, NotFound, Problem
from qmonus_lite.stores.file import filesystem as disk_module
from qmonus_lite.stores.file.disk_errors import WRITING
from qmonus_lite.stores.file.filesystem import UNFIT_FAILURES, Filesystem


def test_an_error_of_the_disk_becomes_an_answer() -> None:
    with pytest.raises(InsufficientStorage) as caught, Filesystem().mapping_errors(WRITING):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert isinstance(caught.value.__cause__, OSError)
    assert os.strerror(errno.ENOSPC) not in caught.value.detail


def test_other_errors_go_on_as_they_are() -> None:
    with pytest.raises(NotFound), Filesystem().mapping_errors(WRITING):
        raise NotFound("x")
    with pytest.raises(ValueError), Filesystem().mapping_errors(WRITING):
        raise ValueError


def fail(disk: Filesystem, code: int = errno.EIO) -> None:
    with pytest.raises(Problem), disk.mapping_errors(WRITING):
        raise OSError(code, "x")


def test_a_disk_that_fails_again_and_again_is_unfit() -> None:
    disk = Filesystem()
    for _ in range(UNFIT_FAILURES - 1):
        fail(disk)
    assert not disk.unfit
    fail(disk)

    assert disk.unfit


def test_failures_long_ago_are_forgiven(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Filesystem()
    for _ in range(UNFIT_FAILURES):
        fail(disk)
    monkeypatch.setattr(disk_module, "UNFIT_WINDOW_SECONDS", -1.0)

    assert not disk.unfit


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EMFILE, errno.EFBIG])
def test_a_full_disk_or_table_is_no_broken_disk(code: int) -> None:
    disk = Filesystem()
    for _ in range(UNFIT_FAILURES):
        fail(disk, code)

    assert not disk.unfit


def test_a_file_that_cannot_be_tidied_away_is_logged_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "folder").mkdir()
    Filesystem().tidy(tmp_path / "folder")
    Filesystem().tidy(tmp_path / "gone")

    [record] = caplog.records
    assert vars(record)["action"] == "file_left"


def test_copies_a_file_whole_also_where_the_kernel_offers_no_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(3 << 20)
    (tmp_path / "a").write_bytes(content)
    for name in ("by copy_file_range", "by sendfile"):
        disk = Filesystem()
        descriptor = disk.create(tmp_path / name, 0o600)
        disk.copy(tmp_path / "a", descriptor)
        disk.close(descriptor)
        assert (tmp_path / name).read_bytes() == content

        def refuse(*_arguments: object) -> int:
            raise OSError(errno.EXDEV, "other file system")

        monkeypatch.setattr(os, "copy_file_range", refuse)


def test_makes_files_for_nobody_else_and_over_nothing(tmp_path: Path) -> None:
    disk = Filesystem()
    disk.close(disk.create(tmp_path / "a", 0o600))

    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        disk.create(tmp_path / "a", 0o600)
    (tmp_path / "link").symlink_to("elsewhere")
    with pytest.raises(FileExistsError):
        disk.create(tmp_path / "link", 0o600)
