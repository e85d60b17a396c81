"""Rate limiter for log warnings that remote clients can trigger at will."""

import logging
import time

#: Minimum seconds between two warnings of one kind.
INTERVAL_SECONDS = 10.0


class RateLimitedLog:
    """Logs at most one warning of a kind per INTERVAL_SECONDS, with the number suppressed before.

    The kinds are few and fixed: each is kept for as long as the process runs.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        #: Time of the monotonic clock from which a kind may be logged again.
        self._next: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}

    def warn(self, text: object, *, kind: str = "", **extra: object) -> None:
        """Log a warning, unless within INTERVAL_SECONDS of the previous one of this kind."""
        now = time.monotonic()
        if now < self._next.get(kind, 0.0):
            self._suppressed[kind] = self._suppressed.get(kind, 0) + 1
            return
        suppressed = self._suppressed.pop(kind, 0)
        self._logger.warning("%s", text, extra={**extra, "held_back": suppressed})
        self._next[kind] = now + INTERVAL_SECONDS
