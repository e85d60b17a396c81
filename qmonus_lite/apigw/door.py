"""What every request to APIGW has: an id, a bounded body, one form of error, one log record.

All doors stream (`stream_request_body`), so that a request is judged by its head before a byte of
its body is kept. A refused client without `Expect` gets its answer first and is then read out for a
bounded while: closing a connection with unread bytes makes its TCP drop the answer.
"""

import json
import logging
from http import HTTPStatus
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler, stream_request_body

from qmonus_lite.errors import (
    InternalFault,
    LengthRequired,
    Problem,
    Terminated,
    TooLarge,
    Unavailable,
)
from qmonus_lite.headers import Headers
from qmonus_lite.ids import new_id
from qmonus_lite.log import bound

logger = logging.getLogger(__name__)

PROBLEM = "application/problem+json"
#: Bytes that are read from a refused client after its answer (nginx lingers likewise).
MOST_DRAINED = 64 << 20
#: Bytes of a body that is kept in memory.
MOST_BODY = 1 << 20


@stream_request_body
class Door(RequestHandler):
    """Base of all handlers of APIGW."""

    #: Methods that make no sense without a body; elsewhere (`curl -X POST`) none is an empty one.
    needing_body: tuple[str, ...] = ()
    #: Set when the request was answered before its body came.
    refused = False
    #: Set when the request goes on to its end, whatever the client does.
    committed = False

    def set_default_headers(self) -> None:
        """Headers of every answer, also of errors."""
        if not hasattr(self, "request_id"):
            self.request_id = new_id()
            self._body = bytearray()
            self._drained = 0
        self.set_header("X-Request-Id", self.request_id)
        self.set_header("Server", "qmonus-lite")

    async def prepare(self) -> None:
        """Judge the head of the request; a refusal is answered here, without its body."""
        if self.request.connection and self._connection_is_gone():
            # Tornado goes on with a pipelined request although the connection was closed.
            self.finish()
            return
        self.application.settings["active"].add(self)
        with bound(request_id=self.request_id):
            try:
                self._check_drain()
                self._check_framing()
                await self.judge()
            except (Problem, Terminated) as error:
                await self.refuse(error)

    async def judge(self) -> None:
        """Decide over the head; raises Problem or Terminated."""

    def on_finish(self) -> None:
        """The request is over."""
        self.application.settings["active"].discard(self)

    def on_connection_close(self) -> None:
        """The client left; work that goes on without it still counts as under way."""
        if not self.committed:
            self.application.settings["active"].discard(self)

    async def data_received(self, chunk: bytes) -> None:
        """Take bytes of the body, or throw them away after a refusal."""
        if self.refused:
            self._drained += len(chunk)
            if self._drained > MOST_DRAINED and not self._finished:
                self.finish()
            return
        with bound(request_id=self.request_id):
            try:
                await self.take(chunk)
            except (Problem, Terminated) as error:
                await self.refuse(error)
            except Exception as error:
                # Tornado would close the connection without an answer
                # (https://github.com/tornadoweb/tornado/issues/1223).
                logger.exception("body not taken", extra={"action": "body_failed"})
                await self.refuse(_internal(error))

    async def take(self, chunk: bytes) -> None:
        """Keep bytes of the body; raises Problem."""
        self._body += chunk
        if len(self._body) > MOST_BODY:
            raise TooLarge(f"a body may have at most {MOST_BODY} bytes here")

    @property
    def body(self) -> bytes:
        """The body that came."""
        return bytes(self._body)

    @property
    def fields(self) -> Headers:
        """Headers of the request."""
        return Headers.combined(self.request.headers.get_all())

    async def refuse(self, error: Problem | Terminated) -> None:
        """Answer now; what the client still sends is thrown away."""
        if self.refused or self._finished:
            return
        self.refused = True
        body = self._shape(error)
        self.set_header("Content-Length", str(len(body)))
        # What is thrown away is bounded here, not by Tornado, which would close at once.
        self.unbound_body()
        if "Expect" in self.request.headers:
            self.set_header("Connection", "close")
            self.finish(body)
            return
        # Tornado goes on to the method of the door once the body is read: to this one instead.
        setattr(self, (self.request.method or "").lower(), self._end)
        self.write(body)
        if not self._body_follows():
            # Nothing to throw away, so that the connection can stay: it ends with the method.
            return
        self.set_header("Connection", "close")
        try:
            await self.flush()
        except StreamClosedError:
            logger.debug("client left", extra={"action": "client_left"})

    async def _end(self, *_path: str) -> None:
        """In place of the method of a refused request, whose answer is written."""
        await self.finish()
        if self._body_follows():
            # As its header says; Tornado itself would keep the connection.
            self.request.connection.stream.close()  # type: ignore[union-attr]

    def answer(self, error: Problem | Terminated) -> None:
        """Answer a request whose body has come."""
        self.finish(self._shape(error))

    def send_json(self, value: object, status: int = 200) -> None:
        """Answer with JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(value, ensure_ascii=False) + "\n")

    def write_error(self, status_code: int, **details: Any) -> None:
        """An error of Tornado in our form; the reason of an unknown one stays in the log."""
        error = details.get("exc_info", (None, None))[1]
        if isinstance(error, (Problem, Terminated)):
            self.finish(self._shape(error))
            return
        detail = HTTPStatus(status_code).description or "see the log under the request id"
        if status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            self.set_header("Allow", ", ".join(self.offered))
        self.finish(self._problem(status_code, detail))

    #: Methods of this door, for `Allow`.
    offered: tuple[str, ...] = ("GET", "HEAD")

    def log_exception(self, kind: Any, error: Any, tb: Any) -> None:
        """Log what nobody expected, once, with its traceback."""
        if not isinstance(error, (HTTPError, Problem, Terminated, StreamClosedError)):
            extra = {"action": "request_failed", "request_id": self.request_id}
            logger.error("request failed", exc_info=(kind, error, tb), extra=extra)

    def unbound_body(self) -> None:
        """Lift Tornado's limit on this body, which closes with a bare 400; we count ourselves."""
        self.request.connection.set_max_body_size(1 << 62)  # type: ignore[union-attr]

    def compute_etag(self) -> None:
        """No hash over answers: nothing here is asked for conditionally."""

    def _shape(self, error: Problem | Terminated) -> bytes:
        """Set status and headers of an answer that is an error; gives its body."""
        if isinstance(error, Problem):
            for name, value in error.headers.items():
                self.set_header(name, value)
            self.set_status(int(error.status))
            return self._problem(int(error.status), error.detail)
        self.set_status(error.code, _reason(error.code))
        kind, body = as_given(error.output)
        self.set_header("Content-Type", kind)
        return body

    def _problem(self, status: int, detail: str) -> bytes:
        self.set_status(status, _reason(status))
        self.set_header("Content-Type", PROBLEM)
        value = {
            "status": status,
            "title": _reason(status),
            "detail": detail,
            "request_id": self.request_id,
        }
        return (json.dumps(value, ensure_ascii=False) + "\n").encode()

    def _check_drain(self) -> None:
        """Refuse what comes over a kept connection while this process stops."""
        if self.application.settings["draining"]:
            self.set_header("Connection", "close")
            raise Unavailable("this APIGW is stopping")

    def _check_framing(self) -> None:
        """Refuse a body that ought to be there, and let `Expect` be read in any case."""
        headers = self.request.headers
        if headers.get("Expect", "").lower() == "100-continue":
            headers["Expect"] = "100-continue"
        needs_body = self.request.method in self.needing_body
        if needs_body and "Content-Length" not in headers and not self._chunked():
            raise LengthRequired("give Content-Length, or send the body chunked")

    def _chunked(self) -> bool:
        return "Transfer-Encoding" in self.request.headers

    def _body_follows(self) -> bool:
        return self._chunked() or self.request.headers.get("Content-Length", "0") != "0"

    def _connection_is_gone(self) -> bool:
        stream = getattr(self.request.connection, "stream", None)
        return stream is not None and bool(stream.closed())


def as_given(output: object) -> tuple[str, bytes]:
    """Content-Type and bytes of what a plugin gave: text as it is, other values as JSON."""
    if output is None:
        return "text/plain; charset=utf-8", b""
    if isinstance(output, str):
        return "text/plain; charset=utf-8", output.encode()
    return "application/json", json.dumps(output, ensure_ascii=False).encode()


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error" if status >= 400 else "OK"


def _internal(error: Exception) -> Problem:
    return InternalFault(f"the server could not go on ({type(error).__name__}); see its log")


def log_request(door: RequestHandler) -> None:
    """One record for one request; no query string, no header."""
    request = door.request
    status = door.get_status()
    level = logging.WARNING if status >= 500 else logging.INFO
    if request.path in {"/-/live", "/-/ready"} and status < 500:
        level = logging.DEBUG
    logger.log(
        level,
        "%s %s %d",
        request.method,
        _printable(request.path),
        status,
        extra={
            "action": "request",
            "ms": round(request.request_time() * 1000, 1),
            "peer": request.remote_ip,
            "request_id": getattr(door, "request_id", ""),
        },
    )


def _printable(path: str) -> str:
    return path.encode("unicode_escape").decode()
