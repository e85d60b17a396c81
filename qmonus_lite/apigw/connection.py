"""A connection: small uploads that came whole are taken at once, all else is Tornado's.

Between two requests the socket is ours. Its bytes are looked at before they are taken (`MSG_PEEK`),
so that Tornado finds what is not for us as if nobody had looked; when it has answered, the socket
is ours again.
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

#: Seconds for the rest of a small body whose head is there; then Tornado waits for it.
BODY_WAIT_SECONDS = 0.2

#: What was looked at last; one for all, since nobody keeps it over a turn of the loop.
_peek_buffer = memoryview(bytearray(MAX_HEAD_BYTES + MAX_BUFFERED_BODY_BYTES))


class ConnectionContext:
    """Who is at the other end, as Tornado asks for it."""

    def __init__(self, stream: IOStream, address: Any) -> None:
        known = stream.socket.family in {socket.AF_INET, socket.AF_INET6} and address
        #: Its address, without the port.
        self.remote_ip: str = address[0] if known else "0.0.0.0"
        self.protocol = "https" if isinstance(stream, SSLIOStream) else "http"

    def __str__(self) -> str:
        return self.remote_ip


@dataclass(frozen=True, kw_only=True)
class ConnectionService:
    """What the connections of one server share."""

    #: Answers the requests that Tornado reads, and is told when a connection has ended.
    tornado: HTTPServerConnectionDelegate
    params: HTTP1ConnectionParameters
    heads: IdleTimeout
    #: Takes whole uploads; None where there are none.
    whole: BufferedUploads | None = None


class Connection:
    """One connection; in place of `tornado.http1connection.HTTP1ServerConnection`."""

    def __init__(self, stream: IOStream, address: Any, service: ConnectionService) -> None:
        self.stream = stream
        self._peer = ConnectionContext(stream, address)
        self._service = service
        self._loop = asyncio.get_running_loop()
        #: What answers the request under way; the loop itself holds no task.
        self._task: asyncio.Task[None] | None = None
        #: Whether the loop calls us when bytes come.
        self._watched = False
        #: When the rest of a body is no longer waited for here.
        self._late: asyncio.TimerHandle | None = None
        self._ended: asyncio.Future[None] = self._loop.create_future()

    def start_serving(self) -> None:
        """Begin."""
        self._wait()

    def close(self) -> "asyncio.Future[None]":
        """Close it now; done once what is under way has come to its end."""
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
        """Bytes came, or the end."""
        if self._task is not None:
            # Behind a request that is not answered yet: they have to wait.
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
        """Bytes that `_seen` has now; none at the end, however the connection ended."""
        try:
            return self.stream.socket.recv_into(_peek_buffer, most, flags)
        except OSError:
            return 0

    def _wait_for_rest(self, put: ParsedPut) -> None:
        """The head is there, and many clients send the body behind it right after."""
        if self._late is not None:
            # It did not come: what woke us is the end.
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
            # All of it was seen there: the client broke off in this very moment.
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
            # A client that reads slowly, or not at all; others watch for how long.
            self._stop_waiting()
            with contextlib.suppress(StreamClosedError):
                await self.stream.write(answer[sent:])

    def _leave_to_tornado(self) -> None:
        self._stop_waiting()
        self._task = self._loop.create_task(self._serve_by_tornado())

    async def _serve_by_tornado(self) -> None:
        """Let Tornado answer requests, until the next one may be ours."""
        try:
            while await self._next_by_tornado():
                if self._service.whole is not None and can_detach(self.stream):
                    self._task = None
                    self._wait()
                    return
                await asyncio.sleep(0)
        except (StreamClosedError, UnsatisfiableReadError) as error:
            # One of the frames that it came through may refer to it.
            error.__traceback__ = None
        except Exception:
            logger.exception("connection failed", extra={"action": "connection_failed"})
        self._task = None
        self.close()

    async def _next_by_tornado(self) -> bool:
        """Let Tornado answer one request; whether another one may follow."""
        request = HTTP1Connection(self.stream, False, self._service.params, self._peer)
        delegate = self._service.tornado.start_request(self, request)
        return await request.read_response(delegate)

    def _end(self) -> None:
        if not self._ended.done():
            self._service.heads.came(self)
            self._service.tornado.on_close(self)
            if self.stream.error is not None:
                # It refers to the frames that it came through, and these to the stream.
                self.stream.error.__traceback__ = None
            self._ended.set_result(None)
