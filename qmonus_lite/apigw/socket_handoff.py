"""Socket hand-off: detach a socket from Tornado temporarily, to read from it directly.

Tornado watches a connection for closing also without a pending read; this is suspended meanwhile.
Depends on `_state` and `_read_buffer_size` of `tornado.iostream` 6.6.
"""

import contextlib
import os
from collections.abc import Iterator

from tornado.ioloop import IOLoop
from tornado.iostream import IOStream, SSLIOStream


def can_detach(stream: IOStream) -> bool:
    """True if Tornado holds no buffered bytes, so that the next bytes are in the socket."""
    return not (
        isinstance(stream, SSLIOStream)
        or stream.closed()
        or stream.reading()
        or stream.writing()
        or stream._read_buffer_size
    )


@contextlib.contextmanager
def detached(stream: IOStream) -> Iterator[int]:
    """Yield a duplicate descriptor; valid until the block ends, even if the stream is closed."""
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
    """Stop Tornado watching a detachable stream; its next read or write resumes watching."""
    if stream._state is not None:
        stream.io_loop.remove_handler(stream.socket.fileno())
        stream._state = None
