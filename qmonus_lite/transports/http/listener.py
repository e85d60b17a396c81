"""Minimal HTTP/1.1 server of a worker: POSTs with Content-Length over keep-alive connections.

The counterpart of `events.http_client`, and as small; unsupported requests are refused.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast

from qmonus_lite.rate_limited_log import RateLimitedLog
from qmonus_lite.transports.http.connection_limits import (
    SMALL_BODY_BYTES,
    ConnectionLimits,
    looks_signed,
)
from qmonus_lite.transports.http.keepalive import keep_alive

logger = logging.getLogger(__name__)

#: Maximum bytes of a head, and of a body.
MAX_HEAD_BYTES, MAX_BODY_BYTES = 16 << 10, 4 << 20
#: Seconds to receive a head and its body, and idle timeout of a connection.
IDLE_SECONDS = 60.0
#: Maximum number of concurrent connections.
MAX_CONNECTIONS = 2000


class BadMessage(Exception):
    """An invalid message; the connection is closed with `status`."""

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        super().__init__(reason)


@dataclass(frozen=True, kw_only=True)
class WorkerRequest:
    """A received POST request."""

    path: str
    #: Fields by lower-case name.
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class WorkerReply:
    """The response to a `WorkerRequest`."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


Answering = Callable[[WorkerRequest], Awaitable[WorkerReply]]


class Listener:
    """Accepts and serves connections on the given sockets until closed."""

    def __init__(self, answering: Answering, *, most_connections: int = MAX_CONNECTIONS) -> None:
        self._answering = answering
        self._servers: list[asyncio.Server] = []
        self._room = ConnectionLimits(most_connections=most_connections)
        self._rate_limited_log = RateLimitedLog(logger)

    async def listen(self, sockets: list[socket.socket]) -> None:
        """Start accepting connections."""
        loop = asyncio.get_running_loop()
        for one in sockets:
            # TCP keep-alive is inherited by accepted sockets: detects peers whose host is gone.
            keep_alive(one)
            self._servers.append(await loop.create_server(self._connect, sock=one))

    def stop(self) -> None:
        """Stop accepting connections, and close open connections after their current message."""
        for server in self._servers:
            server.close()
        for connection in list(self._room.guests):
            cast(_ServerConnection, connection).retire()

    async def close(self) -> None:
        """Stop and close all connections."""
        self.stop()
        for connection in list(self._room.guests):
            connection.hang_up()
        await asyncio.sleep(0)

    def _connect(self) -> "_ServerConnection":
        return _ServerConnection(self._answering, self._room, self._rate_limited_log)


