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


def say_no_more(stream: IOStream) -> None:
    """Let the client see the end of the answer, although we go on reading."""
    # Under TLS this would look like an answer that was cut off.
    if not stream.closed() and not isinstance(stream, SSLIOStream):
        with contextlib.suppress(OSError):
            stream.socket.shutdown(socket.SHUT_WR)


async def linger(stream: IOStream, *, seconds: float = SECONDS) -> None:
    """Read until the client ends or the bounds are reached, then close."""
    say_no_more(stream)
    left = MOST_DRAINED
    with contextlib.suppress(StreamClosedError, TimeoutError):
        async with asyncio.timeout(seconds):
            while left > 0:
                left -= len(await stream.read_bytes(_CHUNK, partial=True))
    stream.close()
