"""Reads chunked bodies (RFC 9112, section 7.1); extensions and trailer fields are refused.

Tornado closes the connection without a response at a chunk-size line that is too long, and responds
without an explanation to any other malformed chunk.
"""

import re

from tornado.iostream import IOStream

from qmonus_lite.errors import InvalidFraming, RuleDescription, Stage
from qmonus_lite.http.tornado_internals import buffered_bytes

#: Maximum bytes of a chunk-size line; maximum digits of a size without leading zeros.
MAX_LINE_BYTES, MAX_SIZE_DIGITS = 64, 15
#: Chunks after which the bytes so far are handed over, so that the event loop gets its turn.
MAX_CHUNKS_PER_READ = 256

#: A line, or as many bytes as it may have.
_LINE = rf"(?:[^\n]{{0,{MAX_LINE_BYTES - 1}}}\n|[^\n]{{{MAX_LINE_BYTES}}})"
#: At the start of the unread bytes: the first line; the end of a chunk, and the line behind it, or
#: two bytes that are no end.
_FIRST_LINE = rf"\A{_LINE}".encode()
_NEXT_LINE = rf"\A(?:\r\n{_LINE}|(?!\r\n)(?s:..))".encode()
_SIZE = re.compile(rb"0*([0-9A-Fa-f]+)\r\n")

#: Applied by `ChunkedReader` to the chunks as they come.
RULES = (
    RuleDescription(
        name="chunks",
        stage=Stage.BODY,
        problems=(InvalidFraming,),
        refuses=f"chunks that are none: a size that is no number or above {MAX_SIZE_DIGITS} digits,"
        f" a line above {MAX_LINE_BYTES} bytes or without CRLF, a chunk extension, a trailer field",
    ),
)


class ChunkedReader:
    """The bytes of one chunked body, in pieces that do not depend on the size of its chunks."""

    def __init__(self, stream: IOStream) -> None:
        self._stream = stream
        #: Bytes of the current chunk that were not read.
        self._left = 0
        self._line = _FIRST_LINE
        #: True when the last chunk was read.
        self._ended = False

    async def read(self, max_bytes: int) -> bytes:
        """At most `max_bytes` that have come, at least one; empty at the end of the body.

        Raises InvalidFraming, and what the stream raises.
        """
        pieces: list[bytes] = []
        room, chunks = max_bytes, 0
        while room and chunks < MAX_CHUNKS_PER_READ and not self._ended:
            if pieces and buffered_bytes(self._stream) <= len(b"\r\n"):
                # The next line has not come; to wait for it would hold these bytes back.
                break
            if self._left:
                piece = await self._stream.read_bytes(min(room, self._left), partial=True)
                pieces.append(piece)
                room -= len(piece)
                self._left -= len(piece)
            else:
                await self._next_chunk()
                chunks += 1
        return b"".join(pieces)

    async def _next_chunk(self) -> None:
        line = await self._stream.read_until_regex(self._line)
        if self._line is _NEXT_LINE:
            if not line.startswith(b"\r\n"):
                raise InvalidFraming("a chunk is longer than its size")
            line = line[2:]
        self._line = _NEXT_LINE
        found = _SIZE.fullmatch(line)
        if found is None:
            raise InvalidFraming(_fault(line))
        if len(found[1]) > MAX_SIZE_DIGITS:
            raise InvalidFraming("the size of a chunk is beyond what any file has")
        self._left = int(found[1], 16)
        if not self._left:
            if await self._stream.read_bytes(2) != b"\r\n":
                raise InvalidFraming("trailer fields are not taken")
            self._ended = True


def _fault(line: bytes) -> str:
    """What is wrong with a chunk-size line."""
    if not line.endswith(b"\n"):
        return f"a chunk-size line is longer than {MAX_LINE_BYTES} bytes"
    if b";" in line:
        return "chunk extensions are not taken"
    if not line.endswith(b"\r\n"):
        return "a chunk-size line does not end with CRLF"
    return "the size of a chunk is no hexadecimal number"
