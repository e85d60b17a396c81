"""Timers: a body that is silent for too long, or trickles, is not waited for.

Tornado's own `body_timeout` closes the connection without an answer, in the middle of a write to
the disk; it is not used.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

#: In this many times the longest silence, a body may come as slowly as it likes.
RATE_GRACE_FACTOR = 2.0


@dataclass(frozen=True, kw_only=True)
class BodyRate:
    """How fast a body has to come."""

    #: Seconds that it may be silent.
    stall: float
    #: Bytes a second on the average, after the grace; 0 for any.
    rate: int

    def timeout_seconds(self, came: int, waited: float) -> float:
        """Seconds from now until a body that stays silent is late."""
        if not self.rate:
            return self.stall
        return min(self.stall, max(RATE_GRACE_FACTOR * self.stall, came / self.rate) - waited)


class BodyTimeout:
    """Watches one body. Only the client's time counts: while we take bytes, it is off."""

    def __init__(self, pace: BodyRate, late: Callable[[], None]) -> None:
        self._pace = pace
        self._late = late
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._since = 0.0
        self._waited = 0.0

    def wait(self, came: int) -> None:
        """`came` bytes are there, and the next are the client's to send."""
        self._since = self._loop.time()
        self._timer = self._loop.call_later(
            max(0.0, self._pace.timeout_seconds(came, self._waited)), self._late
        )

    def stop(self) -> None:
        """Bytes came, or nobody wants them; nobody is waited for until `wait`."""
        if self._timer is not None:
            self._waited += self._loop.time() - self._since
            self._timer.cancel()
            self._timer = None
