"""Heads: a connection on which none comes is not waited for.

Tornado has a timer for it (`idle_connection_timeout`), which it makes and cancels for every
request; with the futures that go with it, that was a thirtieth of the time of a small upload. Here
all connections share one look a second.
"""

import time
from typing import Protocol

from tornado.ioloop import PeriodicCallback

#: Seconds for a header block, and between two requests of a connection.
IDLE_SECONDS = 20.0
#: Seconds between two looks.
CHECK_SECONDS = 1.0


class Closable(Protocol):
    """A connection."""

    def close(self) -> object:
        """Close it now."""


class IdleTimeout:
    """Watches connections that wait for a head, and closes those that wait for too long."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        #: When each began to wait, the oldest first.
        self._waiting: dict[Closable, float] = {}
        self._looking = PeriodicCallback(self._look, 1000 * min(CHECK_SECONDS, timeout_seconds / 2))

    def start(self) -> None:
        """Begin to look; a stop of the server closes what waits, so this goes on."""
        self._looking.start()

    def wait(self, connection: Closable) -> None:
        """A head has to come now, unless one is waited for already."""
        self._waiting.setdefault(connection, time.monotonic())

    def came(self, connection: Closable) -> None:
        """It is there, or its connection has ended."""
        self._waiting.pop(connection, None)

    def _look(self) -> None:
        since = time.monotonic() - self._timeout_seconds
        late = []
        for connection, began in self._waiting.items():
            if began > since:
                break
            late.append(connection)
        for connection in late:
            self.came(connection)
            connection.close()
