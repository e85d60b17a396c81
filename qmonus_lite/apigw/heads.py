"""Heads: a connection on which none comes is not waited for.

Tornado has a timer for it (`idle_connection_timeout`), which it makes and cancels for every
request; with the futures that go with it, that was a thirtieth of the time of a small upload. Here
all connections share one look a second.
"""

import time

from tornado.ioloop import PeriodicCallback
from tornado.iostream import IOStream

#: Seconds for a header block, and between two requests of a connection.
IDLE = 20.0
#: Seconds between two looks.
LOOK = 1.0


class HeadWatch:
    """Watches connections that wait for a head, and closes those that wait for too long."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        #: When each began to wait, the oldest first.
        self._waiting: dict[IOStream, float] = {}
        self._looking = PeriodicCallback(self._look, 1000 * min(LOOK, patience / 2))

    def start(self) -> None:
        """Begin to look; a stop of the server closes what waits, so this goes on."""
        self._looking.start()

    def wait(self, stream: IOStream) -> None:
        """A head has to come now."""
        self._waiting.pop(stream, None)
        self._waiting[stream] = time.monotonic()

    def came(self, stream: IOStream) -> None:
        """It is there, or its connection has ended."""
        self._waiting.pop(stream, None)

    def _look(self) -> None:
        since = time.monotonic() - self._patience
        late = []
        for stream, began in self._waiting.items():
            if began > since:
                break
            late.append(stream)
        for stream in late:
            self.came(stream)
            stream.close()
