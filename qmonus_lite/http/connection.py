"""Server connection: reads small buffered requests itself, and leaves all others to Tornado.

Between two requests this module watches the socket. It peeks at the received bytes (`MSG_PEEK`)
before it reads them, so that Tornado can read a request that is not for the fast path from its
first byte. After Tornado's response this module watches the socket again.
"""

import asyncio
import contextlib
import logging
import socket
from typing import Any

from tornado.http1connection import HTTP1ConnectionParameters
from tornado.httputil import HTTPServerConnectionDelegate
from tornado.iostream import IOStream, SSLIOStream, StreamClosedError, UnsatisfiableReadError

from qmonus_lite.errors import Problem
from qmonus_lite.http.body import BufferedBody
from qmonus_lite.http.buffered import (
    MAX_BUFFERED_BODY_BYTES,
    MAX_HEAD_BYTES,
    ParsedPut,
    parse_plain_put,
)
from qmonus_lite.http.foreign_protocols import ForeignProtocol, recognize, refuse
from qmonus_lite.http.idle_timeout import IdleTimeout
from qmonus_lite.http.lingering_close import lingering_close
from qmonus_lite.http.pipeline import Pipeline
from qmonus_lite.http.request import Request, log_client_left, received
from qmonus_lite.http.response import Response, head_on_wire
from qmonus_lite.http.tornado_internals import RequestConnection, can_peek, stop_watching
from qmonus_lite.values import Value

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


class ConnectionService(Value, frozen=True, kw_only=True):
    """State shared by the connections of one server."""

    #: Handles the requests read by Tornado; `on_close` is called for each closed connection.
    tornado: HTTPServerConnectionDelegate
    params: HTTP1ConnectionParameters
    idle: IdleTimeout
    pipeline: Pipeline


class Connection:
    """One connection; replaces `tornado.http1connection.HTTP1ServerConnection`."""

    def __init__(self, stream: IOStream, address: Any, service: ConnectionService) -> None:
        self.stream = stream
        self._peer = ConnectionContext(stream, address)
        self._service = service
        self._loop = asyncio.get_running_loop()
        #: Task of the current request; kept because the event loop holds only weak references.
        self._task: asyncio.Task[None] | None = None
        #: True if the last response ends the connection.
        self._closes = False
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
        elif not can_peek(self.stream):
            self._leave_to_tornado()
        else:
            self._service.idle.wait(self)
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
        put = parse_plain_put(_peek_buffer[:count])
        if put is None:
            self._leave_unless_foreign(count)
        elif count < put.total:
            self._wait_for_rest(put)
        else:
            self._take(put)

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
        self._service.idle.came(self)
        self.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, put.total)
        self._late = self._loop.call_later(BODY_WAIT_SECONDS, self._leave_to_tornado)

    def _stop_waiting_for_rest(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
            with contextlib.suppress(OSError):
                self.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)

    def _take(self, put: ParsedPut) -> None:
        self._stop_waiting_for_rest()
        self._service.idle.came(self)
        if self._receive(put.total) != put.total:
            # All bytes were peeked before, so the connection was reset in between.
            self.close()
            return
        body = BufferedBody(bytes(_peek_buffer[put.size : put.total]))
        peer, proxies = self._peer, self._service.pipeline.state.proxies
        request = received(put.head, peer=peer.remote_ip, protocol=peer.protocol, proxies=proxies)
        self._task = self._loop.create_task(self._serve(request, body))

    async def _serve(self, request: Request, body: BufferedBody) -> None:
        try:
            await self._service.pipeline.serve(request, body, self._send)
            if self._closes:
                self._stop_waiting()
                await lingering_close(self.stream)
        except Exception:
            logger.exception("connection failed", extra={"action": "connection_failed"})
            self.close()
        self._task = None
        self._wait()

    async def _send(self, request: Request, response: Response) -> None:
        self._closes = response.closes
        if self.stream.closed():
            await response.release()
            return
        head = head_on_wire(response, request.record.request_id)
        if not isinstance(response.body, bytes):
            await self._send_stream(response, head)
            return
        data = head + response.body
        try:
            sent = self.stream.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            log_client_left(request)
            self.close()
            return
        if sent < len(data):
            # The send buffer is full: a slow client; `WriteTimeout` limits the wait.
            self._stop_waiting()
            with contextlib.suppress(StreamClosedError):
                await self.stream.write(data[sent:])

    async def _send_stream(self, response: Response, head: bytes) -> None:
        """Send a body from its source, in chunks if its length is not known."""
        assert not isinstance(response.body, bytes)
        self._stop_waiting()
        chunked = not response.has_length
        try:
            await self.stream.write(head)
            async for chunk in response.body:
                await self.stream.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk)
            if chunked:
                await self.stream.write(b"0\r\n\r\n")
        except StreamClosedError:
            logger.debug("client left", extra={"action": "client_left"})
        except Problem as error:
            # The head is already sent; close early so that the client sees a truncated body.
            logger.error("%s", error.detail, extra={"action": "backend_broke_off"})
            self.stream.close()
        finally:
            await response.release()

    def _leave_unless_foreign(self, count: int) -> None:
        """Leave the connection to Tornado, unless its first `count` bytes are no HTTP/1."""
        protocol = recognize(_peek_buffer[:count])
        if protocol is None:
            self._leave_to_tornado()
        else:
            self._stop_waiting()
            self._service.idle.came(self)
            self._task = self._loop.create_task(self._refuse(protocol))

    async def _refuse(self, protocol: ForeignProtocol) -> None:
        await refuse(self.stream, protocol, self._peer.remote_ip)
        self._task = None
        self.close()

    def _leave_to_tornado(self) -> None:
        self._stop_waiting()
        self._task = self._loop.create_task(self._serve_by_tornado())

    async def _serve_by_tornado(self) -> None:
        """Serve requests with Tornado until the socket can return to the fast path."""
        try:
            while await self._next_by_tornado():
                if can_peek(self.stream):
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
        request = RequestConnection(self.stream, False, self._service.params, self._peer)
        delegate = self._service.tornado.start_request(self, request)
        return await request.read_response(delegate)

    def _end(self) -> None:
        if not self._ended.done():
            self._service.idle.came(self)
            self._service.tornado.on_close(self)
            if self.stream.error is not None:
                # Avoid a reference cycle: the traceback frames refer to the stream.
                self.stream.error.__traceback__ = None
            self._ended.set_result(None)
