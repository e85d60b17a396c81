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
#: Maximum bytes of a read of the event loop that begins with framing: after so many bytes of tiny
#: chunks it gets its turn.
MAX_FRAMING_READ_BYTES = 4 << 10
#: Maximum bytes that are read behind a chunk on a thread, a whole record of TLS; what stands behind
#: the body is put back.
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

    def skip(self, count: int) -> None:
        """Take note of bytes of the current chunk, at most `left`, that are not fed."""
        self.left -= count

    def feed(self, received: bytes) -> bytes:
        """The data in the next bytes of the connection; raises InvalidFraming."""
        if self.left >= len(received):
            self.left -= len(received)
            return received
        received = self._begun + received
        pieces: list[bytes] = []
        position = 0
        while not self.ended:
            if self.left:
                pieces.append(received[position : position + self.left])
                position += len(pieces[-1])
                self.left -= len(pieces[-1])
            found = self._framing.match(received, position)
            if found is None:
                break
            position = found.end()
            self._parse(found[0])
        if self.ended:
            self._begun, self.behind = b"", received[position:]
        else:
            self._begun = received[position:]
        return b"".join(pieces)

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
        """Read data, most of it to its place: only what stands behind a chunk is parsed."""
        parser, count = self._parser, 0
        max_bytes = min(len(buffer), self._max_bytes)
        if parser.chunks > self._max_chunks:
            return 0
        while max_bytes and not count and not (parser.ended or parser.fault):
            place = buffer[: min(max_bytes, parser.left + MAX_BEHIND_BYTES)]
            received = self._source.read_into(place)
            if not received:
                break
            count = self._parse(place, received)
        self._max_bytes -= count
        return count

    def _parse(self, place: memoryview, received: int) -> int:
        """Leave only the data of the bytes that were received; returns how many."""
        count = min(received, self._parser.left)
        self._parser.skip(count)
        if count == received:
            return count
        try:
            data = self._parser.feed(bytes(place[count:received]))
        except InvalidFraming as error:
            # The traceback would refer to this source.
            self._parser.fault = error.with_traceback(None)
            return count
        place[count : count + len(data)] = data
        return count + len(data)


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
