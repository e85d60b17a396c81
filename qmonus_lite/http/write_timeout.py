"""Write timeout: closes connections whose clients stop reading the response.

The unread response stays in memory and the connection stays open. Tornado has no write timeout,
so that such clients could occupy all connections permanently.
"""

import contextlib
import logging
import socket
import struct

from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.iostream import IOStream

from qmonus_lite.http.tornado_internals import written_bytes

logger = logging.getLogger(__name__)

#: Number of checks of every connection per timeout.
CHECKS_PER_TIMEOUT = 4
#: Offset of `tcpi_bytes_acked` in Linux's `struct tcp_info`, since 4.1.
BYTES_ACKED_OFFSET = 120
#: Progress value of a connection without pending writes.
NOTHING_PENDING = (0, 0)


class WriteTimeout:
    """Tracks the write progress of connections and closes those without progress."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._loop = IOLoop.current()
        #: Progress of a stream, and the time of its last change.
        self._seen: dict[IOStream, tuple[tuple[int, int], float]] = {}
        self._looking = PeriodicCallback(self._look, 1000 * timeout_seconds / CHECKS_PER_TIMEOUT)

    def start(self) -> None:
        """Start the checks; they continue during drain, since pending responses are awaited."""
        self._looking.start()

    def add(self, stream: IOStream) -> None:
        """Start watching a connection."""
        self._seen[stream] = (NOTHING_PENDING, self._loop.time())

    def discard(self, stream: IOStream) -> None:
        """Stop watching a connection; ignored if unknown."""
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
    """Progress of a stream: bytes acknowledged by the peer, and bytes written to the socket.

    Bytes written are not sufficient: the kernel buffers megabytes per connection and accepts more
    only when a third of them is sent, which takes minutes with a slow reader; under TLS nothing
    counts as written before all of it is.
    """
    acknowledged = 0
    # Without TCP_INFO only bytes written count; an error must not stop the other checks.
    with contextlib.suppress(OSError, struct.error):
        info = stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, BYTES_ACKED_OFFSET + 8)
        acknowledged = struct.unpack_from("=Q", info, BYTES_ACKED_OFFSET)[0]
    return acknowledged, written_bytes(stream)
