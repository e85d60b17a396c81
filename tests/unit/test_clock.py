"""The clock."""

import asyncio
import sys
import time
import zoneinfo
from collections.abc import Iterator

import pytest

from qmonus_lite import clock as clock_module
from qmonus_lite.clock import Clock, SteadyClock, zone
from qmonus_lite.errors import BadSetting
from qmonus_lite.settings.sources import resolve
from tests.unit.auth.test_tokens import LateClock


@pytest.fixture
def no_system_zones() -> Iterator[None]:
    """A machine without /usr/share/zoneinfo."""
    zoneinfo.reset_tzpath(to=())
    zoneinfo.ZoneInfo.clear_cache()
    yield
    zoneinfo.reset_tzpath()
    zoneinfo.ZoneInfo.clear_cache()


@pytest.fixture
def no_zones(no_system_zones: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package tzdata as well."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "tzdata"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tzdata", None)


def test_tells_the_moment_in_its_time_zone() -> None:
    moment = Clock("Asia/Tokyo").moment()

    assert moment.isoformat().endswith("+09:00")
    assert abs(moment.timestamp() - time.time()) < 1


def test_turns_seconds_into_a_moment() -> None:
    assert Clock("UTC").at(0).isoformat() == "1970-01-01T00:00:00+00:00"


def test_counts_seconds_since_the_epoch() -> None:
    assert abs(Clock("UTC").now() - time.time()) < 1


@pytest.mark.usefixtures("no_system_zones")
def test_needs_no_time_zone_database_of_the_system() -> None:
    assert Clock("Asia/Tokyo").at(0).isoformat() == "1970-01-01T09:00:00+09:00"


@pytest.mark.usefixtures("no_zones")
def test_knows_utc_without_any_time_zone_database() -> None:
    assert Clock("UTC").at(0).isoformat() == "1970-01-01T00:00:00+00:00"
    found = resolve(flags={"timezone": "UTC"}, environ={}, file_values={})
    assert found.logs.timezone == "UTC"


@pytest.mark.usefixtures("no_zones")
def test_says_in_one_line_that_there_is_no_time_zone_database() -> None:
    with pytest.raises(BadSetting) as refused:
        resolve(flags={}, environ={}, file_values={})

    assert str(refused.value) == (
        "--timezone=Asia/Tokyo: this machine has no time zone database: `pip install tzdata`, or"
        " choose UTC"
    )


@pytest.mark.parametrize("name", ["Asia/Nowhere", "Asia", "", "../UTC", "/etc/localtime", "a\0"])
def test_refuses_a_zone_that_does_not_exist(name: str) -> None:
    with pytest.raises(ValueError, match="expected a time zone such as Asia/Tokyo or UTC"):
        zone(name)


class Machine:
    """A machine whose wall clock can be set."""

    def __init__(self) -> None:
        self.wall = LateClock(0)
        self.up = 100.0
        self.steady = SteadyClock(self.wall, lambda: self.up)


@pytest.mark.parametrize("seconds", [3600, -3600, 1.5, -1.5])
def test_steady_time_does_not_follow_a_step_of_the_wall_clock_until_it_is_moved(
    seconds: float,
) -> None:
    machine = Machine()
    before = machine.steady.now()
    assert machine.steady.find_step() is None
    machine.wall.seconds = seconds
    machine.up += 0.25

    assert machine.steady.now() == before + 0.25
    step = machine.steady.find_step()
    assert step is not None
    # The wall clock of the double goes on by itself, for a moment.
    assert step.seconds == pytest.approx(seconds - 0.25, abs=0.2)
    assert step.now - step.earliest == 0.25
    machine.steady.move(step.seconds)
    assert machine.steady.now() == pytest.approx(step.now)
    assert machine.steady.find_step() is None


def test_a_drift_is_no_step_until_it_comes_to_a_second() -> None:
    machine = Machine()
    machine.wall.seconds = 0.6
    assert machine.steady.find_step() is None
    machine.wall.seconds = 1.2

    assert machine.steady.find_step() is not None


async def test_a_sleep_ends_after_a_step_or_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_module, "CHECK_SECONDS", 0.01)
    wall = LateClock(0)
    steady = SteadyClock(wall)
    await steady.sleep(0.03)
    sleeping = asyncio.create_task(steady.sleep(1000))
    await asyncio.sleep(0.03)
    assert not sleeping.done()
    wall.seconds = -3600

    await asyncio.wait_for(sleeping, 5)
    assert steady.find_step() is None
