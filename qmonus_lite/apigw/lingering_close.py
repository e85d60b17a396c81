"""Lingering: what a client still sends after its answer is read for a while, and thrown away.

Closing a connection with unread bytes makes TCP reset it, and the client may lose the answer that
was on its way (RFC 9112, section 9.6).
"""

import asyncio
import contextlib
import socket

from tornado.iostream import IOStream, SSLIOStream, StreamClosedError

#: Bytes, and seconds, for which a client is read out.
MAX_DRAINED_BYTES, LINGER_SECONDS = 64 << 20, 5.0

_CHUNK_BYTES = 64 << 10


def half_close(stream: IOStream) -> None:
    """Let the client see the end of the answer, although we go on reading."""
    # Under TLS this would look like an answer that was cut off.
    if not stream.closed() and not isinstance(stream, SSLIOStream):
        with contextlib.suppress(OSError):
            stream.socket.shutdown(socket.SHUT_WR)


async def lingering_close(stream: IOStream, *, seconds: float = LINGER_SECONDS) -> None:
    """Read until the client ends or the bounds are reached, then close."""
    half_close(stream)
    left = MAX_DRAINED_BYTES
    with contextlib.suppress(StreamClosedError, TimeoutError):
        async with asyncio.timeout(seconds):
            while left > 0:
                left -= len(await stream.read_bytes(_CHUNK_BYTES, partial=True))
    stream.close()
