"""Rate limiter for log warnings that remote clients can trigger at will."""

import logging
import time

#: Minimum seconds between two warnings.
INTERVAL_SECONDS = 10.0


class RateLimitedLog:
    """Logs at most one warning per INTERVAL_SECONDS, with the number suppressed before it."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._next = 0.0
        self._left_out = 0

    def warn(self, text: object, **extra: object) -> None:
        """Log a warning, unless within INTERVAL_SECONDS of the previous one."""
        now = time.monotonic()
        if now < self._next:
            self._left_out += 1
            return
        self._logger.warning("%s", text, extra={**extra, "held_back": self._left_out})
        self._next, self._left_out = now + INTERVAL_SECONDS, 0
