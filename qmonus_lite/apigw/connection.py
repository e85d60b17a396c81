"""Server connection: fast path for small buffered uploads; Tornado serves all other requests.

Between two requests this module watches the socket. It peeks at the received bytes (`MSG_PEEK`)
before it reads them, so that Tornado can read a request that is not for the fast path from its
first byte. After Tornado's response this module watches the socket again.
"""

import asyncio
import contextlib
import logging
import socket
from dataclasses import dataclass
from typing import Any

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.httputil import HTTPServerConnectionDelegate
from tornado.iostream import IOStream, SSLIOStream, StreamClosedError, UnsatisfiableReadError

from qmonus_lite.apigw.buffered import (
    MAX_BUFFERED_BODY_BYTES,
    MAX_HEAD_BYTES,
    BufferedPut,
    BufferedUploads,
    ParsedPut,
    parse_plain_put,
)
from qmonus_lite.apigw.idle_timeout import IdleTimeout
from qmonus_lite.apigw.lingering_close import lingering_close
from qmonus_lite.apigw.socket_handoff import can_detach, stop_watching

logger = logging.getLogger(__name__)

#: Seconds to wait for the rest of a small body after its head; then Tornado reads it.
BODY_WAIT_SECONDS = 0.2

#: Peek buffer shared by all connections; valid only until the next await.
_peek_buffer = memoryview(bytearray(MAX_HEAD_BYTES + MAX_BUFFERED_BODY_BYTES))


class ConnectionContext:
    """Peer address and protocol, in the form that Tornado expects."""

    def __init__(self, stream: IOStream, address: Any) -> None:
        known = stream.socket.family in {socket.AF_INET, socket.AF_INET6} and address
        #: Peer address without the port; `0.0.0.0` when it has none.
        self.remote_ip: str = address[0] if known else "0.0.0.0"
        self.protocol = "https" if isinstance(stream, SSLIOStream) else "http"

    def __str__(self) -> str:
        return self.remote_ip


@dataclass(frozen=True, kw_only=True)
class ConnectionService:
    """State shared by the connections of one server."""

    #: Handles the requests read by Tornado; `on_close` is called for each closed connection.
    tornado: HTTPServerConnectionDelegate
    params: HTTP1ConnectionParameters
    heads: IdleTimeout
    #: Fast path for buffered uploads; None disables it.
    whole: BufferedUploads | None = None


