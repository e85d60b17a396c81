"""The body of a request that Tornado reads, or that is copied from the socket beside Tornado.

A long body of known length on a plain connection is read here instead: a client that sends faster
than the event loop reads has its bytes copied from the socket by a thread.
"""

import asyncio
from collections.abc import Awaitable, Callable

from tornado.iostream import SSLIOStream, StreamClosedError

from qmonus_lite.errors import RequestTimeout
from qmonus_lite.http.body import ClientLeft, Sink, SocketCopy
from qmonus_lite.http.body_timeout import BodyRate, BodyTimeout
from qmonus_lite.http.framing import RequestHead
from qmonus_lite.http.tornado_internals import RequestConnection, can_detach, detached
from qmonus_lite.serving import CHUNK_BYTES

#: Minimum bytes of a body that may be copied from the socket by a thread.
MIN_SOCKET_COPY_BYTES = 256 << 10


class StreamBody:
    """A body whose bytes are still in the connection."""

    def __init__(self, head: RequestHead, connection: RequestConnection, rate: BodyRate) -> None:
        self._head = head
        self._connection = connection
        self._stream = connection.stream
        self._loop = asyncio.get_running_loop()
        self._rate = rate
        #: While the body is read; it refers to this object.
        self._timeout: BodyTimeout | None = None
        #: True if no byte of the body is left to read.
        self.consumed = not head.body_follows
        #: Done when Tornado may read on, or the body was read in its place.
        self.released: asyncio.Future[None] = self._loop.create_future()
        #: True if the body stopped coming: nothing more is read from the connection.
        self.timed_out = False
        self._received = 0
        #: Takes the chunks that Tornado reads; with the future of their end.
        self._write: Callable[[bytes], Awaitable[None]] | None = None
        self._end: asyncio.Future[None] | None = None
        #: The pending read of the stream, where it is read here.
        self._reading: asyncio.Future[bytes] | None = None

    @property
    def length(self) -> int | None:
        """Content-Length; None for a chunked body. Valid only after the framing rules."""
        return self._head.length

    async def copy_to(self, sink: Sink) -> None:
        """Write the whole body to `sink`; see `Body.copy_to`."""
        if self.consumed:
            return
        if self._head.waits and not self._stream.closed():
            self._stream.write(b"HTTP/1.1 100 (Continue)\r\n\r\n")
        self._timeout = BodyTimeout(self._rate, self._time_out)
        copy, length = sink.copy_from_socket, self.length
        plain = not isinstance(self._stream, SSLIOStream)
        try:
            if copy and plain and length is not None and length >= MIN_SOCKET_COPY_BYTES:
                await self._copy_beside_tornado(sink, copy, length)
            else:
                await self._copy_by_tornado(sink)
        finally:
            self._stop_timer()
            self._timeout = None
        self.consumed = True

    def release(self) -> None:
        """Let Tornado go on; idempotent."""
        if not self.released.done():
            self.released.set_result(None)

    # What Tornado reads

    async def _copy_by_tornado(self, sink: Sink) -> None:
        self._write, self._end = sink.write, self._loop.create_future()
        self._start_timer()
        self.release()
        try:
            await self._end
        finally:
            # An exception in it would refer to this frame, and so to this object.
            self._write = self._end = None

    async def receive(self, chunk: bytes) -> bool:
        """Take a chunk from Tornado; False if the body is not read any more."""
        if self._write is None or self._end is None:
            return False
        self._stop_timer()
        try:
            await self._write(chunk)
        except Exception as error:
            self._finish(error)
            return False
        self._received += len(chunk)
        if self._received != self._head.length and not self._end.done():
            self._start_timer()
        return True

    def complete(self) -> None:
        """Tornado has read the last byte."""
        self._finish(None)

    def abandon(self) -> None:
        """The connection ended before the body."""
        self._finish(ClientLeft())

    def _finish(self, error: Exception | None) -> None:
        if self._end is None or self._end.done():
            return
        if error is None:
            self._end.set_result(None)
        else:
            self._end.set_exception(error)

    # What is read here

    async def _copy_beside_tornado(self, sink: Sink, copy: SocketCopy, left: int) -> None:
        while left:
            chunk = await self._read(min(CHUNK_BYTES, left))
            left -= len(chunk)
            await sink.write(chunk)
            # A full chunk means that more is pending: data arrives faster than the loop reads.
            if left and len(chunk) == CHUNK_BYTES and can_detach(self._stream):
                with detached(self._stream) as descriptor:
                    count = await copy(descriptor, left)
                left -= count
                self._received += count
        self._connection.body_taken = True
        self.release()

    async def _read(self, max_bytes: int) -> bytes:
        self._start_timer()
        # In no local variable: its exception would refer to this frame, and so to itself.
        self._reading = asyncio.ensure_future(self._stream.read_bytes(max_bytes, partial=True))
        chunk, too_late = b"", False
        try:
            chunk = await self._reading
        except StreamClosedError:
            pass
        except asyncio.CancelledError:
            too_late = self._reading.cancelled()
            if not too_late:
                raise
        finally:
            self._reading = None
            self._stop_timer()
        if too_late:
            raise _too_late()
        if not chunk:
            raise ClientLeft
        self._received += len(chunk)
        return chunk

    def _start_timer(self) -> None:
        if self._timeout is not None:
            self._timeout.wait(self._received)

    def _stop_timer(self) -> None:
        if self._timeout is not None:
            self._timeout.stop()

    def _time_out(self) -> None:
        self.timed_out = True
        if self._reading is not None:
            self._reading.cancel()
        else:
            self._finish(_too_late())


def _too_late() -> RequestTimeout:
    return RequestTimeout("the body stopped coming, or came too slowly")
