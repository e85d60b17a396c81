"""The clock."""

import time

from qmonus_lite.clock import Clock


def test_tells_the_moment_in_its_time_zone() -> None:
    moment = Clock("Asia/Tokyo").moment()

    assert moment.isoformat().endswith("+09:00")
    assert abs(moment.timestamp() - time.time()) < 1


def test_turns_seconds_into_a_moment() -> None:
    assert Clock("UTC").at(0).isoformat() == "1970-01-01T00:00:00+00:00"


def test_counts_seconds_since_the_epoch() -> None:
    assert abs(Clock("UTC").now() - time.time()) < 1
