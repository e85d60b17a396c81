"""Shared memory: what one process writes is what another reads."""

import logging
import os
from pathlib import Path

import pytest

from qmonus_lite.metrics import slots
from qmonus_lite.metrics.slots import MAX_SLOTS, Slots


def made(path: Path) -> Slots:
    return Slots(slots.create(path))


def content(path: Path) -> slots.Values:
    with slots.opened(path) as (descriptor, _):
        return slots.read(descriptor)


def test_reads_every_slot_under_its_key(tmp_path: Path) -> None:
    written = made(tmp_path / "p")
    first, second = written.allocate("a", 1), written.allocate("b\x1fé", 3)
    written.values[first] += 2.5
    written.values[second + 2] = 7.0

    assert content(tmp_path / "p") == {"a": [2.5], "b\x1fé": [0.0, 0.0, 7.0]}


def test_the_space_of_a_file_is_allocated_so_that_no_write_ends_the_process(tmp_path: Path) -> None:
    written = made(tmp_path / "p")
    small = os.stat(tmp_path / "p").st_blocks * 512
    written.allocate("a", 20_000)

    # On a file system with holes, what is not used takes no space.
    assert small < slots.FILE_BYTES / 4
    assert os.stat(tmp_path / "p").st_blocks * 512 >= 8 * 20_000
    assert os.stat(tmp_path / "p").st_mode & 0o777 == 0o600


def test_a_file_of_a_running_process_is_not_that_of_an_ended_one(tmp_path: Path) -> None:
    descriptor = slots.create(tmp_path / "p")
    with slots.opened(tmp_path / "p") as (_, has_ended):
        assert not has_ended
    os.close(descriptor)
    with slots.opened(tmp_path / "p") as (_, has_ended):
        assert has_ended


@pytest.mark.parametrize("data", [b"", b"x" * 100, b"qmlmet00" + bytes(100)])
def test_refuses_a_file_of_another_form(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "p").write_bytes(data)

    with pytest.raises(ValueError, match="not a file of metrics"):
        content(tmp_path / "p")


def test_a_file_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        slots.create(tmp_path / "missing" / "p")
    (tmp_path / "p").mkdir()
    with pytest.raises(OSError, match="directory"):
        slots.create(tmp_path / "p")
    assert list(tmp_path.iterdir()) == [tmp_path / "p"]


def test_what_finds_no_slot_is_not_read_and_harms_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written = made(tmp_path / "p")
    first = written.allocate("a", MAX_SLOTS - 100)
    with caplog.at_level(logging.WARNING):
        for key in ("b", "c"):
            written.values[written.allocate(key, 60)] += 1.0

    assert written.values[first] == 0.0
    assert list(content(tmp_path / "p")) == ["a"]
    assert [record.__dict__["action"] for record in caplog.records] == ["metrics_full"]


def test_what_finds_no_space_harms_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = made(tmp_path / "p")
    first = written.allocate("a", 3)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    written.values[written.allocate("b", 20_000)] += 1.0
    written.values[first] += 1.0

    assert content(tmp_path / "p") == {"a": [1.0, 0.0, 0.0]}


def test_writes_a_file_as_a_whole(tmp_path: Path) -> None:
    values = {"a": [1.0], "b": [2.0, 3.5]}
    for _ in range(2):
        slots.write(tmp_path / "p", values)

    assert content(tmp_path / "p") == values
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


def test_a_file_that_finds_no_space_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots.write(tmp_path / "p", {"a": [1.0]})
    allocate, calls = os.posix_fallocate, iter(range(100))

    def nearly_full(descriptor: int, offset: int, size: int) -> None:
        if next(calls) >= 3:
            raise OSError(28, "No space left on device")
        allocate(descriptor, offset, size)

    monkeypatch.setattr(os, "posix_fallocate", nearly_full)
    with pytest.raises(OSError, match="No space"):
        slots.write(tmp_path / "p", {"a": [1.0], "b": [2.0] * 20_000})

    assert content(tmp_path / "p") == {"a": [1.0]}
    assert [path.name for path in tmp_path.iterdir()] == ["p"]
