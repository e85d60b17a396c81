"""Requests byte for byte, and whatever comes back: nothing between the test and the socket."""

import contextlib
import socket
from dataclasses import dataclass

#: Seconds for an answer, on a busy machine.
PATIENCE = 30.0


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """What came back on one connection."""

    #: Every status, `100` among them, in order.
    statuses: tuple[int, ...]
    #: All bytes.
    raw: bytes
    #: Whether the server ended the connection.
    closed: bool


def request(
    method: str, path: str, *fields: str, body: bytes = b"", version: str = "HTTP/1.1"
) -> bytes:
    """A request with a Host and these fields."""
    lines = [f"{method} {path} {version}", "Host: edge", *fields]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def put(path: str, *fields: str, body: bytes = b"hello", version: str = "HTTP/1.1") -> bytes:
    """A PUT with a right Content-Length."""
    length = f"Content-Length: {len(body)}"
    return request("PUT", path, length, *fields, body=body, version=version)


def chunked(path: str, body: bytes, *fields: str) -> bytes:
    """A PUT whose body is in chunks, or pretends to be."""
    return request("PUT", path, "Transfer-Encoding: chunked", *fields, body=body)


def exchange(port: int, sent: bytes, *, answers: int, to_end: bool, ends: bool) -> Exchange:
    """Send these bytes; read so many answers, or to the end of the connection.

    `ends` says that the client sends no more after them.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        # A server that refuses early may close while we still send.
        with contextlib.suppress(ConnectionError):
            connection.sendall(sent)
            if ends:
                connection.shutdown(socket.SHUT_WR)
        raw, closed = b"", False
        bodiless = sent.startswith(b"HEAD ")
        while not closed and (to_end or len(_statuses(raw, bodiless)) < answers):
            try:
                came = connection.recv(1 << 16)
            except ConnectionError:
                came = b""
            raw, closed = raw + came, not came
    return Exchange(statuses=_statuses(raw, bodiless), raw=raw, closed=closed)


def _statuses(raw: bytes, bodiless: bool) -> tuple[int, ...]:
    found: list[int] = []
    while (end := raw.find(b"\r\n\r\n")) >= 0 and raw.startswith(b"HTTP/1.1 "):
        head, raw = raw[:end], raw[end + 4 :]
        length = 0 if bodiless else _length(head)
        if len(raw) < length:
            break
        found.append(int(head[9:12]))
        raw = raw[length:]
    return tuple(found)


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0
