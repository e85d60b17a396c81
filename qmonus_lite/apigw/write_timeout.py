"""Stalls: a client that takes nothing of its answer is not waited for.

What it does not take stays in memory, and its connection stays open. Tornado would bear as many of
them as there may be connections, for ever.
"""

import contextlib
import logging
import socket
import struct

from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.iostream import IOStream

logger = logging.getLogger(__name__)

#: Looks at every connection in the time that a client has.
CHECKS_PER_TIMEOUT = 4
#: Where `tcpi_bytes_acked` stands in Linux's `struct tcp_info`, since 4.1.
BYTES_ACKED_OFFSET = 120
#: Seen of a client that has nothing to take.
NOTHING_PENDING = (0, 0)


class WriteTimeout:
    """Watches what clients take, and closes the connections of those who take nothing."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._loop = IOLoop.current()
        #: What was taken of a stream so far, and when the last of it was.
        self._seen: dict[IOStream, tuple[tuple[int, int], float]] = {}
        self._looking = PeriodicCallback(self._look, 1000 * timeout_seconds / CHECKS_PER_TIMEOUT)

    def start(self) -> None:
        """Begin to look; a stop of the server waits for answers under way, so this goes on."""
        self._looking.start()

    def add(self, stream: IOStream) -> None:
        """Watch a connection."""
        self._seen[stream] = (NOTHING_PENDING, self._loop.time())

    def discard(self, stream: IOStream) -> None:
        """Forget it."""
        self._seen.pop(stream, None)

    def _look(self) -> None:
        now = self._loop.time()
        for stream, (before, since) in list(self._seen.items()):
            busy = stream.writing() and not stream.closed()
            taken = _progress(stream) if busy else NOTHING_PENDING
            if taken != before or not busy:
                self._seen[stream] = (taken, now)
            elif now - since >= self._timeout_seconds:
                extra = {"action": "answer_stalled", "bytes": taken[0]}
                logger.info("a client takes nothing of its answer", extra=extra)
                self.discard(stream)
                stream.close()


def _progress(stream: IOStream) -> tuple[int, int]:
    """Changes whenever the client took something: bytes that its side confirmed, and we wrote.

    What we wrote says little by itself: the kernel holds megabytes for a client, and takes more
    only when a third of them went, which a slow reader needs minutes for; under TLS nothing counts
    as written before all of it is.
    """
    acknowledged = 0
    # A kernel that does not tell leaves what we wrote; one stream must not end the look at others.
    with contextlib.suppress(OSError, struct.error):
        info = stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, BYTES_ACKED_OFFSET + 8)
        acknowledged = struct.unpack_from("=Q", info, BYTES_ACKED_OFFSET)[0]
    return acknowledged, stream._total_write_done_index
