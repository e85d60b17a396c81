"""Identifiers: UUIDs of version 7."""

import time
import uuid

from qmonus_lite.ids import new_id


def test_is_a_uuid_of_version_7() -> None:
    made = uuid.UUID(new_id())

    assert (made.version, made.variant) == (7, uuid.RFC_4122)


def test_begins_with_the_milliseconds() -> None:
    before = time.time_ns() // 1_000_000
    millis = uuid.UUID(new_id()).int >> 80

    assert before <= millis <= time.time_ns() // 1_000_000


def test_sorts_by_time() -> None:
    early = new_id()
    time.sleep(0.002)

    assert early < new_id()


def test_never_comes_twice() -> None:
    assert len({new_id() for _ in range(10_000)}) == 10_000
