"""Conversion of what a script returns, passes to `finish` or leaves in its arguments."""

import json
import re
from collections.abc import Mapping
from typing import Any

from qmonus_lite.headers import BadFields, Headers, answer_fields
from qmonus_lite.routing.message import RouteResponse
from qmonus_lite.surrogates import NO_CHARACTER, has_surrogates

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class InvalidResult(Exception):
    """A script gave an invalid response; the text states what was expected."""


class Finish:
    """The `finish` function of one run: sets the response, which later results do not replace."""

    def __init__(self) -> None:
        self.answer: RouteResponse | None = None

    def __call__(self, body: object = None, code: int = 200, headers: object = None) -> None:
        """Set the response to this body, code and dict of header fields.

        Raises RuntimeError when called twice, and InvalidResult.
        """
        if self.answer is not None:
            raise RuntimeError("finish() was already called")
        self.answer = answer(code, body, headers)


def returned(value: object) -> RouteResponse | None:
    """The response that a script returned, None if it returned None; raises InvalidResult."""
    if value is None:
        return None
    if not isinstance(value, tuple):
        return answer(200, value)
    if len(value) not in {2, 3}:
        expected = "expected (code, body) or (code, body, headers)"
        raise InvalidResult(f"returned a tuple of {len(value)}; {expected}")
    return answer(*value)


def answer(code: object, body: object, given: object = None) -> RouteResponse:
    """A response with this code, body and dict of header fields; raises InvalidResult.

    Without a `Content-Type` among the fields it is that of the type of the body.
    """
    data = payload(body)
    try:
        fields = answer_fields(given)
    except BadFields as error:
        raise InvalidResult(str(error)) from error
    if (kind := _kind(body)) and "Content-Type" not in fields:
        fields["Content-Type"] = kind
    length = ("Content-Length", str(len(data)))
    return RouteResponse(code=status(code), headers=(*fields.items(), length), body=data)


def status(code: object) -> int:
    """A status code from 200 to 599; raises InvalidResult."""
    # bool is a subclass of int, but not a status code.
    if not isinstance(code, int) or isinstance(code, bool) or not 200 <= code <= 599:
        raise InvalidResult(f"the code is {code!r}; expected a whole number from 200 to 599")
    return int(code)


def payload(body: object) -> bytes:
    """A body as bytes: dict and list as JSON, text as UTF-8; raises InvalidResult."""
    if body is None:
        return b""
    if isinstance(body, (bytes, bytearray)):
        return bytes(body)
    try:
        if isinstance(body, str):
            return body.encode()
        if isinstance(body, (dict, list)):
            return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidResult(f"the body cannot be sent: {error}") from error
    kind = type(body).__name__
    raise InvalidResult(f"the body is of type {kind}; expected dict, list, str, bytes or None")


def _kind(body: object) -> str | None:
    if body is None:
        return None
    if isinstance(body, str):
        return "text/plain; charset=utf-8"
    return "application/json" if isinstance(body, (dict, list)) else "application/octet-stream"


def headers(given: object) -> Headers:
    """Header fields as a script left them, checked and as text; raises InvalidResult."""
    if not isinstance(given, Mapping):
        raise InvalidResult(f"headers is of type {type(given).__name__}; expected a dict")
    return Headers({_name(name): _value(name, value) for name, value in given.items()})


def _name(name: object) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidResult(f"{name!r} is no name of a header")
    return name


def _value(name: object, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        kind = type(value).__name__
        raise InvalidResult(f"header {name} is of type {kind}; expected text or a number")
    text = str(value).strip(" \t")
    if has_surrogates(text):
        raise InvalidResult(f"header {name} is {text!r}; {NO_CHARACTER}")
    if not _VALUE.fullmatch(text):
        # Field values are Latin-1 internally, so UTF-8 is stored as one character per byte.
        text = text.encode().decode("latin-1")
    if not _VALUE.fullmatch(text):
        raise InvalidResult(f"header {name} has a line break or another control character")
    return text
