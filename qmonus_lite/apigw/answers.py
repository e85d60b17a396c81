"""Answers: the one form of our errors, and what a plugin gave as it is sent."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from http import HTTPStatus

from tornado.httputil import format_timestamp

from qmonus_lite.errors import Problem, Terminated

PROBLEM = "application/problem+json"

#: As a plain number, which is quicker to compare with.
_NOT_MODIFIED = HTTPStatus.NOT_MODIFIED.value


@dataclass(frozen=True, kw_only=True)
class Response:
    """What a request is answered with."""

    status: int
    #: Beside those that every answer has.
    headers: Mapping[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        """Whether it is the last of its connection."""
        return self.headers.get("Connection") == "close"

    def closing(self) -> "Response":
        """The same as the last answer of its connection."""
        return replace(self, headers={**self.headers, "Connection": "close"})

    def on_wire(self, request_id: str) -> bytes:
        """Its bytes."""
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


def error_response(error: Problem | Terminated, request_id: str) -> Response:
    """The answer of a request that does not go on."""
    if isinstance(error, Terminated):
        kind, body = encode_output(error.output)
        if error.code == _NOT_MODIFIED:
            # The one refusal that ends with its head (RFC 9110 section 15.4.5).
            return Response(status=error.code, headers=error.headers, body=b"")
        headers = {"Content-Type": kind, **error.headers}
        return Response(status=error.code, headers=headers, body=body)
    status = int(error.status)
    headers = {**error.headers, "Content-Type": PROBLEM}
    return Response(
        status=status, headers=headers, body=problem_json(status, error.detail, request_id)
    )


def problem_json(status: int, detail: str, request_id: str) -> bytes:
    """The body of an error of ours (RFC 9457)."""
    value = {
        "status": status,
        "title": reason(status),
        "detail": detail,
        "request_id": request_id,
    }
    return encoded(json.dumps(value, ensure_ascii=False) + "\n")


def encode_output(output: object) -> tuple[str, bytes]:
    """Content-Type and bytes of what a plugin gave: text as it is, other values as JSON."""
    if output is None:
        return "text/plain; charset=utf-8", b""
    if isinstance(output, str):
        return "text/plain; charset=utf-8", encoded(output)
    return "application/json", encoded(json.dumps(output, ensure_ascii=False))


def encoded(text: str) -> bytes:
    """In UTF-8, half a surrogate pair as `\\ud83d`, which JSON takes for the same half."""
    return text.encode(errors="backslashreplace")


def date() -> str:
    """The value of `Date` for an answer of now; made once a second."""
    return _date(int(time.time()))


@lru_cache(maxsize=1)
def _date(seconds: int) -> str:
    return format_timestamp(seconds)


@lru_cache(maxsize=500)
def reason(status: int) -> str:
    """The phrase of a status, also of one that nobody has named."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error" if status >= 400 else "OK"
