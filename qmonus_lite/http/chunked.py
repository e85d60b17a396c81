"""Reads chunked bodies (RFC 9112, section 7.1); extensions and trailer fields are refused.

Tornado closes the connection without a response at a chunk-size line that is too long, and responds
without an explanation to any other malformed chunk. One parser serves the event loop
(`ChunkedReader`) and the thread that copies a long body (`ChunkedSource`).
"""

import asyncio
import re

from tornado.iostream import IOStream

from qmonus_lite.byte_source import ByteSource
from qmonus_lite.errors import InvalidFraming, RuleDescription, Stage
from qmonus_lite.http.tornado_internals import unread

#: Maximum bytes of a chunk-size line; maximum digits of a size without leading zeros.
MAX_LINE_BYTES, MAX_SIZE_DIGITS = 64, 15
#: Maximum bytes between the data of two chunks.
MAX_FRAMING_BYTES = len(b"\r\n") + MAX_LINE_BYTES
#: Maximum bytes of a read of the event loop that begins with framing: after so many bytes of tiny
#: chunks it gets its turn.
MAX_FRAMING_READ_BYTES = 4 << 10
#: Maximum bytes that are read behind a chunk on a thread, a record of TLS: they are moved, tiny
#: chunks among them keep the interpreter, and what stands behind the body is put back.
MAX_BEHIND_BYTES = 16 << 10
#: Maximum bytes and chunks of a `ChunkedSource`: the size limit of an upload and the free space are
#: checked after it, and tiny chunks keep the interpreter from the event loop.
MAX_SOURCE_BYTES, MAX_SOURCE_CHUNKS = 16 << 20, 1024

#: A line, or as many bytes as it may have.
_LINE = rf"(?:[^\n]{{0,{MAX_LINE_BYTES - 1}}}\n|[^\n]{{{MAX_LINE_BYTES}}})"
#: The first line; the end of a chunk and the line behind it, or two bytes that are no end; the two
#: bytes behind the line of the last chunk.
_FIRST_LINE = re.compile(_LINE.encode())
_NEXT_LINE = re.compile(rf"\r\n{_LINE}|(?!\r\n)(?s:..)".encode())
_END = re.compile(rb"(?s:..)")
_SIZE = re.compile(rb"0*([0-9A-Fa-f]+)\r\n")

#: Applied by `ChunkParser` to the chunks as they come.
RULES = (
    RuleDescription(
        name="chunks",
        stage=Stage.BODY,
        problems=(InvalidFraming,),
        refuses=f"chunks that are none: a size that is no number or above {MAX_SIZE_DIGITS} digits,"
        f" a line above {MAX_LINE_BYTES} bytes or without CRLF, a chunk extension, a trailer field",
    ),
)


class ChunkParser:
    """Parser of one chunked body, which is fed with pieces of any size."""

    def __init__(self) -> None:
        #: Bytes of the current chunk that are still to come.
        self.left = 0
        #: Chunks so far.
        self.chunks = 0
        #: True when the last chunk was parsed; and the bytes behind it.
        self.ended, self.behind = False, b""
        #: What was wrong with a piece that was parsed on a thread.
        self.fault: InvalidFraming | None = None
        #: The framing that is next, and as much of it as has come.
        self._framing, self._begun = _FIRST_LINE, b""

    def read_size(self, max_bytes: int) -> int:
        """How many bytes to read next, at most `max_bytes`."""
        return min(max_bytes, self.left or MAX_FRAMING_READ_BYTES)

    def feed(self, received: bytes) -> bytes:
        """The data in the next bytes of the connection; raises InvalidFraming."""
        if self.left >= len(received):
            self.left -= len(received)
            return received
        buffer = bytearray(received)
        count = self.extract(memoryview(buffer))
        return bytes(buffer[:count])

    def extract(self, received: memoryview) -> int:
        """Leave the data of the next bytes of the connection at their beginning.

        Returns how many bytes of data there are; raises InvalidFraming.
        """
        count = position = 0
        while not self.ended:
            size = min(self.left, len(received) - position)
            if count != position:
                received[count : count + size] = received[position : position + size]
            count, position, self.left = count + size, position + size, self.left - size
            if position == len(received):
                return count
            position += self._next_framing(bytes(received[position : position + MAX_FRAMING_BYTES]))
        self.behind = bytes(received[position:])
        return count

    def _next_framing(self, received: bytes) -> int:
        """Parse the framing that is next, if all of it has come; returns how many bytes it has."""
        framing = self._begun + received
        found = self._framing.match(framing)
        if found is None:
            self._begun = framing
            return len(received)
        size = found.end() - len(self._begun)
        self._begun = b""
        self._parse(found[0])
        return size

    def _parse(self, framing: bytes) -> None:
        if self._framing is _END:
            if framing != b"\r\n":
                raise InvalidFraming("trailer fields are not taken")
            self.ended = True
            return
        if self._framing is _NEXT_LINE:
            if not framing.startswith(b"\r\n"):
                raise InvalidFraming("a chunk is longer than its size")
            framing = framing[2:]
        self.left = _size(framing)
        self.chunks += 1
        self._framing = _NEXT_LINE if self.left else _END


