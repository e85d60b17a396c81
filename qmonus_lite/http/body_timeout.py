"""Body timeout: idle timeout and minimum rate for a request body.

Tornado's own `body_timeout` closes the connection without a response, even during a write to the
disk; it is not used.
"""

import asyncio
from collections.abc import Callable

from qmonus_lite.errors import RequestTimeout, RuleDescription, Stage
from qmonus_lite.values import Value

#: The minimum rate applies after this multiple of the idle timeout.
RATE_GRACE_FACTOR = 2.0

#: Applied by `StreamBody` while it waits for the client; a body that is there already has no delay.
RULES = (
    RuleDescription(
        name="body-timeout",
        stage=Stage.BODY,
        problems=(RequestTimeout,),
        refuses="a body that is silent for `--body_stall_timeout`, or slower than"
        " `--min_body_rate` after twice as long",
    ),
)


class BodyRate(Value, frozen=True, kw_only=True):
    """Idle timeout and minimum rate of a body."""

    #: Maximum seconds without a byte.
    stall: float
    #: Minimum average bytes per second after the grace period; 0 disables it.
    rate: int

    def timeout_seconds(self, came: int, waited: float) -> float:
        """Seconds until the timeout, after `came` bytes in `waited` seconds of waiting."""
        if not self.rate:
            return self.stall
        return min(self.stall, max(RATE_GRACE_FACTOR * self.stall, came / self.rate) - waited)


class BodyTimeout:
    """Timeout of one body; only time spent waiting for the client counts, not processing."""

    def __init__(self, rate: BodyRate, late: Callable[[], None]) -> None:
        self._rate = rate
        self._late = late
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._since = 0.0
        self._waited = 0.0

    def wait(self, came: int) -> None:
        """Start the timer: `came` bytes were received so far, more are expected."""
        self._since = self._loop.time()
        self._timer = self._loop.call_later(
            max(0.0, self._rate.timeout_seconds(came, self._waited)), self._late
        )

    def stop(self) -> None:
        """Stop the timer until the next `wait`; idempotent."""
        if self._timer is not None:
            self._waited += self._loop.time() - self._since
            self._timer.cancel()
            self._timer = None
