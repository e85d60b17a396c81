"""The wire to the workers: HTTP/1.1 POSTs over kept connections, and nothing that we do not need.

A question stands before every upload, so its price is the gateway's price: measured here, the
general client costs three times the processor time (docs/decisions/wire.md). What is read is what
a worker of ours sends: a status line, fields, a body with Content-Length.
"""

import asyncio
import errno
import ssl
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from qmonus_lite.events.keepalive import keep_alive

#: Bytes of the head of an answer, and of its body, that are read at most.
MAX_HEAD_BYTES, MAX_BODY_BYTES = 16 << 10, 4 << 20
#: Seconds to connect; a connection that lay idle for longer than IDLE is not used again.
CONNECT_SECONDS, IDLE_SECONDS = 1.0, 30.0


class WorkerAway(Exception):
    """No connection could be made: nothing was sent."""

    def __init__(self, reason: str, *, silent: bool = False) -> None:
        #: Whether nothing answered at all, not even to refuse the connection.
        self.silent = silent
        super().__init__(reason)


class WorkerBroke(Exception):
    """The exchange ended without a whole answer, in time or at all."""


class WorkerGarbled(Exception):
    """Something answered that is no worker of ours, or answered nonsense."""


@dataclass(frozen=True, kw_only=True)
class HttpReply:
    """A whole answer."""

    status: int
    #: Fields by lower-case name.
    headers: Mapping[str, str]
    body: bytes


class _ClientConnection(asyncio.Protocol):
    """One connection, one exchange at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._head: tuple[int, dict[str, str], int] | None = None
        self._answer: asyncio.Future[HttpReply] | None = None
        #: When it became idle, by the clock of the loop.
        self.idle_since = 0.0

    @property
    def usable(self) -> bool:
        """Whether another exchange may go over it."""
        return self._transport is not None and not self._transport.is_closing()

    def exchange(self, request: bytes) -> "asyncio.Future[HttpReply]":
        """Send a request; the future gives the answer."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def abandon(self) -> None:
        """End it without a word to the other side, which is lost."""
        self._fail(WorkerBroke("the worker is lost"))
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        keep_alive(transport.get_extra_info("socket"))

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(WorkerBroke(str(error or "the worker hung up")))
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            self._read()
        except ValueError as error:
            self._fail(WorkerGarbled(str(error)))
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
    """Status, fields and length of the body; raises ValueError."""
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
    """Kept connections to workers, on one event loop."""

    def __init__(self) -> None:
        self._idle: dict[str, list[_ClientConnection]] = {}
        #: Connections with an exchange under way.
        self._busy: defaultdict[str, set[_ClientConnection]] = defaultdict(set)

    async def post(
        self, endpoint: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> HttpReply:
        """The answer to a POST; raises WorkerAway, WorkerBroke or WorkerGarbled.

        The caller bounds the time; an exchange that is cancelled hangs up.
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
        """Exchanges that wait for an answer; callable from any thread."""
        return len(self._busy.get(endpoint, ()))

    def abandon(self, endpoint: str) -> int:
        """End all connections to a worker that is lost; how many exchanges were under way."""
        busy = list(self._busy.get(endpoint, ()))
        for connection in (*busy, *self._idle.pop(endpoint, [])):
            connection.abandon()
        return len(busy)

    async def close(self) -> None:
        """Hang up everywhere."""
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()
        # Let the transports run their closing callbacks.
        await asyncio.sleep(0)

    def _keep(self, endpoint: str, connection: _ClientConnection) -> None:
        idle = self._idle.setdefault(endpoint, [])
        idle.append(connection)
        # The last come are used first, so what a burst needed grows old at the front.
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
        # Of ours, or ETIMEDOUT of the kernel.
        raise WorkerAway("no connection in time", silent=True) from None
    except OSError as error:
        raise WorkerAway(str(error), silent=error.errno == errno.EHOSTUNREACH) from None
    return connection
