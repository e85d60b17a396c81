"""HTTP responses: problem+json errors, and serialization of plugin output."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from http import HTTPStatus

from tornado.httputil import format_timestamp

from qmonus_lite.errors import Problem, Terminated

PROBLEM = "application/problem+json"

#: As int, which is faster to compare than the enum.
_NOT_MODIFIED = HTTPStatus.NOT_MODIFIED.value


@dataclass(frozen=True, kw_only=True)
class Response:
    """An HTTP response: status, headers and body."""

    status: int
    #: Without the headers that `on_wire` adds to every response.
    headers: Mapping[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        """True if the connection is closed after this response."""
        return self.headers.get("Connection") == "close"

    def closing(self) -> "Response":
        """A copy with `Connection: close`."""
        return replace(self, headers={**self.headers, "Connection": "close"})

    def on_wire(self, request_id: str) -> bytes:
        """Serialize head and body as HTTP/1.1."""
        lines = [
            f"HTTP/1.1 {self.status} {reason(self.status)}",
            f"Date: {date()}",
            "Server: qmonus-lite",
            f"X-Request-Id: {request_id}",
            *[f"{name}: {value}" for name, value in self.headers.items()],
        ]
        if self.status != _NOT_MODIFIED:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


@dataclass(frozen=True, kw_only=True)
class ProblemDetails:
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


def error_response(error: Problem | Terminated, request_id: str) -> Response:
    """Response for a refused or terminated request."""
    if isinstance(error, Terminated):
        kind, body = encode_output(error.output)
        if error.code == _NOT_MODIFIED:
            # A 304 has no body (RFC 9110 section 15.4.5).
            return Response(status=error.code, headers=error.headers, body=b"")
        headers = {"Content-Type": kind, **error.headers}
        return Response(status=error.code, headers=headers, body=body)
    headers = {**error.headers, "Content-Type": PROBLEM}
    return Response(status=int(error.status), headers=headers, body=problem_json(error, request_id))


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
    return encoded(json.dumps(vars(details), ensure_ascii=False) + "\n")


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
