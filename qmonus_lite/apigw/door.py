"""What every request to APIGW has: an id, a bounded body, one form of error, one log record.

All doors stream (`stream_request_body`), so that a request is judged by its head before a byte of
its body is kept. A client that is refused before its body came gets its answer first and is then
read out for a bounded while (`linger`).
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
from qmonus_lite.apigw.answers import PROBLEM, Answer, date, encoded, problem, reason, refusal
from qmonus_lite.apigw.ending import Ending
from qmonus_lite.apigw.framing import RequestHead
from qmonus_lite.apigw.limits import Limits
from qmonus_lite.apigw.linger import MOST_DRAINED, SECONDS, linger, say_no_more
from qmonus_lite.apigw.methods import Methods
from qmonus_lite.apigw.refusing import log_client_left, put_body
from qmonus_lite.apigw.timers import BodyWatch
from qmonus_lite.errors import (
    InternalFault,
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
MOST_UNUSED = 8 << 10


@stream_request_body
class Door(Methods, Ending):
    """Base of all handlers of APIGW."""

    #: Methods that make no sense without a body; elsewhere (`curl -X POST`) none is an empty one.
    needing_body: tuple[str, ...] = ()
    #: Bytes that a body may have; None where the door itself counts them.
    most_body: int | None = MOST_UNUSED
    #: Bytes of the body that were taken.
    came = 0
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
            self.asked = RequestHead.of(self.request)
            self._drained = 0
            self._watch: BodyWatch | None = None
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
                await self.judge()
                self.check_method()
            except (Problem, Terminated) as error:
                await self._turn_away(error)
            else:
                self._await_body()
                await self.receive()

    async def receive(self) -> None:
        """Take the body, or the most of it, ahead of Tornado."""

    async def judge(self) -> None:
        """Decide over the head; raises Problem or Terminated."""

    def leave(self) -> None:
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
            self.leave()
        if not self._finished:
            log_client_left(self)

    async def data_received(self, chunk: bytes) -> None:
        """Take bytes of the body, or throw them away after a refusal."""
        if self.refused:
            self._drained += len(chunk)
            if self._drained > MOST_DRAINED:
                self._cut()
            return
        await self.keep_taking(lambda: self.take(chunk))

    async def keep_taking(self, take: Callable[[], Awaitable[int]]) -> int:
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
                await self.refuse(_internal(error))
        self.came += count
        if self._watch is not None and self.came != self.asked.length and not self.refused:
            self._watch.wait(self.came)
        return count

    def body_came(self) -> None:
        """The body is whole, so the client is no longer waited for."""
        if self._watch is not None:
            self._watch.stop()

    async def take(self, chunk: bytes) -> int:
        """Take bytes of the body, which is of no use here; how many. Raises Problem."""
        if self.came + len(chunk) > MOST_UNUSED:
            raise TooLarge(f"a body may have at most {MOST_UNUSED} bytes here")
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

    async def _turn_away(self, error: Problem | Terminated) -> None:
        """Answer in place of the body; no byte behind the head is looked at any more."""
        self.refused = True
        self.leave()
        self.let_go()
        body = self._shape(error)
        put_body(self, body)
        if not self.asked.body_follows and self.has_known_method:
            # Nothing to throw away, so that the connection can stay: it ends with the method, to
            # which Tornado goes on.
            self.go_on_to(self._end)
            return
        self.set_header("Connection", "close")
        try:
            await self.flush()
        except StreamClosedError:
            logger.debug("client left", extra={"action": "client_left"})
        await linger(self.stream)
        self.finish()

    async def refuse(self, error: Problem | Terminated) -> None:
        """Answer in the middle of the body; what the client still sends is thrown away."""
        if self.refused or self._finished:
            return
        self.refused = True
        self.leave()
        self.let_go()
        body = self._shape(error)
        put_body(self, body)
        self.set_header("Connection", "close")
        self.go_on_to(self._end)
        try:
            await self.flush()
        except StreamClosedError:
            logger.debug("client left", extra={"action": "client_left"})
        say_no_more(self.stream)
        self._cutting = asyncio.get_running_loop().call_later(SECONDS, self._cut)

    def _cut(self) -> None:
        """The client was read out for long enough."""
        if not self._finished:
            self.finish()

    def _await_body(self) -> None:
        """The head is good: the body has to come now, and not too slowly."""
        length = self.asked.length
        # Tornado has read all of a small body with its head.
        here = length is not None and length <= self.stream._read_buffer_size
        if self.asked.body_follows and not self._finished and not here:
            self._watch = BodyWatch(self.limits.pace, self._late)
            self._watch.wait(0)

    def _late(self) -> None:
        background: Any = self.application.settings["background"]
        background(self._give_up())

    async def _give_up(self) -> None:
        if not self.refused and not self._finished:
            await self.refuse(RequestTimeout("the body stopped coming, or came too slowly"))
            self._cut()

    async def _end(self, *_path: str) -> None:
        """In place of the method of a refused request, whose answer is written."""
        if self._finished:
            return
        await self.finish()
        if self.asked.body_follows:
            # As its header says; Tornado itself would keep the connection.
            self.stream.close()

    def answer(self, error: Problem | Terminated) -> None:
        """Answer a request whose body has come."""
        self.finish(self._shape(error))

    def send_json(self, value: object, status: int = 200) -> None:
        """Answer with JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(encoded(strictjson.write_for_people(value) + "\n"))

    def write_error(self, status_code: int, **details: Any) -> None:
        """An error of Tornado in our form; the reason of an unknown one stays in the log."""
        error = details.get("exc_info", (None, None))[1]
        if isinstance(error, (Problem, Terminated)):
            self.finish(self._shape(error))
            return
        detail = HTTPStatus(status_code).description or "see the log under the request id"
        if self.asked.body_follows:
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

    def _shape(self, error: Problem | Terminated) -> bytes:
        self.refusal = refusal_of(error)
        return self.dress(refusal(error, self.request_id))

    def dress(self, answer: Answer) -> bytes:
        """Take status and headers from an answer; gives its body."""
        self.set_status(answer.status, reason(answer.status))
        for name, value in answer.headers.items():
            self.set_header(name, value)
        return answer.body

    def _problem(self, status: int, detail: str) -> bytes:
        self.set_status(status, reason(status))
        self.set_header("Content-Type", PROBLEM)
        return problem(status, detail, self.request_id)

    def _check_head(self) -> None:
        """What every door asks of a head; raises Problem."""
        head, headers = self.asked, self.request.headers
        framing.judge(head)
        if self.application.settings["draining"]:
            self.set_header("Connection", "close")
            raise Unavailable("this APIGW is stopping")
        if self.most_body is not None and (head.length or 0) > self.most_body:
            raise TooLarge(f"a body may have at most {self.most_body} bytes here")
        needs_body = head.method in self.needing_body
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


def _internal(error: Exception) -> Problem:
    return InternalFault(f"the server could not go on ({type(error).__name__}); see its log")
