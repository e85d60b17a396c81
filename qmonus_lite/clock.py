"""Wall-clock time in the configured time zone."""

import time
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones


def zone(name: str) -> tzinfo:
    """A time zone by its name in the time zone database; raises ValueError that says why not."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        if name == "UTC":
            return UTC
        if not available_timezones():
            raise ValueError(
                "this machine has no time zone database: `pip install tzdata`, or choose UTC"
            ) from None
        raise ValueError("expected a time zone such as Asia/Tokyo or UTC") from None


class Clock:
    """Tells the time; tests hand in one of their own."""

    def __init__(self, timezone: str) -> None:
        self._zone = zone(timezone)

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def moment(self) -> datetime:
        """This moment, aware of the configured time zone."""
        return datetime.now(self._zone)

    def at(self, seconds: float) -> datetime:
        """The moment that many seconds after the epoch, in the configured time zone."""
        return datetime.fromtimestamp(seconds, self._zone)
