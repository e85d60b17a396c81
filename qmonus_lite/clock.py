"""Wall-clock time in the configured time zone."""

import time
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones


def zone(name: str) -> tzinfo:
    """A time zone by its name in the IANA database; raises ValueError with the reason."""
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
    """Wall clock; tests pass a substitute."""

    def __init__(self, timezone: str) -> None:
        self._zone = zone(timezone)

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def moment(self) -> datetime:
        """The current time as an aware datetime in the configured time zone."""
        return datetime.now(self._zone)

    def at(self, seconds: float) -> datetime:
        """A Unix timestamp as an aware datetime in the configured time zone."""
        return datetime.fromtimestamp(seconds, self._zone)
