"""Base request handler of APIGW: request id, bounded body, problem responses, access record.

All handlers stream the body (`stream_request_body`), so that a request is checked by its head
before any byte of the body is kept. A request refused before its body arrived is answered first;
the rest of the body is then read and discarded within bounds (`lingering_close`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from tornado.httputil import HTTPHeaders
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, stream_request_body

from qmonus_lite import strictjson
from qmonus_lite.apigw import framing
from qmonus_lite.apigw.answers import (
    Response,
    date,
    encoded,
    error_response,
    reason,
)
from qmonus_lite.apigw.body_timeout import BodyTimeout
from qmonus_lite.apigw.endpoint import MAX_UNUSED_BODY_BYTES
from qmonus_lite.apigw.framing import RequestHead
from qmonus_lite.apigw.json_values import json_value
from qmonus_lite.apigw.limits import Limits
from qmonus_lite.apigw.lingering_close import (
    LINGER_SECONDS,
    MAX_DRAINED_BYTES,
    half_close,
    lingering_close,
)
from qmonus_lite.apigw.methods import Methods
from qmonus_lite.apigw.refusal_response import internal_fault, log_client_left, put_body
from qmonus_lite.apigw.release import Ending
from qmonus_lite.errors import (
    LengthRequired,
    Problem,
    Refusal,
    RequestTimeout,
    Stopping,
    Terminated,
    TooLarge,
    problem_by_status,
    refusal_of,
)
from qmonus_lite.headers import Headers
from qmonus_lite.ids import new_id
from qmonus_lite.log import bound

logger = logging.getLogger(__name__)


@stream_request_body
class BaseHandler(Methods, Ending):
    """Base of all handlers of APIGW."""

    #: Bytes of the body consumed so far.
    received = 0
    #: Reason of the refusal, for the access record.
    refusal: Refusal | None = None
    #: True while the request runs to completion even if the client disconnects.
    committed = False

    def clear(self) -> None:
        """Reset the response, also for errors; sets APIGW's headers instead of Tornado's.

        Tornado calls it first, from the constructor.
        """
        if not hasattr(self, "request_id"):
            self.request_id = new_id()
            self.request_head = RequestHead.of(self.request)
            self._drained = 0
            self._watch: BodyTimeout | None = None
            self._cutting: asyncio.TimerHandle | None = None
            super().clear()
        self._headers = headers = HTTPHeaders()
        headers["Date"] = date()
        headers["Server"] = "qmonus-lite"
        headers["X-Request-Id"] = self.request_id
        headers["Content-Type"] = "text/html; charset=UTF-8"
        self._write_buffer = []
        self.set_status(200)

    async def prepare(self) -> None:
        """Check the request head; a refusal is answered here, before the body is read."""
        if self.stream.closed():
            # Tornado processes a pipelined request although the connection was closed.
            self.finish()
            return
        self.application.settings["active"].add(self)
        with bound(request_id=self.request_id):
            try:
                self._check_head()
                await self.check()
                self.check_method()
            except (Problem, Terminated) as error:
                await self._refuse_before_body(error)
            else:
                self._start_body_timeout()
                await self.receive()

    async def receive(self) -> None:
        """Read the body, or most of it, before Tornado does; does nothing by default."""

    async def check(self) -> None:
        """Check the request head; raises Problem or Terminated."""

    def on_done(self) -> None:
        """Stop the body timeout and remove the request from the active set; idempotent."""
        if self._watch is not None:
            self._watch.stop()
            # Breaks a reference cycle, which only the garbage collector would free.
            self._watch = None
        self.application.settings["active"].discard(self)

    def let_go(self) -> None:
        """Release the memory and timers of the request; idempotent."""
        if self._cutting is not None:
            self._cutting.cancel()

    def on_connection_close(self) -> None:
        """The client disconnected; a committed request stays in the active set."""
        super().on_connection_close()
        if not self.committed:
            self.on_done()
        if not self._finished:
            log_client_left(self)

    async def data_received(self, chunk: bytes) -> None:
        """Consume a chunk of the body, or discard it after a refusal."""
        if self.refused:
            self._drained += len(chunk)
            if self._drained > MAX_DRAINED_BYTES:
                self._stop_draining()
            return
        await self.consume(lambda: self.take(chunk))

    async def consume(self, take: Callable[[], Awaitable[int]]) -> int:
        """Await `take` and return its byte count; exceptions are turned into a refusal."""
        count = 0
        if self._watch is not None:
            self._watch.stop()
        with bound(request_id=self.request_id):
            try:
                count = await take()
            except (Problem, Terminated) as error:
                await self.refuse(error)
            except Exception as error:
                # Tornado would close the connection without a response
                # (https://github.com/tornadoweb/tornado/issues/1223).
                logger.exception("body not taken", extra={"action": "body_failed"})
                await self.refuse(internal_fault(error))
        self.received += count
        if (
            self._watch is not None
            and self.received != self.request_head.length
            and not self.refused
        ):
            self._watch.wait(self.received)
        return count

    def body_came(self) -> None:
        """Stop the body timeout: the body is complete."""
        if self._watch is not None:
            self._watch.stop()

    async def take(self, chunk: bytes) -> int:
        """Discard a chunk of an unused body; returns its size. Raises TooLarge."""
        if self.received + len(chunk) > MAX_UNUSED_BODY_BYTES:
            raise TooLarge(f"a body may have at most {MAX_UNUSED_BODY_BYTES} bytes here")
        return len(chunk)

    @property
    def fields(self) -> Headers:
        """Request headers, repeated fields combined."""
        return Headers.combined(self.request.headers.get_all())

    @property
    def limits(self) -> Limits:
        """Limits of a request."""
        limits: Limits = self.application.settings["limits"]
        return limits

    @property
    def client(self) -> str:
        """Client address, for logs and backends; uses X-Forwarded-For of trusted proxies."""
        forwarded = self.request.headers.get_list("X-Forwarded-For")
        return self.limits.client(self.request.remote_ip or "", forwarded)

    @property
    def scheme(self) -> str:
        """`http` or `https`, as requested by the client."""
        said = self.request.headers.get("X-Forwarded-Proto", "")
        return self.limits.scheme(self.request.remote_ip or "", self.request.protocol, said)

    @property
    def stream(self) -> Any:
        """Tornado stream of the connection."""
        return self.request.connection.stream  # type: ignore[union-attr]

    async def _refuse_before_body(self, error: Problem | Terminated) -> None:
        """Send the error response before the body is read; the body is not processed."""
        self.refused = True
        self.on_done()
        self.let_go()
        body = self._error_body(error)
        put_body(self, body)
        if not self.request_head.body_follows and self.has_known_method:
            # No body to discard, so keep the connection open (keep-alive): the response is
            # finished by `_end`, which Tornado calls as the request method.
            self.go_on_to(self._end)
            return
        self.set_header("Connection", "close")
        try:
            await self.flush()
        except StreamClosedError:
            logger.debug("client left", extra={"action": "client_left"})
        await lingering_close(self.stream)
        self.finish()

    async def refuse(self, error: Problem | Terminated) -> None:
        """Send the error response while the body is arriving; the rest of it is discarded."""
        if self.refused or self._finished:
            return
        self.refused = True
        self.on_done()
        self.let_go()
        body = self._error_body(error)
        put_body(self, body)
        self.set_header("Connection", "close")
        self.go_on_to(self._end)
        try:
            await self.flush()
        except StreamClosedError:
            logger.debug("client left", extra={"action": "client_left"})
        half_close(self.stream)
        self._cutting = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._stop_draining)

    def _stop_draining(self) -> None:
        """Stop discarding the body: a drain limit was reached."""
        if not self._finished:
            self.finish()

    def _start_body_timeout(self) -> None:
        """Start the body timeout after the head was accepted."""
        length = self.request_head.length
        # A small body may already be in Tornado's read buffer, read together with the head.
        here = length is not None and length <= self.stream._read_buffer_size
        if self.request_head.body_follows and not self._finished and not here:
            self._watch = BodyTimeout(self.limits.pace, self._body_timed_out)
            self._watch.wait(0)

    def _body_timed_out(self) -> None:
        background: Any = self.application.settings["background"]
        background(self._refuse_timed_out())

    async def _refuse_timed_out(self) -> None:
        if not self.refused and not self._finished:
            await self.refuse(RequestTimeout("the body stopped coming, or came too slowly"))
            self._stop_draining()

    async def _end(self, *_path: str) -> None:
        """Called instead of the request method after a refusal; the response is already written."""
        if self._finished:
            return
        await self.finish()
        if self.request_head.body_follows:
            # `Connection: close` was sent; Tornado itself would keep the connection open.
            self.stream.close()

    def answer(self, error: Problem | Terminated) -> None:
        """Send an error response; the body must have been received."""
        self.finish(self._error_body(error))

    def send_json(self, value: object, status: int = 200) -> None:
        """Send `value` as a JSON response."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(encoded(strictjson.write_for_people(value) + "\n"))

    def send_value(self, value: object, status: int = 200) -> None:
        """Send a dataclass as a JSON response."""
        self.send_json(json_value(value), status)

    def write_error(self, status_code: int, **details: Any) -> None:
        """Send a Tornado error as a problem response; details of unknown errors are only logged."""
        error = details.get("exc_info", (None, None))[1]
        if not isinstance(error, (Problem, Terminated)):
            detail = HTTPStatus(status_code).description or "see the log under the request id"
            error = problem_by_status(status_code, detail)
            if self.request_head.body_follows:
                self.set_header("Connection", "close")
        self.answer(error)

    def log_exception(self, kind: Any, error: Any, tb: Any) -> None:
        """Log an unexpected exception once, with its traceback."""
        if not isinstance(error, (HTTPError, Problem, Terminated, StreamClosedError)):
            extra = {"action": "request_failed", "request_id": self.request_id}
            logger.error("request failed", exc_info=(kind, error, tb), extra=extra)

    def compute_etag(self) -> None:
        """Disable ETags: conditional requests are not supported."""

    def _error_body(self, error: Problem | Terminated) -> bytes:
        self.refusal = refusal_of(error)
        return self.apply_response(error_response(error, self.request_id))

    def apply_response(self, answer: Response) -> bytes:
        """Set status and headers from `answer`; returns its body."""
        self.set_status(answer.status, reason(answer.status))
        for name, value in answer.headers.items():
            self.set_header(name, value)
        return answer.body

    def _check_head(self) -> None:
        """Checks of the head that are common to all handlers; raises Problem."""
        head, headers = self.request_head, self.request.headers
        framing.check_framing(head)
        if self.application.settings["draining"]:
            self.set_header("Connection", "close")
            raise Stopping("this APIGW is stopping")
        limit = self.endpoint.max_body_bytes
        if limit is not None and (head.length or 0) > limit:
            raise TooLarge(f"a body may have at most {limit} bytes here")
        needs_body = head.method in self.endpoint.body_required_for
        if needs_body and head.length is None and not head.chunked:
            raise LengthRequired("give Content-Length, or send the body chunked")
        if head.last_of_connection:
            # Tornado recognizes `Connection: close` only as the single token of the field.
            self.request.connection._disconnect_on_finish = True  # type: ignore[union-attr]
        if "Expect" in headers:
            # Tornado compares case-sensitively and would also send 100 to clients that do not wait.
            del headers["Expect"]
            if head.waits:
                headers["Expect"] = "100-continue"
