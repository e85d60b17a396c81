"""Stalls: a client that takes nothing of its answer is not waited for.

What it does not take stays in memory, and its connection stays open. Tornado would bear as many of
them as there may be connections, for ever.
"""

import array
import fcntl
import logging
import termios

from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.iostream import IOStream

logger = logging.getLogger(__name__)

#: Looks at every connection in the time that a client has.
LOOKS = 4


class WriteWatch:
    """Watches what clients take, and closes the connections of those who take nothing."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._loop = IOLoop.current()
        #: Bytes that were taken of a stream so far, and when the last of them were.
        self._seen: dict[IOStream, tuple[int, float]] = {}
        self._looking = PeriodicCallback(self._look, 1000 * patience / LOOKS)

    def start(self) -> None:
        """Begin to look."""
        self._looking.start()

    def stop(self) -> None:
        """Look no more."""
        self._looking.stop()

    def add(self, stream: IOStream) -> None:
        """Watch a connection."""
        self._seen[stream] = (0, self._loop.time())

    def discard(self, stream: IOStream) -> None:
        """Forget it."""
        self._seen.pop(stream, None)

    def _look(self) -> None:
        now = self._loop.time()
        for stream, (taken, since) in list(self._seen.items()):
            busy = stream.writing() and not stream.closed()
            acknowledged = _acknowledged(stream) if busy else 0
            if acknowledged != taken or not busy:
                self._seen[stream] = (acknowledged, now)
            elif now - since >= self._patience:
                extra = {"action": "answer_stalled", "bytes": acknowledged}
                logger.info("a client takes nothing of its answer", extra=extra)
                self.discard(stream)
                stream.close()


def _acknowledged(stream: IOStream) -> int:
    """Bytes that the client's side has confirmed.

    What the kernel took of us says little: it holds megabytes for a client, and takes more only
    when a third of them went, which a slow reader needs minutes for.
    """
    queued = array.array("i", [0])
    fcntl.ioctl(stream.fileno(), termios.TIOCOUTQ, queued)
    return stream._total_write_done_index - queued[0]
