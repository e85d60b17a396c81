"""Accepting: connections are counted, and a process that has no descriptor left waits."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.iostream import IOStream, StreamClosedError
from tornado.web import Application

from qmonus_lite.apigw.answers import error_response
from qmonus_lite.apigw.connection import Connection, ConnectionService
from qmonus_lite.apigw.lingering_close import lingering_close
from qmonus_lite.apigw.write_timeout import WriteTimeout
from qmonus_lite.errors import Unavailable
from qmonus_lite.ids import new_id
from qmonus_lite.serving import CHUNK_BYTES

logger = logging.getLogger(__name__)

#: Connections accepted in one turn of the loop; where several processes accept from one socket,
#: each takes one at a time, so that nobody takes all of a burst.
ACCEPT_BATCH, SHARED_ACCEPT_BATCH = 128, 1
#: Seconds for which nothing is accepted after the process ran out of descriptors.
ACCEPT_BACKOFF_SECONDS = 0.25
#: Seconds between two log lines about one thing that every connection would say.
LOG_INTERVAL_SECONDS = 10.0
#: Connections above the cap that are told so; further ones are closed.
MAX_REFUSALS_PENDING = 64
#: Seconds for a client that is turned away to read why.
REFUSAL_SECONDS = 1.0


class RateLimitedLog:
    """Lets a log line through now and then, with the number of those that it held back."""

    def __init__(self) -> None:
        self._next = 0.0
        self._held = 0

    def warn(self, message: str, action: str) -> None:
        """Log it, unless it was said a moment ago."""
        now = IOLoop.current().time()
        if now < self._next:
            self._held += 1
            return
        logger.warning(message, extra={"action": action, "held_back": self._held})
        self._next, self._held = now + LOG_INTERVAL_SECONDS, 0


class Acceptor:
    """Accepts the connections of one listening socket."""

    def __init__(
        self,
        listening: socket.socket,
        take: Callable[[socket.socket, Any], None],
        *,
        batch: int = ACCEPT_BATCH,
    ) -> None:
        self._batch = batch
        self._socket = listening
        self._take = take
        self._loop = IOLoop.current()
        self._rarely = RateLimitedLog()
        self._pause: object | None = None
        self._watch()

    def close(self) -> None:
        """Accept no more."""
        if self._pause is None:
            self._loop.remove_handler(self._socket)
        else:
            self._loop.remove_timeout(self._pause)
        self._socket.close()

    def _watch(self) -> None:
        self._pause = None
        self._loop.add_handler(self._socket, self._ready, IOLoop.READ)

    def _ready(self, _socket: object, _events: int) -> None:
        for _ in range(self._batch):
            try:
                connection, address = self._socket.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                # EMFILE and its like: the connection stays in the queue, so that asking again at
                # once would only burn the processor until a descriptor is free.
                self._rarely.warn(f"cannot accept: {error.strerror}", "accept_failed")
                self._loop.remove_handler(self._socket)
                self._pause = self._loop.call_later(ACCEPT_BACKOFF_SECONDS, self._watch)
                return
            self._take(connection, address)


class GuardedServer(HTTPServer):
    """Tornado's server with a cap on connections and an accept loop of our own."""

    def initialize(self, *given: Any, **more: Any) -> None:
        """Tornado calls this in place of `__init__`."""
        super().initialize(*given, **more)
        #: Connections served at once.
        self.max_connections = 0
        #: Whether no other process accepts from its sockets.
        self.alone = True
        #: Closes connections whose clients read nothing; None while nobody watches.
        self.watch: WriteTimeout | None = None
        #: What connections are served with; `make_server` sets it.
        self.service: ConnectionService
        self._open = 0
        self._told: set[asyncio.Task[None]] = set()
        self._acceptors: list[Acceptor] = []
        self._rarely = RateLimitedLog()

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Begin to accept."""
        batch = ACCEPT_BATCH if self.alone else SHARED_ACCEPT_BATCH
        take = self._handle_connection
        self._acceptors += [Acceptor(one, take, batch=batch) for one in sockets]
        if self.watch is not None:
            self.watch.start()
        self.service.heads.start()

    def stop(self) -> None:
        """Accept no more; what is open goes on."""
        while self._acceptors:
            self._acceptors.pop().close()
        super().stop()

    def handle_stream(self, stream: IOStream, address: Any) -> None:
        """Serve a new connection, or turn it away."""
        if self._open < self.max_connections:
            self._open += 1
            if self.watch is not None:
                self.watch.add(stream)
            connection: Any = Connection(stream, address, self.service)
            self._connections.add(connection)
            connection.start_serving()
            return
        self._rarely.warn("more connections than --max_connections", "connection_refused")
        if len(self._told) >= MAX_REFUSALS_PENDING:
            stream.close()
            return
        task = asyncio.get_running_loop().create_task(_refuse_connection(stream))
        self._told.add(task)
        task.add_done_callback(self._told.discard)

    def start_request(self, server_conn: Any, request_conn: Any) -> Any:
        """The next request of a connection may come."""
        self.service.heads.wait(server_conn)
        return super().start_request(server_conn, request_conn)

    def on_close(self, server_conn: Any) -> None:
        """A connection that was served has ended."""
        self._open -= 1
        if self.watch is not None:
            self.watch.discard(server_conn.stream)
        super().on_close(server_conn)


async def _refuse_connection(stream: IOStream) -> None:
    with contextlib.suppress(StreamClosedError, TimeoutError):
        async with asyncio.timeout(REFUSAL_SECONDS):
            await stream.write(_too_many_connections())
    await lingering_close(stream, seconds=REFUSAL_SECONDS)


def _too_many_connections() -> bytes:
    request_id = new_id()
    answer = error_response(Unavailable("too many connections"), request_id)
    return answer.closing().on_wire(request_id)


def make_server(
    application: Application,
    *,
    tls: ssl.SSLContext | None,
    max_connections: int,
    timeout_seconds: float,
) -> GuardedServer:
    """The server of APIGW; a client that takes nothing for `patience` seconds is cut off."""
    server = GuardedServer(
        application,
        ssl_options=tls,
        chunk_size=CHUNK_BYTES,
        # Every door counts its body itself and says 413, where Tornado would only close.
        max_body_size=1 << 62,
        # A header block above this is closed without an answer.
        max_header_size=64 << 10,
    )
    # `heads` does that.
    server.conn_params.header_timeout = None
    server.service = ConnectionService(
        tornado=server,
        params=server.conn_params,
        heads=application.settings["heads"],
        whole=application.settings.get("whole"),
    )
    server.max_connections = max_connections
    server.watch = WriteTimeout(timeout_seconds)
    return server
