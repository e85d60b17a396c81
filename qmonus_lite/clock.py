"""Wall-clock time in the configured time zone."""

import time
from datetime import datetime
from zoneinfo import ZoneInfo


class Clock:
    """Tells the time; tests hand in one of their own."""

    def __init__(self, timezone: str) -> None:
        self._zone = ZoneInfo(timezone)

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def moment(self) -> datetime:
        """This moment, aware of the configured time zone."""
        return datetime.now(self._zone)

    def at(self, seconds: float) -> datetime:
        """The moment that many seconds after the epoch, in the configured time zone."""
        return datetime.fromtimestamp(seconds, self._zone)
