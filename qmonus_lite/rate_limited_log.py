"""Log lines that strangers can cause as often as they like, written now and then."""

import logging
import time

#: Seconds between two lines.
INTERVAL_SECONDS = 10.0


class RateLimitedLog:
    """Writes a line every few seconds at the most, with the number of those left out before it."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._next = 0.0
        self._left_out = 0

    def warn(self, text: object, **extra: object) -> None:
        """Write it, unless one was written a moment ago."""
        now = time.monotonic()
        if now < self._next:
            self._left_out += 1
            return
        self._logger.warning("%s", text, extra={**extra, "held_back": self._left_out})
        self._next, self._left_out = now + INTERVAL_SECONDS, 0
