"""Minimal HTTP/1.1 server of a worker: POSTs with Content-Length over keep-alive connections.

The counterpart of `transports.http.client`, and as small; unsupported requests are refused.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import cast

from qmonus_lite.rate_limited_log import RateLimitedLog
from qmonus_lite.transports.http.codec import (
    BadHttpMessage,
    HttpRequest,
    HttpResponse,
    MessageReader,
    WorkerRequestHead,
    parse_request,
    write_response,
)
from qmonus_lite.transports.http.connection_limits import (
    SMALL_BODY_BYTES,
    ConnectionLimits,
    looks_signed,
)
from qmonus_lite.transports.http.keepalive import keep_alive

logger = logging.getLogger(__name__)

#: Seconds to receive a head and its body, and idle timeout of a connection.
IDLE_SECONDS = 60.0
#: Maximum number of concurrent connections.
MAX_CONNECTIONS = 2000

RequestHandler = Callable[[HttpRequest], Awaitable[HttpResponse]]


class Listener:
    """Accepts and serves connections on the given sockets until closed."""

    def __init__(self, handler: RequestHandler, *, max_connections: int = MAX_CONNECTIONS) -> None:
        self._handler = handler
        self._servers: list[asyncio.Server] = []
        self._limits = ConnectionLimits(max_connections=max_connections)
        self._rate_limited_log = RateLimitedLog(logger)

    async def listen(self, sockets: list[socket.socket]) -> None:
        """Start accepting connections."""
        loop = asyncio.get_running_loop()
        for server in sockets:
            # TCP keep-alive is inherited by accepted sockets: detects peers whose host is gone.
            keep_alive(server)
            self._servers.append(await loop.create_server(self._connect, sock=server))

    def stop(self) -> None:
        """Stop accepting connections, and close open connections after their current message."""
        for server in self._servers:
            server.close()
        for connection in list(self._limits.connections):
            cast(_ServerConnection, connection).close_when_idle()

    async def close(self) -> None:
        """Stop and close all connections."""
        self.stop()
        for connection in list(self._limits.connections):
            connection.close()
        await asyncio.sleep(0)

    def _connect(self) -> "_ServerConnection":
        return _ServerConnection(self._handler, self._limits, self._rate_limited_log)


class _ServerConnection(asyncio.Protocol):
    """One connection; handles one message at a time."""

    def __init__(
        self, handler: RequestHandler, limits: ConnectionLimits, rate_limited_log: RateLimitedLog
    ) -> None:
        self._handler = handler
        self._limits = limits
        self._rate_limited_log = rate_limited_log
        self._transport: asyncio.Transport | None = None
        self._reader = MessageReader(parse_request)
        #: Whether the body of the message being received is admitted by `ConnectionLimits`.
        self._admitted = False
        #: Bytes reserved in `ConnectionLimits` for the body being received.
        self._reserved = 0
        self._awaits_bytes = self._paused = False
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None
        self.authenticated = False

    @property
    def busy(self) -> bool:
        """True while a message is being handled."""
        return self._task is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self._limits.add(self):
            self._refuse(BadHttpMessage(503, "more connections than a worker takes"))
            return
        self._wait()

    def connection_lost(self, error: Exception | None) -> None:
        # The running task is not cancelled: an event must not be half handled because its APIGW
        # disconnected. Buffered further messages are discarded.
        self._limits.remove(self)
        self._transport = None
        self._reader.clear()
        self._release()
        self._stop_waiting()

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        if self._task is None and not self._awaits_bytes:
            self._read()
        else:
            self._pause()

    def resume(self) -> None:
        """Resume reading: bytes for the body are now reserved."""
        head = self._reader.head()
        assert head is not None
        self._awaits_bytes, self._reserved = False, head.length
        self._read()

    def close_when_idle(self) -> None:
        """Close the connection after the current message is answered."""
        self._closing = True
        if self._task is None:
            self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def _read(self) -> None:
        """Handle the next message if it is complete in the buffer."""
        if self._transport is None or self._transport.is_closing():
            return
        try:
            message = self._message()
        except BadHttpMessage as error:
            self._refuse(error)
            return
        if message is not None:
            self._stop_waiting()
            self._task = asyncio.get_running_loop().create_task(self._serve(message))
        if self._awaits_bytes or (message is not None and self._reader.pending):
            self._pause()
        else:
            self._resume()

    def _refuse(self, error: BadHttpMessage) -> None:
        self._rate_limited_log.warn(error, action="message_refused", status=error.status)
        self._closing = True
        self._write(HttpResponse(status=error.status, body=f"{error}\n".encode()))
        self.close()

    def _message(self) -> HttpRequest | None:
        if (head := self._reader.head()) is None:
            return None
        if not self._admitted:
            self._admitted = True
            self._reserve(head)
        if self._awaits_bytes or (body := self._reader.body()) is None:
            return None
        self._admitted = False
        self._release()
        return HttpRequest(path=head.path, headers=head.headers, body=body)

    def _reserve(self, head: WorkerRequestHead) -> None:
        if self.authenticated or head.length <= SMALL_BODY_BYTES:
            return
        if not looks_signed(head.headers):
            raise BadHttpMessage(401, "a long message that is not signed")
        if self._limits.reserve(self, head.length):
            self._reserved = head.length
        else:
            self._awaits_bytes = True

    def _release(self) -> None:
        count, self._reserved = self._reserved, 0
        if count:
            self._limits.release(count)

    def _pause(self) -> None:
        """Backpressure: stop reading from the socket."""
        if self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._transport is not None and self._paused:
            self._paused = False
            self._transport.resume_reading()

    async def _serve(self, message: HttpRequest) -> None:
        try:
            reply = await self._handler(message)
        except Exception:
            logger.exception("message failed", extra={"action": "message_failed"})
            reply = HttpResponse(status=500)
        # Close after a 4xx: the peer is not a known APIGW, or has to reconnect.
        self._closing |= HTTPStatus.BAD_REQUEST <= reply.status < HTTPStatus.INTERNAL_SERVER_ERROR
        self.authenticated |= reply.status == HTTPStatus.OK
        self._write(reply)
        self._task = None
        if self._closing:
            self.close()
            return
        self._wait()
        if self._reader.pending:
            self._read()
        else:
            self._resume()

    def _write(self, reply: HttpResponse) -> None:
        if self._transport is None:
            return
        self._transport.write(write_response(reply, close=self._closing))

    def _wait(self) -> None:
        if self._transport is not None:
            self._timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self.close)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
