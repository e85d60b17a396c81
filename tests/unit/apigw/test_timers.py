"""How long a body is waited for."""

import asyncio

import pytest

from qmonus_lite.apigw.timers import GRACE, BodyWatch, Pace


@pytest.mark.parametrize(
    ("came", "waited", "patience"),
    [
        (0, 0.0, 30.0),
        (0, 50.0, 10.0),
        (100 * 1024, 70.0, 30.0),
        (100 * 1024, 90.0, 10.0),
        (0, 61.0, -1.0),
    ],
)
def test_patience_ends_with_the_rate_or_the_silence(
    came: int, waited: float, patience: float
) -> None:
    assert GRACE * 30.0 == 60.0
    assert Pace(stall=30.0, rate=1024).patience(came, waited) == patience


def test_no_rate_leaves_only_the_silence() -> None:
    assert Pace(stall=30.0, rate=0).patience(0, 1e6) == 30.0


async def test_says_that_a_silent_body_is_late() -> None:
    late = asyncio.Event()
    BodyWatch(Pace(stall=0.05, rate=0), late.set).wait(0)

    await asyncio.wait_for(late.wait(), 5)


async def test_does_not_count_the_time_that_we_take_ourselves() -> None:
    late = asyncio.Event()
    watch = BodyWatch(Pace(stall=0.05, rate=0), late.set)
    watch.wait(0)
    watch.stop()

    await asyncio.sleep(0.15)

    assert not late.is_set()
    watch.wait(0)
    watch.stop()
    watch.stop()
    await asyncio.sleep(0.1)
    assert not late.is_set()
