"""Answers: the one form of our errors, and what a plugin gave as it is sent."""

import json
import time
from functools import lru_cache
from http import HTTPStatus

from tornado.httputil import format_timestamp

PROBLEM = "application/problem+json"


def problem(status: int, detail: str, request_id: str) -> bytes:
    """The body of an error of ours (RFC 9457)."""
    value = {
        "status": status,
        "title": reason(status),
        "detail": detail,
        "request_id": request_id,
    }
    return (json.dumps(value, ensure_ascii=False) + "\n").encode()


def as_given(output: object) -> tuple[str, bytes]:
    """Content-Type and bytes of what a plugin gave: text as it is, other values as JSON."""
    if output is None:
        return "text/plain; charset=utf-8", b""
    if isinstance(output, str):
        return "text/plain; charset=utf-8", output.encode()
    return "application/json", json.dumps(output, ensure_ascii=False).encode()


def date() -> str:
    """The value of `Date` for an answer of now; made once a second."""
    return _date(int(time.time()))


@lru_cache(maxsize=1)
def _date(seconds: int) -> str:
    return format_timestamp(seconds)


def reason(status: int) -> str:
    """The phrase of a status, also of one that nobody has named."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error" if status >= 400 else "OK"
