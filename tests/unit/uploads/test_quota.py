"""Admission: is there room?"""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.errors import InsufficientStorage, TooLarge, Unavailable
from qmonus_lite.uploads import quota as admission_module
from qmonus_lite.uploads.disk_errors import Seldom
from qmonus_lite.uploads.filesystem import Filesystem
from qmonus_lite.uploads.quota import Quota

HERE = Path("/")


class SmallDisk(Filesystem):
    """A disk with so many bytes free, by directory: each is a file system of its own."""

    def __init__(self, **free: int) -> None:
        super().__init__()
        self.room = free

    def free(self, directory: Path) -> int:
        return self.room[directory.name or "root"]


def admission(free: int, *, most: int = 0, keep_free: int = 0) -> Quota:
    return Quota(SmallDisk(root=free, other=free), most=most, keep_free=keep_free)


def held(room: Quota) -> int:
    return room.promised.total(1) + room.promised.total(0)


def test_promises_what_there_is() -> None:
    room = admission(100, keep_free=40)
    room.reserve(HERE, 1, 60)

    with pytest.raises(InsufficientStorage):
        room.reserve(HERE, 1, 1)
    assert held(room) == 60


def test_keeps_the_room_that_is_to_stay_free() -> None:
    with pytest.raises(InsufficientStorage):
        admission(100, keep_free=41).reserve(HERE, 1, 60)
    with pytest.raises(InsufficientStorage):
        admission(100, keep_free=101).reserve(HERE, 1, None)


def test_gives_back_what_was_received_and_what_was_not() -> None:
    room = admission(100)
    reservation = room.reserve(HERE, 1, 60)
    reservation.take(20)
    assert held(room) == 40

    reservation.release()
    reservation.release()
    assert held(room) == 0
    assert reservation.received == 20


def test_an_unknown_length_is_checked_as_it_comes() -> None:
    disk = SmallDisk(root=100)
    reservation = Quota(disk, most=0, keep_free=50).reserve(HERE, 1, None)
    reservation.take(50)
    disk.room["root"] = 50

    with pytest.raises(InsufficientStorage):
        reservation.take(1)


def test_an_unknown_length_takes_no_room_that_was_promised() -> None:
    room = admission(100)
    room.reserve(HERE, 1, 80)

    with pytest.raises(InsufficientStorage):
        room.reserve(HERE, 1, None).take(21)


def test_file_systems_have_their_own_room() -> None:
    room = admission(100)
    room.reserve(HERE, 1, 100)
    room.reserve(Path("/other"), 2, 100)

    with pytest.raises(InsufficientStorage):
        room.reserve(Path("/other"), 2, 1)


@pytest.mark.parametrize("declared", [11, None])
def test_refuses_an_upload_above_the_limit(declared: int | None) -> None:
    room = admission(100, most=10)
    with pytest.raises(TooLarge, match="at most 10 bytes"):
        room.reserve(HERE, 1, declared).take(11)
    room.reserve(HERE, 1, 10).take(10)


def test_no_limit_means_none() -> None:
    admission(10**15).reserve(HERE, 1, 10**14)


def test_a_client_that_sends_more_than_it_said_takes_no_more_room() -> None:
    room = admission(100)
    reservation = room.reserve(HERE, 1, 10)
    reservation.take(25)

    assert held(room) == 0


Chunks = st.lists(st.integers(0, 50), max_size=8)


@given(st.lists(st.tuples(st.none() | st.integers(0, 100), Chunks), max_size=6))
def test_nothing_is_held_when_all_have_ended(uploads: list[tuple[int | None, list[int]]]) -> None:
    room = admission(10_000)
    reservations = [room.reserve(HERE, 1, declared) for declared, _ in uploads]
    for reservation, (_, chunks) in zip(reservations, uploads, strict=True):
        for chunk in chunks:
            reservation.take(chunk)
            assert held(room) >= 0
    for reservation in reservations:
        reservation.release()

    assert held(room) == 0


def test_asks_the_real_disk(tmp_path: Path) -> None:
    room = Quota(Filesystem(), most=0, keep_free=0)
    room.reserve(tmp_path, 1, 1)

    with pytest.raises(InsufficientStorage):
        room.reserve(tmp_path, 1, 1 << 62)


def test_a_refusal_for_lack_of_room_is_logged_with_the_numbers_once_in_a_while(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission_module, "_rate_limited_log", Seldom())
    room = admission(100, keep_free=40)
    room.reserve(HERE, 1, 50)
    for _ in range(3):
        with pytest.raises(InsufficientStorage):
            room.reserve(HERE, 1, 20)

    [record] = caplog.records
    said = vars(record)
    assert said["action"] == "disk_low"
    assert (said["free"], said["promised"], said["min_free_bytes"], said["wanted"]) == (
        100,
        50,
        40,
        20,
    )


def test_a_place_whose_room_cannot_be_looked_at_is_an_answer() -> None:
    room = Quota(Filesystem(), most=0, keep_free=0)
    with pytest.raises(Unavailable):
        room.reserve(Path("/nowhere/at/all"), 1, 1)
