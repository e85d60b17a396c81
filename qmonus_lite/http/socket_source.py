"""Sources of bytes for a thread: the socket of a connection, and a body of known length in it."""

import select
import socket
import ssl
import time

from qmonus_lite.byte_source import ByteSource

#: Seconds to wait for bytes until the source has none, for now.
IDLE_SECONDS = 0.002


class SocketSource:
    """The bytes of a non-blocking socket, decrypted if it is a TLS socket; see `ByteSource`.

    EOF, resets and TLS errors end it like silence: the next read of the connection reports them.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._receive = connection.recv_into
        self._descriptor = connection.fileno()
        self._poll = select.poll()

    def read_into(self, buffer: memoryview) -> int:
        """Read what has arrived; waits at most `IDLE_SECONDS`, and only for the first byte."""
        receive, size, count = self._receive, len(buffer), 0
        deadline = time.monotonic() + IDLE_SECONDS
        # A TLS socket gives one record at a time, of 16 KiB at most.
        while count < size:
            try:
                received = receive(buffer[count:], size - count)
            except OSError as error:
                if count or not self._wait(_awaited(error), deadline):
                    break
                continue
            if not received:
                break
            count += received
        return count

    def _wait(self, events: int, deadline: float) -> bool:
        # A part of a TLS record makes the socket readable, but gives no byte.
        seconds = deadline - time.monotonic()
        if not events or seconds <= 0:
            return False
        self._poll.register(self._descriptor, events)
        return bool(self._poll.poll(1000 * seconds))


def _awaited(error: OSError) -> int:
    """The events to poll for before the read that raised `error` is tried again; 0 if it is not."""
    if isinstance(error, BlockingIOError | ssl.SSLWantReadError):
        return select.POLLIN
    # TLS has to send first, for example its part of a key update.
    return select.POLLOUT if isinstance(error, ssl.SSLWantWriteError) else 0


class CountedSource:
    """The next bytes of another source, up to a number; see `ByteSource`."""

    def __init__(self, source: ByteSource, left: int) -> None:
        self._source = source
        #: Bytes that were not read yet.
        self.left = left

    def read_into(self, buffer: memoryview) -> int:
        """Read from the other source, no byte beyond the number."""
        if not self.left:
            return 0
        count = self._source.read_into(buffer[: self.left])
        self.left -= count
        return count
