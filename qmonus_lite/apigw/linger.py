"""Lingering: what a client still sends after its answer is read for a while, and thrown away.

Closing a connection with unread bytes makes TCP reset it, and the client may lose the answer that
was on its way (RFC 9112, section 9.6).
"""

import asyncio
import contextlib
import socket

from tornado.iostream import IOStream, SSLIOStream, StreamClosedError

#: Bytes, and seconds, for which a client is read out.
MOST_DRAINED, SECONDS = 64 << 20, 5.0

_CHUNK = 64 << 10


async def linger(stream: IOStream, *, seconds: float = SECONDS) -> None:
    """Say that no more is sent, read until the client ends or the bounds are reached, close."""
    left = MOST_DRAINED
    with contextlib.suppress(StreamClosedError, OSError, TimeoutError):
        if not isinstance(stream, SSLIOStream):
            # Under TLS this would look like an answer that was cut off.
            stream.socket.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(seconds):
            while left > 0:
                left -= len(await stream.read_bytes(_CHUNK, partial=True))
    stream.close()
