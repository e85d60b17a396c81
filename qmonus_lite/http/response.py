"""HTTP responses: problem+json errors, and serialization of plugin output."""

import json
import time
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol

from tornado.httputil import format_timestamp

from qmonus_lite import strictjson
from qmonus_lite.errors import Problem, Terminated
from qmonus_lite.values import Value, as_dict

PROBLEM = "application/problem+json"

#: As int, which is faster to compare than the enum.
_NOT_MODIFIED = HTTPStatus.NOT_MODIFIED.value
#: Statuses of responses that have no body, and no length of it.
_BODILESS = (HTTPStatus.NO_CONTENT.value, _NOT_MODIFIED)


#: Header fields in order; a name may occur several times. Values are Latin-1, as on the wire.
Fields = Sequence[tuple[str, str]]


class BodyStream(Protocol):
    """Response body as an asynchronous iterator of chunks."""

    def __aiter__(self) -> "BodyStream": ...

    async def __anext__(self) -> bytes:
        """The next chunk; raises Problem when the source fails."""
        ...

    async def aclose(self) -> None:
        """Discard the unread rest; may be called after the last chunk, and more than once."""
        ...


class Response(Value, frozen=True, kw_only=True):
    """An HTTP response: status, header fields and body."""

    status: int
    #: Without those that `common_fields` gives to every response.
    headers: Fields = ()
    body: bytes | BodyStream = b""
    #: True if the connection is closed after this response.
    closes: bool = False

    @property
    def has_length(self) -> bool:
        """True if a header field gives the length of the body."""
        return any(name.lower() == "content-length" for name, _ in self.headers)

    async def release(self) -> None:
        """Release the source of the body; to be called when the response was sent or failed."""
        if not isinstance(self.body, bytes):
            await self.body.aclose()


class ProblemDetails(Value, frozen=True, kw_only=True):
    """The body of an error response, as in RFC 9457, with the members `code` and `request_id`."""

    #: URI reference to the documentation of `code`.
    type: str
    #: HTTP status of the response.
    status: int
    #: Reason phrase of the status.
    title: str
    #: What is wrong, for people.
    detail: str
    #: Identifies the cause to programs; stable.
    code: str
    #: Id of the request, as in `X-Request-Id` and in the log.
    request_id: str


def common_fields(request_id: str) -> Fields:
    """The header fields of every response."""
    return (("Date", date()), ("Server", "qmonus-lite"), ("X-Request-Id", request_id))


def head_on_wire(response: Response, request_id: str) -> bytes:
    """Serialize the head as HTTP/1.1, with the length of the body if known; raises ValueError."""
    status, body = response.status, response.body
    lines = [
        f"HTTP/1.1 {status} {reason(status)}",
        f"Date: {date()}",
        "Server: qmonus-lite",
        f"X-Request-Id: {request_id}",
        *[f"{name}: {value}" for name, value in response.headers],
    ]
    if response.closes:
        lines.append("Connection: close")
    if not isinstance(body, bytes):
        if not response.has_length:
            lines.append("Transfer-Encoding: chunked")
    elif status not in _BODILESS:
        lines.append(f"Content-Length: {len(body)}")
    text = "\r\n".join([*lines, "", ""])
    if text.count("\n") != len(lines) + 1 or text.count("\r") != len(lines) + 1:
        raise ValueError("a header field of the response has a line break")
    return text.encode("latin-1")


def json_response(value: object, status: int = 200, headers: Fields = ()) -> Response:
    """A JSON response with a line break at its end."""
    body = encoded(strictjson.write_for_people(value) + "\n")
    kind = ("Content-Type", "application/json")
    return Response(status=status, headers=(kind, *headers), body=body)


def error_response(error: Problem | Terminated, request_id: str) -> Response:
    """Response for a refused or terminated request."""
    if isinstance(error, Terminated):
        headers = tuple(error.headers.items())
        if error.code == _NOT_MODIFIED:
            # A 304 has no body (RFC 9110 section 15.4.5).
            return Response(status=error.code, headers=headers)
        kind, body = encode_output(error.output)
        if "Content-Type" not in error.headers:
            headers = (("Content-Type", kind), *headers)
        return Response(status=error.code, headers=headers, body=body)
    return Response(
        status=int(error.status),
        headers=(*error.headers.items(), ("Content-Type", PROBLEM)),
        body=problem_json(error, request_id),
    )


def problem_json(error: Problem, request_id: str) -> bytes:
    """Body of every error response of this package: problem details (RFC 9457)."""
    status = int(error.status)
    details = ProblemDetails(
        type=error.type,
        status=status,
        title=reason(status),
        detail=error.detail,
        code=error.code,
        request_id=request_id,
    )
    return encoded(json.dumps(as_dict(details), ensure_ascii=False) + "\n")


def encode_output(output: object) -> tuple[str, bytes]:
    """Content-Type and bytes of plugin output: str as plain text, other values as JSON."""
    if output is None:
        return "text/plain; charset=utf-8", b""
    if isinstance(output, str):
        return "text/plain; charset=utf-8", encoded(output)
    return "application/json", encoded(json.dumps(output, ensure_ascii=False))


def encoded(text: str) -> bytes:
    """Encode as UTF-8; a lone surrogate becomes `\\ud83d`, its valid JSON escape."""
    return text.encode(errors="backslashreplace")


def date() -> str:
    """Current value of the `Date` header; formatted once per second."""
    return _date(int(time.time()))


@lru_cache(maxsize=1)
def _date(seconds: int) -> str:
    return format_timestamp(seconds)


@lru_cache(maxsize=500)
def reason(status: int) -> str:
    """Reason phrase of a status; `Error` or `OK` for an unregistered status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error" if status >= 400 else "OK"