class ChunkedReader:
    """The bytes of one chunked body on the event loop."""

    def __init__(self, stream: IOStream) -> None:
        self._stream = stream
        self.parser = ChunkParser()
        #: True if the last read had to wait for the client.
        self.waited = False

    async def read(self, max_bytes: int) -> bytes:
        """At most `max_bytes` that have come, at least one; empty at the end of the body.

        Raises InvalidFraming, and what the stream raises.
        """
        parser, data = self.parser, b""
        if parser.fault is not None:
            raise parser.fault
        self.waited = False
        while not data and not parser.ended:
            data = parser.feed(await self._receive(parser.read_size(max_bytes)))
        if parser.behind:
            unread(self._stream, parser.behind)
            parser.behind = b""
        return data

    def _receive(self, max_bytes: int) -> asyncio.Future[bytes]:
        # In no local variable of `read`: its exception would refer to that frame, and so to itself.
        reading = asyncio.ensure_future(self._stream.read_bytes(max_bytes, partial=True))
        self.waited |= not reading.done()
        return reading


class ChunkedSource:
    """The data of a chunked body in another source; see `ByteSource`."""

    def __init__(self, source: ByteSource, parser: ChunkParser) -> None:
        self._source = source
        self._parser = parser
        self._max_bytes = MAX_SOURCE_BYTES
        self._max_chunks = parser.chunks + MAX_SOURCE_CHUNKS

    def read_into(self, buffer: memoryview) -> int:
        """Read data; that of the current chunk to its place, that of others is moved there."""
        parser, count = self._parser, 0
        max_bytes = min(len(buffer), self._max_bytes)
        if parser.chunks > self._max_chunks:
            return 0
        while max_bytes and not count and not (parser.ended or parser.fault):
            place = buffer[: min(max_bytes, parser.left + MAX_BEHIND_BYTES)]
            received = self._source.read_into(place)
            if not received:
                break
            try:
                count = parser.extract(place[:received])
            except InvalidFraming as error:
                # The traceback would refer to this source.
                parser.fault = error.with_traceback(None)
        self._max_bytes -= count
        return count


def _size(line: bytes) -> int:
    """The size of a chunk; raises InvalidFraming."""
    found = _SIZE.fullmatch(line)
    if found is None:
        raise InvalidFraming(_fault(line))
    if len(found[1]) > MAX_SIZE_DIGITS:
        raise InvalidFraming("the size of a chunk is beyond what any file has")
    return int(found[1], 16)


def _fault(line: bytes) -> str:
    """What is wrong with a chunk-size line."""
    if not line.endswith(b"\n"):
        return f"a chunk-size line is longer than {MAX_LINE_BYTES} bytes"
    if b";" in line:
        return "chunk extensions are not taken"
    if not line.endswith(b"\r\n"):
        return "a chunk-size line does not end with CRLF"
    return "the size of a chunk is no hexadecimal number"
