"""Minimal HTTP/1.1 client for the workers: POST requests over keep-alive connections.

Every upload starts with a query, so its CPU time limits the throughput of the gateway: in our
measurements a general-purpose client costs three times the CPU time (docs/decisions/wire.md).
"""

import asyncio
import errno
import ssl
from collections import defaultdict
from typing import cast
from urllib.parse import urlsplit

from qmonus_lite.transports.http.codec import (
    BadHttpMessage,
    HttpRequest,
    HttpResponse,
    MessageReader,
    parse_response,
    write_request,
)
from qmonus_lite.transports.http.keepalive import keep_alive

#: Connect timeout, and idle timeout after which a connection is not reused; seconds.
CONNECT_SECONDS, IDLE_SECONDS = 1.0, 30.0


class ConnectFailed(Exception):
    """Connecting failed: nothing was sent."""

    def __init__(self, reason: str, *, silent: bool = False) -> None:
        #: Whether nothing replied (timeout or EHOSTUNREACH), not even to refuse the connection.
        self.silent = silent
        super().__init__(reason)


class ExchangeFailed(Exception):
    """The exchange ended, by timeout or disconnect, without a complete response."""


class InvalidReply(Exception):
    """The response is malformed or does not come from one of our workers."""


class _ClientConnection(asyncio.Protocol):
    """A client connection with one exchange at a time (no pipelining)."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._reader = MessageReader(parse_response)
        self._answer: asyncio.Future[HttpResponse] | None = None
        #: When it became idle, by the clock of the event loop.
        self.idle_since = 0.0

    @property
    def usable(self) -> bool:
        """Whether the connection is open and can be reused."""
        return self._transport is not None and not self._transport.is_closing()

    def exchange(self, request: bytes) -> "asyncio.Future[HttpResponse]":
        """Send a request; the future gives the response."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def abandon(self) -> None:
        """Abort the connection to a lost worker without a TCP or TLS shutdown."""
        self._fail(ExchangeFailed("the worker is lost"))
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        keep_alive(transport.get_extra_info("socket"))

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(ExchangeFailed(str(error or "the worker hung up")))
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            self._read()
        except BadHttpMessage as error:
            self._fail(InvalidReply(str(error)))
            self.close()

    def _read(self) -> None:
        if self._answer is None:
            raise BadHttpMessage(502, "a response without a request")
        if (head := self._reader.head()) is None or (body := self._reader.body()) is None:
            return
        answer, self._answer = self._answer, None
        if head.headers.get("connection", "").lower() == "close" or self._reader.pending:
            self.close()
        if not answer.done():
            answer.set_result(HttpResponse(status=head.status, headers=head.headers, body=body))

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


class HttpClient:
    """Connection pool for workers, on one event loop."""

    def __init__(self) -> None:
        self._idle: dict[str, list[_ClientConnection]] = {}
        #: Connections with an exchange in progress, by endpoint.
        self._busy: defaultdict[str, set[_ClientConnection]] = defaultdict(set)

    async def post(self, endpoint: str, request: HttpRequest) -> HttpResponse:
        """The response to a request; raises ConnectFailed, ExchangeFailed or InvalidReply.

        The caller sets the timeout; a cancelled exchange closes its connection.
        """
        connection = self._kept(endpoint) or await _connect(endpoint)
        busy = self._busy[endpoint]
        busy.add(connection)
        try:
            reply = await connection.exchange(write_request(endpoint.partition("://")[2], request))
        except BaseException:
            connection.close()
            raise
        finally:
            busy.discard(connection)
        if connection.usable:
            connection.idle_since = asyncio.get_running_loop().time()
            self._keep(endpoint, connection)
        return reply

    def under_way(self, endpoint: str) -> int:
        """Number of exchanges that wait for a response; thread-safe."""
        return len(self._busy.get(endpoint, ()))

    def abandon(self, endpoint: str) -> int:
        """Abort all connections to a lost worker; returns the number of exchanges in progress."""
        busy = list(self._busy.get(endpoint, ()))
        for connection in (*busy, *self._idle.pop(endpoint, [])):
            connection.abandon()
        return len(busy)

    async def close(self) -> None:
        """Close all idle connections."""
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()
        # Let the transports run their closing callbacks.
        await asyncio.sleep(0)

    def _keep(self, endpoint: str, connection: _ClientConnection) -> None:
        idle = self._idle.setdefault(endpoint, [])
        idle.append(connection)
        # LIFO reuse: the surplus connections of a burst age at the front of the list.
        while connection.idle_since - idle[0].idle_since > IDLE_SECONDS:
            idle.pop(0).close()

    def _kept(self, endpoint: str) -> _ClientConnection | None:
        now = asyncio.get_running_loop().time()
        idle = self._idle.get(endpoint, [])
        while idle:
            connection = idle.pop()
            if connection.usable and now - connection.idle_since < IDLE_SECONDS:
                return connection
            connection.close()
        return None


async def _connect(endpoint: str) -> _ClientConnection:
    parts = urlsplit(endpoint)
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, connection = await loop.create_connection(
                _ClientConnection, parts.hostname or "", parts.port or 0, ssl=tls
            )
    except TimeoutError:
        # From asyncio.timeout(), or ETIMEDOUT of the kernel.
        raise ConnectFailed("no connection in time", silent=True) from None
    except OSError as error:
        raise ConnectFailed(str(error), silent=error.errno == errno.EHOSTUNREACH) from None
    return connection
