"""Wall-clock time in the configured time zone, and time that steps of the wall clock do not change.

Wall time is for what other machines, people or a later process read. Anything that decides about a
duration or a due time while a process runs uses the monotonic clock, or `SteadyClock`.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from qmonus_lite.values import Value

#: Minimum difference in seconds between wall and steady time that is a step of the wall clock.
MIN_STEP_SECONDS = 1.0
#: Seconds between two checks whether the wall clock was set, while sleeping.
CHECK_SECONDS = 1.0


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
        return self.at(self.now())

    def at(self, seconds: float) -> datetime:
        """A Unix timestamp as an aware datetime in the configured time zone."""
        return datetime.fromtimestamp(seconds, self._zone)


class ClockStep(Value, frozen=True, kw_only=True):
    """The wall clock was set while this process ran; 0 `seconds`: nothing is known of a step."""

    #: By how much it was set forward, or backward if negative.
    seconds: float
    #: Wall time when the step was noticed, in seconds since the epoch.
    now: float
    #: Earliest wall time that can have been read after the step.
    earliest: float


class SteadyClock:
    """Wall time in seconds since the epoch that follows the wall clock only when it is told to.

    Between two calls of `move` it advances with the monotonic clock, so a due time is as far away
    as it was computed, whatever the wall clock is set to. Not thread-safe but for `now`.
    """

    def __init__(self, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._checked = monotonic()
        self._offset = clock.now() - self._checked

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._monotonic() + self._offset

    def find_step(self) -> ClockStep | None:
        """The step of the wall clock that `now` does not follow yet, or None."""
        checked, self._checked = self._checked, self._monotonic()
        wall = self._clock.now()
        seconds = wall - (self._checked + self._offset)
        if abs(seconds) < MIN_STEP_SECONDS:
            return None
        # A clock that drifts is followed too, MIN_STEP_SECONDS at a time.
        return ClockStep(seconds=seconds, now=wall, earliest=wall - (self._checked - checked))

    def move(self, seconds: float) -> None:
        """Follow a step of the wall clock."""
        self._offset += seconds

    async def sleep(self, seconds: float) -> None:
        """Sleep, but end within CHECK_SECONDS after a step of the wall clock; follows it."""
        end = self._monotonic() + seconds
        while (left := end - self._monotonic()) > 0:
            await asyncio.sleep(min(left, CHECK_SECONDS))
            if step := self.find_step():
                self.move(step.seconds)
                return
