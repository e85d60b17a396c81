"""HTTP/1.1 messages between APIGW and workers, parsed and written alike by both ends.

Supported is what both ends send: POST, header fields, a body with Content-Length. Anything else is
refused: no other framing, no line folding, no trailers.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Generic, NamedTuple, TypeVar

from qmonus_lite.values import Value

#: Maximum bytes of a head, and of a body: an outcome or an event, and what is sent around it.
MAX_HEAD_BYTES, MAX_BODY_BYTES = 16 << 10, 5 << 20
#: Maximum digits of a Content-Length.
_MAX_DIGITS = 9


class BadHttpMessage(ValueError):
    """Not a message that this codec supports; `status` is the answer to a request."""

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        super().__init__(reason)


class HttpRequest(Value, frozen=True, kw_only=True):
    """A complete POST request."""

    path: str
    #: Header fields by lower-case name.
    headers: Mapping[str, str]
    body: bytes


class HttpResponse(Value, frozen=True, kw_only=True):
    """A complete response; header fields by lower-case name if it was received."""

    status: int = 200
    headers: Mapping[str, str] = MappingProxyType({})
    body: bytes = b""


class WorkerRequestHead(NamedTuple):
    """Head of a request."""

    path: str
    headers: dict[str, str]
    #: Bytes of the body.
    length: int


class WorkerResponseHead(NamedTuple):
    """Head of a response."""

    status: int
    headers: dict[str, str]
    #: Bytes of the body.
    length: int


Head = TypeVar("Head", WorkerRequestHead, WorkerResponseHead)


class MessageReader(Generic[Head]):
    """Incremental parser of the messages of one connection."""

    def __init__(self, parse: Callable[[bytes], Head]) -> None:
        """`parse`: `parse_request` or `parse_response`."""
        self._parse: Callable[[bytes], Head] = parse
        self._buffer = bytearray()
        self._head: Head | None = None

    @property
    def pending(self) -> int:
        """Number of received bytes that belong to no head or body read so far."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        self._buffer += data

    def head(self) -> Head | None:
        """Head of the next message, or None if it is incomplete; raises BadMessage."""
        if self._head is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > MAX_HEAD_BYTES:
                    raise BadHttpMessage(431, "the head of the message has no end")
                return None
            self._head = self._parse(bytes(self._buffer[:end]))
            del self._buffer[: end + 4]
        return self._head

    def body(self) -> bytes | None:
        """Body of the message of `head`, or None if it is incomplete; ends that message."""
        if self._head is None or len(self._buffer) < self._head.length:
            return None
        length = self._head.length
        body = bytes(memoryview(self._buffer)[:length])
        del self._buffer[:length]
        self._head = None
        return body

    def clear(self) -> None:
        """Discard what was received."""
        self._buffer, self._head = bytearray(), None


def parse_request(head: bytes) -> WorkerRequestHead:
    """Parse a head without its empty line; raises BadMessage."""
    first, *lines = _lines(head)
    parts = first.split(" ")
    if len(parts) != 3 or parts[2] != "HTTP/1.1":
        raise BadHttpMessage(400, "not an HTTP/1.1 request")
    if parts[0] != "POST":
        raise BadHttpMessage(405, "only POST is offered here")
    headers = _fields(lines, repeatable=False)
    return WorkerRequestHead(parts[1], headers, _length(headers))


def parse_response(head: bytes) -> WorkerResponseHead:
    """Parse a head without its empty line; raises BadMessage."""
    first, *lines = _lines(head)
    version, _, rest = first.partition(" ")
    status = rest[:3]
    if version != "HTTP/1.1" or not (status.isascii() and status.isdigit()):
        raise BadHttpMessage(502, "not an HTTP/1.1 response")
    # A proxy before the worker may add several fields of a name, Set-Cookie for example.
    headers = _fields(lines, repeatable=True)
    return WorkerResponseHead(int(status), headers, _length(headers))


def write_request(host: str, request: HttpRequest) -> bytes:
    """Serialize a POST request to `host`, `host:port` or `host`."""
    lines = [
        f"POST {request.path} HTTP/1.1",
        f"Host: {host}",
        f"Content-Length: {len(request.body)}",
    ]
    return _write(lines, request.headers) + request.body


def write_response(response: HttpResponse, *, close: bool) -> bytes:
    """Serialize a response; `close` announces that the connection is closed after it."""
    status = response.status
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"Content-Length: {len(response.body)}",
    ]
    if close:
        lines.append("Connection: close")
    return _write(lines, response.headers) + response.body


def _write(lines: list[str], headers: Mapping[str, str]) -> bytes:
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _lines(head: bytes) -> list[str]:
    lines = head.decode("latin-1").split("\r\n")
    # Other readers may take a lone CR or LF for the end of a line, and find other fields.
    if head.count(b"\r") != len(lines) - 1 or head.count(b"\n") != len(lines) - 1:
        raise BadHttpMessage(400, "a line break other than CR LF")
    return lines


def _fields(lines: list[str], *, repeatable: bool) -> dict[str, str]:
    """Header fields by lower-case name; of several with one name the last, if `repeatable`."""
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or (name in headers and not (repeatable and name != "content-length")):
            raise BadHttpMessage(400, "a field without a colon, or given twice")
        headers[name] = value.strip()
    return headers


def _length(headers: Mapping[str, str]) -> int:
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdigit()) or "transfer-encoding" in headers:
        raise BadHttpMessage(411, "a message needs a Content-Length and no other framing")
    if len(length) > _MAX_DIGITS or int(length) > MAX_BODY_BYTES:
        raise BadHttpMessage(413, f"a message may have at most {MAX_BODY_BYTES} bytes")
    return int(length)
