"""Room as a whole: why no upload could be stored at all."""

import logging
import os
import shutil
from pathlib import Path

import pytest

from qmonus_lite.stores.file import free_space
from qmonus_lite.stores.file.free_space import FreeSpace, folders_of


@pytest.mark.parametrize(
    ("template", "folders"),
    [
        ("/upload/{filepath}", ("upload",)),
        ("/a/b/{tenant}/c/{filename}", ("a", "b")),
        ("/{filepath}", ()),
        ("/a/b{filename}", ("a",)),
    ],
)
def test_every_path_of_a_template_begins_with_its_folders(
    template: str, folders: tuple[str, ...]
) -> None:
    assert folders_of(template) == folders


def test_there_is_room_above_the_reserve_and_none_below(tmp_path: Path) -> None:
    assert FreeSpace(root=tmp_path, folders=(), keep_free=0).unhealthy_reason is None
    unhealthy_reason = FreeSpace(root=tmp_path, folders=(), keep_free=1 << 62).unhealthy_reason

    assert unhealthy_reason is not None and f"--min_free_bytes={1 << 62}" in unhealthy_reason


def looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *folders: str) -> list[Path]:
    """The places that a room looks at, asked three times."""
    places: list[Path] = []
    real = os.statvfs

    def statvfs(place: Path) -> os.statvfs_result:
        places.append(place)
        return real(place)

    monkeypatch.setattr(os, "statvfs", statvfs)
    checked = FreeSpace(root=tmp_path, folders=folders, keep_free=0)
    for _ in range(3):
        assert checked.unhealthy_reason is None
    return places


def test_looks_where_uploads_go_and_once_a_second_at_the_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()

    assert looked_at(tmp_path, monkeypatch, "a", "b") == [tmp_path / "a"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({8: os.ST_RDONLY}, "read-only"),
        ({4: 0}, "0 bytes free"),
        ({5: 1000, 7: 0}, "no inode left"),
    ],
)
def test_says_what_is_in_the_way(
    changed: dict[int, int], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # f_bsize, f_frsize, f_blocks, f_bfree, f_bavail, f_files, f_ffree, f_favail, f_flag, f_namemax
    usual = [4096, 4096, 1000, 900, 900, 0, 0, 0, 0, 255]

    for number, value in changed.items():
        usual[number] = value
    monkeypatch.setattr(os, "statvfs", lambda _place: os.statvfs_result(usual))

    assert said in (FreeSpace(root=tmp_path, folders=(), keep_free=0).unhealthy_reason or "")


def test_a_launch_directory_that_is_gone_is_in_the_way_too(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    checked = FreeSpace(root=tmp_path / "root", folders=("a",), keep_free=0)
    shutil.rmtree(tmp_path / "root")

    assert "cannot be looked at" in (checked.unhealthy_reason or "")


def test_a_change_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(free_space, "CACHE_SECONDS", 0.0)
    checked = FreeSpace(root=tmp_path, folders=(), keep_free=1 << 62)
    for _ in range(3):
        assert checked.unhealthy_reason
    checked.keep_free = 0
    for _ in range(3):
        assert checked.unhealthy_reason is None

    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