class Connection:
    """One connection; replaces `tornado.http1connection.HTTP1ServerConnection`."""

    def __init__(self, stream: IOStream, address: Any, service: ConnectionService) -> None:
        self.stream = stream
        self._peer = ConnectionContext(stream, address)
        self._service = service
        self._loop = asyncio.get_running_loop()
        #: Task of the current request; kept because the event loop holds only weak references.
        self._task: asyncio.Task[None] | None = None
        #: True while a reader callback is registered in the event loop.
        self._watched = False
        #: Timer that ends the wait for the rest of a body.
        self._late: asyncio.TimerHandle | None = None
        self._ended: asyncio.Future[None] = self._loop.create_future()

    def start_serving(self) -> None:
        """Wait for the first request."""
        self._wait()

    def close(self) -> "asyncio.Future[None]":
        """Close the connection now; the future completes when the current request has ended."""
        self._stop_waiting()
        self.stream.close()
        if self._task is None:
            self._end()
        return asyncio.shield(self._ended)

    def _wait(self) -> None:
        """Wait for the next request."""
        if self.stream.closed():
            self._end()
        elif self._service.whole is None or not can_detach(self.stream):
            self._leave_to_tornado()
        else:
            self._service.heads.wait(self)
            if not self._watched:
                self._watched = True
                stop_watching(self.stream)
                self.stream.set_nodelay(True)
                self._loop.add_reader(self.stream.socket.fileno(), self._come)

    def _stop_waiting(self) -> None:
        self._stop_waiting_for_rest()
        if self._watched:
            self._watched = False
            self._loop.remove_reader(self.stream.socket.fileno())

    def _come(self) -> None:
        """Reader callback: the socket has bytes, or EOF."""
        if self._task is not None:
            # Pipelined behind a request in progress: they stay in the socket buffer.
            self._stop_waiting()
            return
        count = self._receive(0, socket.MSG_PEEK)
        if not count:
            self.close()
            return
        put, whole = parse_plain_put(_peek_buffer[:count]), self._service.whole
        found = whole.find(put) if put and whole else None
        if not (put and whole and found):
            self._leave_to_tornado()
        elif count < put.total:
            self._wait_for_rest(put)
        else:
            self._take(put, found, whole)

    def _receive(self, most: int, flags: int = 0) -> int:
        """Receive into `_peek_buffer`; returns the byte count, 0 at EOF or on a socket error."""
        try:
            return self.stream.socket.recv_into(_peek_buffer, most, flags)
        except OSError:
            return 0

    def _wait_for_rest(self, put: ParsedPut) -> None:
        """Wait briefly for the rest of the body: many clients send it right after the head."""
        if self._late is not None:
            # SO_RCVLOWAT is set, so a wake-up with fewer bytes means EOF.
            self._leave_to_tornado()
            return
        self._service.heads.came(self)
        self.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, put.total)
        self._late = self._loop.call_later(BODY_WAIT_SECONDS, self._leave_to_tornado)

    def _stop_waiting_for_rest(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
            with contextlib.suppress(OSError):
                self.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)

    def _take(self, put: ParsedPut, found: BufferedPut, whole: BufferedUploads) -> None:
        self._stop_waiting_for_rest()
        self._service.heads.came(self)
        if self._receive(put.total) != put.total:
            # All bytes were peeked before, so the connection was reset in between.
            self.close()
            return
        body = bytes(_peek_buffer[put.size : put.total])
        whole.begin(found)
        self._task = self._loop.create_task(self._answer(found, body, whole))

    async def _answer(self, found: BufferedPut, body: bytes, whole: BufferedUploads) -> None:
        try:
            answer, access = await whole.take(found, body, self._peer.remote_ip)
            request_id = access.record.request_id
            await self._send(answer.on_wire(request_id), request_id)
            access.log()
            if answer.closes:
                self._stop_waiting()
                await lingering_close(self.stream)
        except Exception:
            logger.exception("connection failed", extra={"action": "connection_failed"})
            self.close()
        self._task = None
        self._wait()

    async def _send(self, answer: bytes, request_id: str) -> None:
        if self.stream.closed():
            return
        try:
            sent = self.stream.socket.send(answer)
        except BlockingIOError:
            sent = 0
        except OSError:
            extra = {"action": "client_left", "request_id": request_id}
            logger.info("PUT: the client left", extra=extra)
            self.close()
            return
        if sent < len(answer):
            # The send buffer is full: a slow client; `WriteTimeout` limits the wait.
            self._stop_waiting()
            with contextlib.suppress(StreamClosedError):
                await self.stream.write(answer[sent:])

    def _leave_to_tornado(self) -> None:
        self._stop_waiting()
        self._task = self._loop.create_task(self._serve_by_tornado())

    async def _serve_by_tornado(self) -> None:
        """Serve requests with Tornado until the socket can return to the fast path."""
        try:
            while await self._next_by_tornado():
                if self._service.whole is not None and can_detach(self.stream):
                    self._task = None
                    self._wait()
                    return
                await asyncio.sleep(0)
        except (StreamClosedError, UnsatisfiableReadError) as error:
            # Avoid a reference cycle through the frames of the traceback.
            error.__traceback__ = None
        except Exception:
            logger.exception("connection failed", extra={"action": "connection_failed"})
        self._task = None
        self.close()

    async def _next_by_tornado(self) -> bool:
        """Serve one request with Tornado; returns whether another request may follow."""
        request = HTTP1Connection(self.stream, False, self._service.params, self._peer)
        delegate = self._service.tornado.start_request(self, request)
        return await request.read_response(delegate)

    def _end(self) -> None:
        if not self._ended.done():
            self._service.heads.came(self)
            self._service.tornado.on_close(self)
            if self.stream.error is not None:
                # Avoid a reference cycle: the traceback frames refer to the stream.
                self.stream.error.__traceback__ = None
            self._ended.set_result(None)
