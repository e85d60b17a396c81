"""Idle timeout: closes connections on which no request head arrives in time.

Tornado has a timer for it (`idle_connection_timeout`), which it creates and cancels for every
request; with its futures, that was a thirtieth of the time of a small upload. Here one periodic
check per second covers all connections.
"""

import time
from typing import Protocol

from tornado.ioloop import PeriodicCallback

#: Maximum seconds for a request head, and between two requests of a connection.
IDLE_SECONDS = 20.0
#: Seconds between two checks.
CHECK_SECONDS = 1.0


class Closable(Protocol):
    """A connection that can be closed."""

    def close(self) -> object:
        """Close the connection now."""


class IdleTimeout:
    """Tracks connections that wait for a request head and closes them after the timeout."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        #: Start of the wait per connection (monotonic), oldest first.
        self._waiting: dict[Closable, float] = {}
        self._looking = PeriodicCallback(self._look, 1000 * min(CHECK_SECONDS, timeout_seconds / 2))

    def start(self) -> None:
        """Start the checks; never stopped, since server shutdown closes idle connections."""
        self._looking.start()

    def wait(self, connection: Closable) -> None:
        """Start the timeout of a connection, unless it is running already."""
        self._waiting.setdefault(connection, time.monotonic())

    def came(self, connection: Closable) -> None:
        """Stop the timeout: a head arrived, or the connection was closed."""
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
