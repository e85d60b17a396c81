"""The body of a request whose head Tornado reads.

Tornado's own reader of bodies is not used: it has no timeout that leaves time for a response, and
closes the connection where a response is due. The bytes are taken from its stream instead; those of
a client that sends a long body faster than the event loop reads are copied from the socket by a
thread.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from qmonus_lite.byte_source import ByteSource
from qmonus_lite.errors import RequestTimeout
from qmonus_lite.http.body import ClientLeft, Sink, SourceCopy
from qmonus_lite.http.body_timeout import BodyRate, BodyTimeout
from qmonus_lite.http.chunked import MAX_SOURCE_BYTES, ChunkedReader, ChunkedSource, ChunkParser
from qmonus_lite.http.framing import RequestHead
from qmonus_lite.http.socket_source import CountedSource, SocketSource
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
        self.consumed = connection.body_taken = not head.body_follows
        #: Done when the body was read, or is not going to be.
        self.released: asyncio.Future[None] = self._loop.create_future()
        #: True if the body stopped coming: nothing more is read from the connection.
        self.timed_out = False
        self._received = 0
        #: Bytes that the last reads found without waiting.
        self._unwaited = 0
        #: True if the last read had to wait.
        self._waited = False
        #: The pending read of the stream.
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
        length = self.length
        try:
            if length is None:
                await self._copy_chunks(sink)
            else:
                await self._copy_counted(sink, length)
        finally:
            self._stop_timer()
            self._timeout = None
        self.consumed = True
        self._connection.body_taken = True
        self.release()

    def release(self) -> None:
        """Let Tornado go on; idempotent."""
        if not self.released.done():
            self.released.set_result(None)

    async def _copy_chunks(self, sink: Sink) -> None:
        chunks, copy = ChunkedReader(self._stream), sink.copy_from
        while data := await self._read(chunks.read(CHUNK_BYTES)):
            await sink.write(data)
            fast = self._arrives_fast(len(data), chunks.waited)
            if copy and fast and self._received >= MIN_SOCKET_COPY_BYTES:
                await self._copy_chunk_slices(copy, chunks.parser)

    async def _copy_chunk_slices(self, copy: SourceCopy, parser: ChunkParser) -> None:
        """Copy as long as a slice ends only since it took all that it may."""
        count = MAX_SOURCE_BYTES
        while count == MAX_SOURCE_BYTES and can_detach(self._stream):
            count = await self._copy_slice(copy, partial(ChunkedSource, parser=parser))

    async def _copy_counted(self, sink: Sink, left: int) -> None:
        copy = sink.copy_from if left >= MIN_SOCKET_COPY_BYTES else None
        while left:
            chunk = await self._read(self._receive(min(CHUNK_BYTES, left)))
            left -= len(chunk)
            await sink.write(chunk)
            if copy and left and self._arrives_fast(len(chunk), self._waited):
                left -= await self._copy_slice(copy, partial(CountedSource, left=left))

    def _receive(self, size: int) -> asyncio.Future[bytes]:
        try:
            reading = asyncio.ensure_future(self._stream.read_bytes(size, partial=True))
        except OSError:
            raise ClientLeft from None
        self._waited = not reading.done()
        return reading

    def _arrives_fast(self, count: int, waited: bool) -> bool:
        """Whether the client sends faster than the event loop reads, so that more is pending."""
        self._unwaited = count if waited else self._unwaited + count
        return self._unwaited >= CHUNK_BYTES and can_detach(self._stream)

    async def _copy_slice(
        self, copy: SourceCopy, body_in: Callable[[ByteSource], ByteSource]
    ) -> int:
        """Let a thread copy what has arrived; returns how many bytes."""
        with detached(self._stream) as connection:
            count = await copy(body_in(SocketSource(connection)))
        self._received += count
        self._unwaited = 0
        return count

    async def _read(self, reading: Awaitable[bytes]) -> bytes:
        """What `reading` gives; raises RequestTimeout, ClientLeft and what `reading` raises."""
        self._start_timer()
        # In no local variable: its exception would refer to this frame, and so to itself.
        self._reading = asyncio.ensure_future(reading)
        del reading
        chunk, left, too_late = b"", False, False
        try:
            chunk = await self._reading
        except OSError:
            # Closed by the client, or by an error of the connection or of TLS.
            left = True
        except asyncio.CancelledError:
            too_late = self._reading.cancelled()
            if not too_late:
                raise
        finally:
            self._reading = None
            self._stop_timer()
        if too_late:
            raise RequestTimeout("the body stopped coming, or came too slowly")
        if left:
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
