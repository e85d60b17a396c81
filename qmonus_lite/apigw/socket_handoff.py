"""Lending: the socket of a connection for a while to somebody who reads it himself.

Tornado watches a connection also when nobody reads from it, to see it close; meanwhile it must not.
Leans on what `tornado.iostream` of 6.6 keeps in `_state` and `_read_buffer_size`.
"""

import contextlib
import os
from collections.abc import Iterator

from tornado.ioloop import IOLoop
from tornado.iostream import IOStream, SSLIOStream


def can_detach(stream: IOStream) -> bool:
    """Whether the next bytes of the body are those that the socket will give."""
    return not (
        isinstance(stream, SSLIOStream)
        or stream.closed()
        or stream.reading()
        or stream.writing()
        or stream._read_buffer_size
    )


@contextlib.contextmanager
def detached(stream: IOStream) -> Iterator[int]:
    """A descriptor to read from, good until the block ends, also when the stream is closed."""
    loop, descriptor = stream.io_loop, stream.socket.fileno()
    own = os.dup(descriptor)
    if stream._state is not None:
        loop.update_handler(descriptor, IOLoop.ERROR)
    try:
        yield own
    finally:
        os.close(own)
        if stream._state is not None and not stream.closed():
            loop.update_handler(descriptor, stream._state)


def stop_watching(stream: IOStream) -> None:
    """Have Tornado watch a lendable stream no longer; its next read or write begins anew."""
    if stream._state is not None:
        stream.io_loop.remove_handler(stream.socket.fileno())
        stream._state = None
