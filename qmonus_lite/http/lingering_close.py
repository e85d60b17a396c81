"""Lingering close: after the response, read and discard what the client still sends.

Closing a connection with unread bytes makes TCP reset it, and the client may lose the response in
transit (RFC 9112, section 9.6).
"""

import asyncio
import contextlib
import socket

from tornado.iostream import IOStream, SSLIOStream, StreamClosedError

#: Maximum bytes, and seconds, of data that is read and discarded.
MAX_DRAINED_BYTES, LINGER_SECONDS = 64 << 20, 5.0

_CHUNK_BYTES = 64 << 10


def half_close(stream: IOStream) -> None:
    """Half-close: shutdown(SHUT_WR), so that the client sees the end of the response."""
    # Under TLS, EOF without close_notify would look like a truncated response.
    if not stream.closed() and not isinstance(stream, SSLIOStream):
        with contextlib.suppress(OSError):
            stream.socket.shutdown(socket.SHUT_WR)


async def lingering_close(stream: IOStream, *, seconds: float = LINGER_SECONDS) -> None:
    """Half-close, read until EOF or a limit is reached, then close."""
    half_close(stream)
    left = MAX_DRAINED_BYTES
    with contextlib.suppress(StreamClosedError, TimeoutError):
        async with asyncio.timeout(seconds):
            while left > 0:
                left -= len(await stream.read_bytes(_CHUNK_BYTES, partial=True))
    stream.close()
