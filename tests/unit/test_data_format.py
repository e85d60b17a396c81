"""The format file of a data directory: made once, migrated, and telling a copy from a move."""

import json
import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qmonus_lite.data_format import FILE, FORMAT, note_address, open_format, read_format
from qmonus_lite.datadir import DataDir
from qmonus_lite.errors import BadResource
from qmonus_lite.values import changed


@pytest.fixture(autouse=True)
def all_records(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def actions(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [vars(record)["action"] for record in caplog.records]


def test_a_new_directory_gets_the_format_of_this_version_and_an_id(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = open_format(tmp_path)

    assert (made.format, made.directory, len(made.gateway)) == (FORMAT, str(tmp_path), 16)
    assert open_format(tmp_path) == read_format(tmp_path) == made
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert actions(caplog) == []


def test_processes_that_start_together_agree_on_the_id(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(open_format, [tmp_path] * 8))

    assert len(set(made)) == 1


def test_a_directory_of_version_0_1_is_migrated_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "outbox.sqlite3").touch()
    for _ in range(2):
        open_format(tmp_path)

    assert actions(caplog) == ["data_dir_migrated"]


def test_a_newer_format_is_refused_by_whatever_opens_the_directory(tmp_path: Path) -> None:
    value = {"format": FORMAT + 1, "gateway": "a", "directory": "b", "more": []}
    (tmp_path / FILE).write_text(json.dumps(value))

    for opening in (DataDir, open_format):
        with pytest.raises(BadResource, match=f"has format {FORMAT + 1}, made by a newer version"):
            opening(tmp_path)
    assert json.loads((tmp_path / FILE).read_text()) == value


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "two"}', '{"format": 2}'])
def test_a_broken_file_is_one_error(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)

    with pytest.raises(BadResource, match=r"format\.json: not a usable format file"):
        DataDir(tmp_path)


def test_a_file_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / f".{FILE}.draft").mkdir()

    with pytest.raises(BadResource, match="its format file cannot be written"):
        DataDir(tmp_path).open()


def test_tells_where_its_gateway_was_started_last(tmp_path: Path) -> None:
    made = open_format(tmp_path)
    assert (made.address, made.port) == ("", 0)
    note_address(tmp_path, "10.0.0.7", 80)

    assert open_format(tmp_path) == changed(made, address="10.0.0.7", port=80)


def test_a_moved_directory_keeps_its_id(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a").mkdir()
    before = open_format(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    moved = [open_format(tmp_path / "b") for _ in range(2)]

    assert [content.gateway for content in moved] == [before.gateway] * 2
    assert actions(caplog) == ["data_dir_moved"]


def test_a_copy_gets_an_id_of_its_own_and_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a").mkdir()
    before = open_format(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    copied = [open_format(tmp_path / "b").gateway for _ in range(2)]

    assert copied[0] == copied[1] != before.gateway
    assert open_format(tmp_path / "a") == before
    assert actions(caplog) == ["data_dir_copied"]
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert f"is a copy of {tmp_path / 'a'}" in record.getMessage()


def test_another_path_to_one_directory_is_no_copy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    before = open_format(tmp_path / "a")

    assert open_format(tmp_path / "link") == before
    assert actions(caplog) == []


def test_a_former_place_that_another_gateway_has_now_is_no_original(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a").mkdir()
    before = open_format(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "a").mkdir()
    open_format(tmp_path / "a")

    assert open_format(tmp_path / "b").gateway == before.gateway
    assert actions(caplog) == ["data_dir_moved"]
