"""How long a body is waited for."""

import asyncio

import pytest

from qmonus_lite.http.body_timeout import RATE_GRACE_FACTOR, BodyRate, BodyTimeout


@pytest.mark.parametrize(
    ("came", "waited", "timeout_seconds"),
    [
        (0, 0.0, 30.0),
        (0, 50.0, 10.0),
        (100 * 1024, 70.0, 30.0),
        (100 * 1024, 90.0, 10.0),
        (0, 61.0, -1.0),
    ],
)
def test_patience_ends_with_the_rate_or_the_silence(
    came: int, waited: float, timeout_seconds: float
) -> None:
    assert RATE_GRACE_FACTOR * 30.0 == 60.0
    assert BodyRate(stall=30.0, rate=1024).timeout_seconds(came, waited) == timeout_seconds


def test_no_rate_leaves_only_the_silence() -> None:
    assert BodyRate(stall=30.0, rate=0).timeout_seconds(0, 1e6) == 30.0


async def test_says_that_a_silent_body_is_late() -> None:
    late = asyncio.Event()
    BodyTimeout(BodyRate(stall=0.05, rate=0), late.set).wait(0)

    await asyncio.wait_for(late.wait(), 5)


async def test_does_not_count_the_time_that_we_take_ourselves() -> None:
    late = asyncio.Event()
    watch = BodyTimeout(BodyRate(stall=0.05, rate=0), late.set)
    watch.wait(0)
    watch.stop()

    await asyncio.sleep(0.15)

    assert not late.is_set()
    watch.wait(0)
    watch.stop()
    watch.stop()
    await asyncio.sleep(0.1)
    assert not late.is_set()
