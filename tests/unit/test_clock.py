"""The clock."""

import sys
import time
import zoneinfo
from collections.abc import Iterator

import pytest

from qmonus_lite.clock import Clock, zone
from qmonus_lite.errors import BadSetting
from qmonus_lite.settings.sources import resolve


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
