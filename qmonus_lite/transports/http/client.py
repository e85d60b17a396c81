"""Minimal HTTP/1.1 client for the workers: POST requests over keep-alive connections.

Every upload starts with a query, so its CPU time limits the throughput of the gateway: in our
measurements a general-purpose client costs three times the CPU time (docs/decisions/wire.md). The
parser supports what our workers send: a status line, header fields, a body with Content-Length.
"""

import asyncio
import errno
import ssl
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from qmonus_lite.transports.http.keepalive import keep_alive

#: Maximum bytes of the head and of the body of a response.
MAX_HEAD_BYTES, MAX_BODY_BYTES = 16 << 10, 4 << 20
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


@dataclass(frozen=True, kw_only=True)
class HttpReply:
    """A complete response."""

    status: int
    #: Header fields by lower-case name.
    headers: Mapping[str, str]
    body: bytes


class _ClientConnection(asyncio.Protocol):
    """A client connection with one exchange at a time (no pipelining)."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._head: tuple[int, dict[str, str], int] | None = None
        self._answer: asyncio.Future[HttpReply] | None = None
        #: When it became idle, by the clock of the event loop.
        self.idle_since = 0.0

    @property
    def usable(self) -> bool:
        """Whether the connection is open and can be reused."""
        return self._transport is not None and not self._transport.is_closing()

    def exchange(self, request: bytes) -> "asyncio.Future[HttpReply]":
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
        self._buffer += data
        try:
            self._read()
        except ValueError as error:
            self._fail(InvalidReply(str(error)))
            self.close()

    def _read(self) -> None:
        if self._answer is None:
            raise ValueError("an answer to no question")
        if self._head is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > MAX_HEAD_BYTES:
                    raise ValueError("the head of the answer has no end")
                return
            self._head = _parse(bytes(self._buffer[:end]))
            del self._buffer[: end + 4]
        status, headers, length = self._head
        if len(self._buffer) < length:
            return
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        self._head = None
        answer, self._answer = self._answer, None
        if headers.get("connection", "").lower() == "close" or self._buffer:
            self.close()
        if not answer.done():
            answer.set_result(HttpReply(status=status, headers=headers, body=body))

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


def _parse(head: bytes) -> tuple[int, dict[str, str], int]:
    """Status, header fields and Content-Length; raises ValueError."""
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    code = rest[:3]
    if version != "HTTP/1.1" or not (code.isascii() and code.isdigit()):
        raise ValueError("the answer is not HTTP/1.1")
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError("a field of the answer has no colon")
        headers[name.lower()] = value.strip()
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()) or int(length) > MAX_BODY_BYTES:
        raise ValueError("the answer has no usable Content-Length")
    return int(code), headers, int(length)


class HttpClient:
    """Connection pool for workers, on one event loop."""

    def __init__(self) -> None:
        self._idle: dict[str, list[_ClientConnection]] = {}
        #: Connections with an exchange in progress, by endpoint.
        self._busy: defaultdict[str, set[_ClientConnection]] = defaultdict(set)

    async def post(
        self, endpoint: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> HttpReply:
        """The response to a POST; raises ConnectFailed, ExchangeFailed or InvalidReply.

        The caller sets the timeout; a cancelled exchange closes its connection.
        """
        connection = self._kept(endpoint) or await _connect(endpoint)
        busy = self._busy[endpoint]
        busy.add(connection)
        try:
            reply = await connection.exchange(_request(endpoint, path, headers, body))
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


def _request(endpoint: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    host = endpoint.partition("://")[2]
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


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
