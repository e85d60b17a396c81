"""Everything private to Tornado that this package uses, in one module.

Each name has a unit test (`tests/unit/http/test_tornado_internals.py`) that fails when a release of
Tornado changes what is relied on here; no other module may use a private name of Tornado.
"""

import contextlib
import socket
from collections.abc import Awaitable, Iterable, Iterator
from typing import Any

from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate
from tornado.ioloop import IOLoop
from tornado.iostream import IOStream, SSLIOStream, StreamClosedError
from tornado.web import RequestHandler


class RequestConnection(HTTP1Connection):
    """Tornado's connection for one request, where this package decides on four things.

    The body is read from the stream elsewhere (`StreamBody`); `100 Continue` is not sent by
    Tornado; the token `close` is recognized among others in `Connection`; and the header
    fields are kept as received.
    """

    #: True if there is no body, or it was read from the stream: the connection can be kept.
    body_taken = False
    #: Header fields as received, in order.
    fields: tuple[tuple[str, str], ...] = ()

    def _parse_headers(self, data: bytes) -> tuple[str, HTTPHeaders]:
        start_line, headers = super()._parse_headers(data)
        self.fields = tuple(headers.get_all())
        # Tornado would send 100 before anybody asked for the body, and compares case-sensitively.
        headers.pop("Expect", None)
        return start_line, headers

    def _can_keep_alive(self, start_line: Any, headers: HTTPHeaders) -> bool:
        tokens = headers.get("Connection", "").lower().split(",")
        return "close" not in map(str.strip, tokens) and super()._can_keep_alive(
            start_line, headers
        )

    def _read_body(
        self, code: int, headers: HTTPHeaders, delegate: HTTPMessageDelegate
    ) -> Awaitable[None] | None:
        if not self.body_taken:
            # The response was sent, or cannot be; Tornado must not take the body for a request.
            raise StreamClosedError
        return None


def can_detach(stream: IOStream) -> bool:
    """True if Tornado holds no bytes, so that the next ones are in the socket or its TLS object."""
    return not (stream.closed() or stream.reading() or stream.writing() or stream._read_buffer_size)


def can_peek(stream: IOStream) -> bool:
    """True if the next bytes are in the socket, and can be looked at there."""
    return not isinstance(stream, SSLIOStream) and can_detach(stream)


@contextlib.contextmanager
def detached(stream: IOStream) -> Iterator[socket.socket]:
    """Yield the socket of a detachable stream, for a thread; nothing else uses it in the block.

    Tornado watches a connection for closing also without a pending read; not within the block. A
    stream that is closed meanwhile closes its socket at the end of the block: a descriptor that is
    closed under a thread may become that of another connection.
    """
    loop, connection = stream.io_loop, stream.socket
    if stream._state is not None:
        loop.update_handler(connection.fileno(), IOLoop.ERROR)
    # A socket stays open until its file objects are closed; this one is used for nothing else.
    with connection.makefile("rb", buffering=0):
        try:
            yield connection
        finally:
            if stream._state is not None and not stream.closed():
                loop.update_handler(connection.fileno(), stream._state)


def unread(stream: IOStream, data: bytes) -> None:
    """Put back bytes that were read from a stream without a pending read; they are read next."""
    stream._read_buffer[:0] = data
    stream._read_buffer_size += len(data)


def stop_watching(stream: IOStream) -> None:
    """Stop Tornado watching a detachable stream; its next read or write resumes watching."""
    if stream._state is not None:
        stream.io_loop.remove_handler(stream.socket.fileno())
        stream._state = None


def buffered_bytes(stream: IOStream) -> int:
    """Bytes that the stream has received and that were not read from it."""
    return stream._read_buffer_size


def written_bytes(stream: IOStream) -> int:
    """Bytes that the stream has written to its socket."""
    return stream._total_write_done_index


class ConnectionServer(HTTPServer):
    """Tornado's HTTP server with connections of another class."""

    def accept_connection(self, connection: socket.socket, address: Any) -> None:
        """Serve an accepted socket; Tornado wraps it in a stream, with TLS if configured."""
        self._handle_connection(connection, address)

    def add_connection(self, connection: Any) -> None:
        """Register an open connection, which `close_all_connections` closes."""
        self._connections.add(connection)

    async def close_all_connections(self) -> None:
        """Close all connections at once; then wait for the requests that are in progress."""
        connections: Iterable[Any] = tuple(self._connections)
        for connection in connections:
            connection.close()
        await super().close_all_connections()

    @property
    def open_connections(self) -> Iterable[Any]:
        """The registered connections that are open."""
        return self._connections

    def disable_header_timeout(self) -> None:
        """No timeout of Tornado for a request head."""
        self.conn_params.header_timeout = None


def forget_body_future(handler: RequestHandler) -> None:
    """Break a reference cycle of a handler whose client left before the end of its body.

    The exception in the future refers to the frame that awaits it, and that to the handler.
    """
    prepared = handler._prepared_future
    if prepared is not None and prepared.done():
        handler.request._body_future = None