class _ServerConnection(asyncio.Protocol):
    """One connection; handles one message at a time."""

    def __init__(
        self, answering: Answering, room: ConnectionLimits, rate_limited_log: RateLimitedLog
    ) -> None:
        self._answering = answering
        self._room = room
        self._rate_limited_log = rate_limited_log
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._head: tuple[str, dict[str, str], int] | None = None
        #: Bytes reserved in `ConnectionLimits` for the body being received.
        self._set_aside = 0
        self._awaits_room = self._paused = False
        self._task: asyncio.Task[None] | None = None
        self._retiring = False
        self._timer: asyncio.TimerHandle | None = None
        self.known = False

    @property
    def busy(self) -> bool:
        """True while a message is being handled."""
        return self._task is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self._room.enter(self):
            self._refuse(BadMessage(503, "more connections than a worker takes"))
            return
        self._wait()

    def connection_lost(self, error: Exception | None) -> None:
        # The running task is not cancelled: an event must not be half handled because its APIGW
        # disconnected. Buffered further messages are discarded.
        self._room.leave(self)
        self._transport = None
        self._buffer, self._head = bytearray(), None
        self._give_back()
        self._stop_waiting()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._task is None and not self._awaits_room:
            self._read()
        else:
            self._pause()

    def go_on(self) -> None:
        """Resume reading: bytes for the body are now reserved."""
        assert self._head is not None
        self._awaits_room, self._set_aside = False, self._head[2]
        self._read()

    def retire(self) -> None:
        """Close the connection after the current message is answered."""
        self._retiring = True
        if self._task is None:
            self.hang_up()

    def hang_up(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def _read(self) -> None:
        """Handle the next message if it is complete in the buffer."""
        if self._transport is None or self._transport.is_closing():
            return
        try:
            message = self._message()
        except BadMessage as error:
            self._refuse(error)
            return
        if message is not None:
            self._stop_waiting()
            self._task = asyncio.get_running_loop().create_task(self._serve(message))
        if self._awaits_room or (message is not None and self._buffer):
            self._pause()
        else:
            self._resume()

    def _refuse(self, error: BadMessage) -> None:
        self._rate_limited_log.warn(error, action="message_refused", status=error.status)
        self._retiring = True
        self._write(WorkerReply(status=error.status, body=f"{error}\n".encode()))
        self.hang_up()

    def _message(self) -> WorkerRequest | None:
        if self._head is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0 and len(self._buffer) > MAX_HEAD_BYTES:
                raise BadMessage(431, "the head of the message has no end")
            if end < 0:
                return None
            self._head = _parse(bytes(self._buffer[:end]))
            del self._buffer[: end + 4]
            self._set_room_aside()
        path, headers, length = self._head
        if self._awaits_room or len(self._buffer) < length:
            return None
        body = bytes(memoryview(self._buffer)[:length])
        del self._buffer[:length]
        self._head = None
        self._give_back()
        return WorkerRequest(path=path, headers=headers, body=body)

    def _set_room_aside(self) -> None:
        assert self._head is not None
        _, headers, length = self._head
        if self.known or length <= SMALL_BODY_BYTES:
            return
        if not looks_signed(headers):
            raise BadMessage(401, "a long message that is not signed")
        if self._room.take(self, length):
            self._set_aside = length
        else:
            self._awaits_room = True

    def _give_back(self) -> None:
        count, self._set_aside = self._set_aside, 0
        if count:
            self._room.give_back(count)

    def _pause(self) -> None:
        """Backpressure: stop reading from the socket."""
        if self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._transport is not None and self._paused:
            self._paused = False
            self._transport.resume_reading()

    async def _serve(self, message: WorkerRequest) -> None:
        try:
            reply = await self._answering(message)
        except Exception:
            logger.exception("message failed", extra={"action": "message_failed"})
            reply = WorkerReply(status=500)
        # Close after a 4xx: the peer is not a known APIGW, or has to reconnect.
        self._retiring |= HTTPStatus.BAD_REQUEST <= reply.status < HTTPStatus.INTERNAL_SERVER_ERROR
        self.known |= reply.status == HTTPStatus.OK
        self._write(reply)
        self._task = None
        if self._retiring:
            self.hang_up()
            return
        self._wait()
        if self._buffer:
            self._read()
        else:
            self._resume()

    def _write(self, reply: WorkerReply) -> None:
        if self._transport is None:
            return
        lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        lines += ["Connection: close"] if self._retiring else []
        lines.append(f"Content-Length: {len(reply.body)}")
        self._transport.write("\r\n".join([*lines, "", ""]).encode("latin-1") + reply.body)

    def _wait(self) -> None:
        if self._transport is not None:
            self._timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self.hang_up)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _parse(head: bytes) -> tuple[str, dict[str, str], int]:
    """Path, fields and length of the body; raises BadMessage."""
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or words[2] != "HTTP/1.1":
        raise BadMessage(400, "not an HTTP/1.1 request")
    if words[0] != "POST":
        raise BadMessage(405, "only POST is offered here")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or name.lower() in headers:
            raise BadMessage(400, "a field without a colon, or given twice")
        headers[name.lower()] = value.strip()
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()) or "transfer-encoding" in headers:
        raise BadMessage(411, "a message needs a Content-Length and no other framing")
    if len(length) > 9 or int(length) > MAX_BODY_BYTES:
        raise BadMessage(413, f"a message may have at most {MAX_BODY_BYTES} bytes")
    return words[1], headers, int(length)
