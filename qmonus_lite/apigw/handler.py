"""What every request to APIGW has: an id, a bounded body, one form of error, one log record.

All handlers stream (`stream_request_body`), so that a request is judged by its head before a byte of
its body is kept. A client that is refused before its body came gets its answer first and is then
read out for a bounded while (`lingering_close`).
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
    PROBLEM,
    Response,
    date,
    encoded,
    error_response,
    problem_json,
    reason,
)
from qmonus_lite.apigw.body_timeout import BodyTimeout
from qmonus_lite.apigw.framing import RequestHead
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
    Terminated,
    TooLarge,
    Unavailable,
    refusal_by_status,
    refusal_of,
)
from qmonus_lite.headers import Headers
from qmonus_lite.ids import new_id
from qmonus_lite.log import bound

logger = logging.getLogger(__name__)

#: Bytes of a body that nobody has a use for: what clients send along, such as `{}`, is no fault.
MAX_UNUSED = 8 << 10


@stream_request_body
class BaseHandler(Methods, Ending):
    """Base of all handlers of APIGW."""

    #: Methods that make no sense without a body; elsewhere (`curl -X POST`) none is an empty one.
    body_required_for: tuple[str, ...] = ()
    #: Bytes that a body may have; None where the door itself counts them.
    max_body_bytes: int | None = MAX_UNUSED
    #: Bytes of the body that were taken.
    received = 0
    #: Why it was refused, for the access record.
    refusal: Refusal | None = None
    #: Set when the request goes on to its end, whatever the client does.
    committed = False

    def clear(self) -> None:
        """Begin the answer, also that of an error; in place of Tornado's, whose headers ours are.

        Tornado calls it first of all.
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
        """Judge the head of the request; a refusal is answered here, without its body."""
        if self.stream.closed():
            # Tornado goes on with a pipelined request although the connection was closed.
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
        """Take the body, or the most of it, ahead of Tornado."""

    async def check(self) -> None:
        """Decide over the head; raises Problem or Terminated."""

    def on_done(self) -> None:
        """This request no longer counts as under way; may be called again."""
        if self._watch is not None:
            self._watch.stop()
            # It knows us: else it would take the garbage collector to be rid of the request.
            self._watch = None
        self.application.settings["active"].discard(self)

    def let_go(self) -> None:
        """Keep nothing in memory, since nobody will use it; may be called again."""
        if self._cutting is not None:
            self._cutting.cancel()

    def on_connection_close(self) -> None:
        """The client left; work that goes on without it still counts as under way."""
        super().on_connection_close()
        if not self.committed:
            self.on_done()
        if not self._finished:
            log_client_left(self)

    async def data_received(self, chunk: bytes) -> None:
        """Take bytes of the body, or throw them away after a refusal."""
        if self.refused:
            self._drained += len(chunk)
            if self._drained > MAX_DRAINED_BYTES:
                self._stop_draining()
            return
        await self.consume(lambda: self.take(chunk))

    async def consume(self, take: Callable[[], Awaitable[int]]) -> int:
        """Take bytes of the body; how many. What goes wrong becomes a refusal."""
        count = 0
        if self._watch is not None:
            self._watch.stop()
        with bound(request_id=self.request_id):
            try:
                count = await take()
            except (Problem, Terminated) as error:
                await self.refuse(error)
            except Exception as error:
                # Tornado would close the connection without an answer
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
        """The body is whole, so the client is no longer waited for."""
        if self._watch is not None:
            self._watch.stop()

    async def take(self, chunk: bytes) -> int:
        """Take bytes of the body, which is of no use here; how many. Raises Problem."""
        if self.received + len(chunk) > MAX_UNUSED:
            raise TooLarge(f"a body may have at most {MAX_UNUSED} bytes here")
        return len(chunk)

    @property
    def fields(self) -> Headers:
        """Headers of the request."""
        return Headers.combined(self.request.headers.get_all())

    @property
    def limits(self) -> Limits:
        """What a request may take."""
        limits: Limits = self.application.settings["limits"]
        return limits

    @property
    def client(self) -> str:
        """The address of the client, for logs and backends."""
        forwarded = self.request.headers.get_list("X-Forwarded-For")
        return self.limits.client(self.request.remote_ip or "", forwarded)

    @property
    def scheme(self) -> str:
        """`http` or `https`, as the client asked."""
        said = self.request.headers.get("X-Forwarded-Proto", "")
        return self.limits.scheme(self.request.remote_ip or "", self.request.protocol, said)

    @property
    def stream(self) -> Any:
        """The connection."""
        return self.request.connection.stream  # type: ignore[union-attr]

    async def _refuse_before_body(self, error: Problem | Terminated) -> None:
        """Answer in place of the body; no byte behind the head is looked at any more."""
        self.refused = True
        self.on_done()
        self.let_go()
        body = self._error_body(error)
        put_body(self, body)
        if not self.request_head.body_follows and self.has_known_method:
            # Nothing to throw away, so that the connection can stay: it ends with the method, to
            # which Tornado goes on.
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
        """Answer in the middle of the body; what the client still sends is thrown away."""
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
        """The client was read out for long enough."""
        if not self._finished:
            self.finish()

    def _start_body_timeout(self) -> None:
        """The head is good: the body has to come now, and not too slowly."""
        length = self.request_head.length
        # Tornado has read all of a small body with its head.
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
        """In place of the method of a refused request, whose answer is written."""
        if self._finished:
            return
        await self.finish()
        if self.request_head.body_follows:
            # As its header says; Tornado itself would keep the connection.
            self.stream.close()

    def answer(self, error: Problem | Terminated) -> None:
        """Answer a request whose body has come."""
        self.finish(self._error_body(error))

    def send_json(self, value: object, status: int = 200) -> None:
        """Answer with JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(encoded(strictjson.write_for_people(value) + "\n"))

    def write_error(self, status_code: int, **details: Any) -> None:
        """An error of Tornado in our form; the reason of an unknown one stays in the log."""
        error = details.get("exc_info", (None, None))[1]
        if isinstance(error, (Problem, Terminated)):
            self.finish(self._error_body(error))
            return
        detail = HTTPStatus(status_code).description or "see the log under the request id"
        if self.request_head.body_follows:
            self.set_header("Connection", "close")
        self.refusal = refusal_by_status(status_code, detail)
        self.finish(self._problem(status_code, detail))

    def log_exception(self, kind: Any, error: Any, tb: Any) -> None:
        """Log what nobody expected, once, with its traceback."""
        if not isinstance(error, (HTTPError, Problem, Terminated, StreamClosedError)):
            extra = {"action": "request_failed", "request_id": self.request_id}
            logger.error("request failed", exc_info=(kind, error, tb), extra=extra)

    def compute_etag(self) -> None:
        """No hash over answers: nothing here is asked for conditionally."""

    def _error_body(self, error: Problem | Terminated) -> bytes:
        self.refusal = refusal_of(error)
        return self.apply_response(error_response(error, self.request_id))

    def apply_response(self, answer: Response) -> bytes:
        """Take status and headers from an answer; gives its body."""
        self.set_status(answer.status, reason(answer.status))
        for name, value in answer.headers.items():
            self.set_header(name, value)
        return answer.body

    def _problem(self, status: int, detail: str) -> bytes:
        self.set_status(status, reason(status))
        self.set_header("Content-Type", PROBLEM)
        return problem_json(status, detail, self.request_id)

    def _check_head(self) -> None:
        """What every door asks of a head; raises Problem."""
        head, headers = self.request_head, self.request.headers
        framing.check_framing(head)
        if self.application.settings["draining"]:
            self.set_header("Connection", "close")
            raise Unavailable("this APIGW is stopping")
        if self.max_body_bytes is not None and (head.length or 0) > self.max_body_bytes:
            raise TooLarge(f"a body may have at most {self.max_body_bytes} bytes here")
        needs_body = head.method in self.body_required_for
        if needs_body and head.length is None and not head.chunked:
            raise LengthRequired("give Content-Length, or send the body chunked")
        if head.last_of_connection:
            # Tornado closes after a `Connection: close`, but not for one among other words.
            self.request.connection._disconnect_on_finish = True  # type: ignore[union-attr]
        if "Expect" in headers:
            # Tornado looks for this very word, and would also tell those who do not wait.
            del headers["Expect"]
            if head.waits:
                headers["Expect"] = "100-continue"
