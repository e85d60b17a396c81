"""Lingering close: after the response, read and discard what the client still sends.

Closing a connection with unread bytes makes TCP reset it, and the client may lose the response in
transit (RFC 9112, section 9.6).
"""

import asyncio
import contextlib
import socket

from tornado.iostream import IOStream, SSLIOStream, StreamClosedError

#: Seconds without a byte, and seconds in all, until the connection is closed, as nginx has them
#: (`lingering_timeout`, `lingering_time`). There is no limit of bytes: a client that sends its
#: whole body before it reads would not get the response.
MAX_SILENT_SECONDS, MAX_SECONDS = 5.0, 30.0

_CHUNK_BYTES = 64 << 10


def half_close(stream: IOStream) -> None:
    """Half-close: shutdown(SHUT_WR), so that the client sees the end of the response."""
    # Under TLS, EOF without close_notify would look like a truncated response.
    if not stream.closed() and not isinstance(stream, SSLIOStream):
        with contextlib.suppress(OSError):
            stream.socket.shutdown(socket.SHUT_WR)


async def lingering_close(stream: IOStream, *, seconds: float = MAX_SECONDS) -> None:
    """Half-close, read until EOF or until a time is over, then close."""
    half_close(stream)
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    with contextlib.suppress(StreamClosedError, TimeoutError):
        async with asyncio.timeout(None) as timer:
            while True:
                timer.reschedule(min(end, loop.time() + MAX_SILENT_SECONDS))
                await stream.read_bytes(_CHUNK_BYTES, partial=True)
                # A read of bytes that are there does not give the event loop its turn.
                await asyncio.sleep(0)
    stream.close()
