"""Reserved space: an upload is refused if its bytes do not fit."""

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.errors import InsufficientStorage, Unavailable
from qmonus_lite.rate_limited_log import RateLimitedLog
from qmonus_lite.stores.file import reservation as reservation_module
from qmonus_lite.stores.file.filesystem import Filesystem
from qmonus_lite.stores.file.reservation import SpaceReservations

HERE = Path("/")


class SmallDisk(Filesystem):
    """A disk with so many bytes free, by directory: each is a file system of its own."""

    def __init__(self, **free: int) -> None:
        super().__init__()
        self.room = free

    def free(self, directory: Path) -> int:
        return self.room[directory.name or "root"]


def reservations(free: int, *, keep_free: int = 0) -> SpaceReservations:
    return SpaceReservations(SmallDisk(root=free, other=free), min_free_bytes=keep_free)


def held(room: SpaceReservations) -> int:
    return room.reserved.total(1) + room.reserved.total(0)


def test_promises_what_there_is() -> None:
    room = reservations(100, keep_free=40)
    room.reserve(HERE, 1, 60)

    with pytest.raises(InsufficientStorage):
        room.reserve(HERE, 1, 1)
    assert held(room) == 60


def test_keeps_the_room_that_is_to_stay_free() -> None:
    with pytest.raises(InsufficientStorage):
        reservations(100, keep_free=41).reserve(HERE, 1, 60)
    with pytest.raises(InsufficientStorage):
        reservations(100, keep_free=101).reserve(HERE, 1, None)


def test_gives_back_what_was_received_and_what_was_not() -> None:
    room = reservations(100)
    reservation = room.reserve(HERE, 1, 60)
    reservation.take(20)
    assert held(room) == 40

    reservation.release()
    reservation.release()
    assert held(room) == 0


def test_an_unknown_length_is_checked_as_it_comes() -> None:
    disk = SmallDisk(root=100)
    reservation = SpaceReservations(disk, min_free_bytes=50).reserve(HERE, 1, None)
    reservation.take(50)
    disk.room["root"] = 50

    with pytest.raises(InsufficientStorage):
        reservation.take(1)


def test_an_unknown_length_takes_no_room_that_was_promised() -> None:
    room = reservations(100)
    room.reserve(HERE, 1, 80)

    with pytest.raises(InsufficientStorage):
        room.reserve(HERE, 1, None).take(21)


def test_file_systems_have_their_own_room() -> None:
    room = reservations(100)
    room.reserve(HERE, 1, 100)
    room.reserve(Path("/other"), 2, 100)

    with pytest.raises(InsufficientStorage):
        room.reserve(Path("/other"), 2, 1)


def test_bytes_that_are_forgotten_are_reserved_again() -> None:
    room = reservations(100)
    declared, unknown = room.reserve(HERE, 1, 60), room.reserve(HERE, 1, None)
    for reservation in (declared, unknown):
        reservation.take(20)
        reservation.give_back(15)

    assert held(room) == 55
    declared.take(70)
    declared.give_back(70)
    assert held(room) == 60


def test_a_client_that_sends_more_than_it_said_takes_no_more_room() -> None:
    room = reservations(100)
    reservation = room.reserve(HERE, 1, 10)
    reservation.take(25)

    assert held(room) == 0


Chunks = st.lists(st.integers(0, 50), max_size=8)


@given(st.lists(st.tuples(st.none() | st.integers(0, 100), Chunks), max_size=6))
def test_nothing_is_held_when_all_have_ended(uploads: list[tuple[int | None, list[int]]]) -> None:
    room = reservations(10_000)
    reserved = [room.reserve(HERE, 1, declared) for declared, _ in uploads]
    for reservation, (_, chunks) in zip(reserved, uploads, strict=True):
        for chunk in chunks:
            reservation.take(chunk)
            assert held(room) >= 0
    for reservation in reserved:
        reservation.release()

    assert held(room) == 0


def test_asks_the_real_disk(tmp_path: Path) -> None:
    room = SpaceReservations(Filesystem(), min_free_bytes=0)
    room.reserve(tmp_path, 1, 1)

    with pytest.raises(InsufficientStorage):
        room.reserve(tmp_path, 1, 1 << 62)


def test_a_refusal_for_lack_of_room_is_logged_with_the_numbers_once_in_a_while(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        reservation_module, "_log", RateLimitedLog(logging.getLogger("reservation"))
    )
    room = reservations(100, keep_free=40)
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
    room = SpaceReservations(Filesystem(), min_free_bytes=0)
    with pytest.raises(Unavailable):
        room.reserve(Path("/nowhere/at/all"), 1, 1)
