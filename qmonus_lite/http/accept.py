"""Accept loop and HTTP server with a connection limit and back-off when descriptors run out."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Any

from tornado.ioloop import IOLoop
from tornado.iostream import IOStream, StreamClosedError

from qmonus_lite.errors import ConnectionLimitReached, RuleDescription, Stage
from qmonus_lite.http.connection import Connection, ConnectionService
from qmonus_lite.http.idle_timeout import IDLE_SECONDS, IdleTimeout
from qmonus_lite.http.lingering_close import lingering_close
from qmonus_lite.http.pipeline import Pipeline
from qmonus_lite.http.response import error_response, head_on_wire
from qmonus_lite.http.tornado_adapter import make_application
from qmonus_lite.http.tornado_internals import ConnectionServer
from qmonus_lite.http.write_timeout import WriteTimeout
from qmonus_lite.ids import new_id
from qmonus_lite.rate_limited_log import RateLimitedLog
from qmonus_lite.serving import CHUNK_BYTES
from qmonus_lite.values import changed

logger = logging.getLogger(__name__)

#: Connections accepted per event loop iteration; where several processes accept from one socket,
#: each accepts one at a time, so that a burst is spread over all processes.
ACCEPT_BATCH, SHARED_ACCEPT_BATCH = 128, 1
#: Seconds without accepting after the process ran out of file descriptors.
ACCEPT_BACKOFF_SECONDS = 0.25
#: Connections above the limit that get a 503 at the same time; further ones are closed.
MAX_REFUSALS_PENDING = 64
#: Seconds to send the 503, and again for the lingering close.
REFUSAL_SECONDS = 1.0

#: Applied to each new connection, before anything is read from it.
RULES = (
    RuleDescription(
        name="connection-limit",
        stage=Stage.HEAD,
        problems=(ConnectionLimitReached,),
        refuses="a connection above `--max_connections`, before its head is read",
    ),
)


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
        self._rate_limited_log = RateLimitedLog(logger)
        self._pause: object | None = None
        self._watch()

    def close(self) -> None:
        """Stop accepting and close the listening socket."""
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
                # EMFILE and similar: the connection stays in the accept queue, so an immediate
                # retry would only busy-loop until a descriptor is free.
                message = f"cannot accept: {error.strerror}"
                self._rate_limited_log.warn(message, action="accept_failed")
                self._loop.remove_handler(self._socket)
                self._pause = self._loop.call_later(ACCEPT_BACKOFF_SECONDS, self._watch)
                return
            self._take(connection, address)


class GuardedServer(ConnectionServer):
    """Tornado's HTTP server with a connection limit and its own accept loop."""

    def initialize(self, *given: Any, **more: Any) -> None:
        """Set up the instance; Tornado calls this instead of `__init__`."""
        super().initialize(*given, **more)
        #: Maximum number of concurrent connections.
        self.max_connections = 0
        #: True if no other process accepts from the same sockets.
        self.alone = True
        #: Closes connections whose clients stop reading; None disables the write timeout.
        self.watch: WriteTimeout | None = None
        #: Shared state of the connections; set by `make_server`.
        self.service: ConnectionService
        self._connection_count = 0
        self._refusing: set[asyncio.Task[None]] = set()
        self._acceptors: list[Acceptor] = []
        self._rate_limited_log = RateLimitedLog(logger)

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Start accepting, and start the write and idle timeouts."""
        batch = ACCEPT_BATCH if self.alone else SHARED_ACCEPT_BATCH
        take = self.accept_connection
        self._acceptors += [Acceptor(listening, take, batch=batch) for listening in sockets]
        if self.watch is not None:
            self.watch.start()
        self.service.idle.start()

    def stop(self) -> None:
        """Stop accepting; open connections are kept."""
        while self._acceptors:
            self._acceptors.pop().close()
        super().stop()

    def handle_stream(self, stream: IOStream, address: Any) -> None:
        """Serve a new connection, or refuse it with 503 above the limit."""
        if self._connection_count < self.max_connections:
            self._connection_count += 1
            if self.watch is not None:
                self.watch.add(stream)
            connection: Any = Connection(stream, address, self.service)
            self.add_connection(connection)
            connection.start_serving()
            return
        self._rate_limited_log.warn(
            "more connections than --max_connections", action="connection_refused"
        )
        if len(self._refusing) >= MAX_REFUSALS_PENDING:
            stream.close()
            return
        task = asyncio.get_running_loop().create_task(_refuse_connection(stream))
        self._refusing.add(task)
        task.add_done_callback(self._refusing.discard)

    def start_request(self, server_conn: Any, request_conn: Any) -> Any:
        """Start the idle timeout for the next request of a connection."""
        self.service.idle.wait(server_conn)
        return super().start_request(server_conn, request_conn)

    def on_close(self, server_conn: Any) -> None:
        """Remove a served connection that was closed."""
        self._connection_count -= 1
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
    response = error_response(ConnectionLimitReached("too many connections"), request_id)
    assert isinstance(response.body, bytes)
    return head_on_wire(changed(response, closes=True), request_id) + response.body


def make_server(
    pipeline: Pipeline,
    *,
    tls: ssl.SSLContext | None,
    max_connections: int,
    timeout_seconds: float,
    idle_seconds: float = IDLE_SECONDS,
) -> GuardedServer:
    """Create a server of the requests that pass `pipeline`.

    `timeout_seconds` is the write timeout of a response, `idle_seconds` the time for a head.
    """
    idle = IdleTimeout(idle_seconds)
    server = GuardedServer(
        make_application(pipeline, idle),
        ssl_options=tls,
        chunk_size=CHUNK_BYTES,
        # Every endpoint limits its body itself and answers 413; Tornado would only close.
        max_body_size=1 << 62,
        # A larger header block closes the connection without a response.
        max_header_size=64 << 10,
    )
    # `IdleTimeout` replaces it.
    server.disable_header_timeout()
    server.service = ConnectionService(
        tornado=server, params=server.conn_params, idle=idle, pipeline=pipeline
    )
    server.max_connections = max_connections
    server.watch = WriteTimeout(timeout_seconds)
    return server
