"""Other protocols than HTTP/1 on a plain port: recognized by their first bytes, and answered.

Without an answer, a client of one of them waits until the idle timeout, or gets a bare 400.
"""

import asyncio
import logging
import struct

from tornado.iostream import IOStream, StreamClosedError, UnsatisfiableReadError

from qmonus_lite.errors import BadRequest, Problem, VersionUnknown
from qmonus_lite.http.lingering_close import lingering_close
from qmonus_lite.http.response import PROBLEM, error_response, head_on_wire
from qmonus_lite.ids import new_id
from qmonus_lite.rate_limited_log import RateLimitedLog
from qmonus_lite.values import Value, changed

logger = logging.getLogger(__name__)

#: Seconds for reading what is needed of the request and sending the answer, and to close.
ANSWER_SECONDS = 1.0
#: Maximum payload of a frame of HTTP/2 before the settings are agreed (RFC 9113, section 4.2).
MAX_FRAME_BYTES = 16 << 10

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS, _GOAWAY = 0, 1, 4, 7
#: Flags: ACK of SETTINGS; END_STREAM of DATA; END_HEADERS of HEADERS.
_ACK, _END_STREAM, _END_HEADERS = 1, 1, 4
_HTTP_1_1_REQUIRED = 0xD


class ForeignProtocol(Value, frozen=True, kw_only=True):
    """A protocol that is not spoken here."""

    name: str
    #: What the first bytes of a connection are.
    first: bytes
    problem: type[Problem]
    #: What to do, for the client and for the log.
    detail: str


TLS = ForeignProtocol(
    name="TLS",
    first=b"\x16\x03",
    problem=BadRequest,
    detail="this port speaks HTTP without TLS: use http://, or start APIGW with --certfile",
)
HTTP2 = ForeignProtocol(
    name="HTTP/2",
    # A part of it is enough: no method of HTTP/1 is named so.
    first=_PREFACE[:14],
    problem=VersionUnknown,
    detail="HTTP/2 is not spoken here: use HTTP/1.1, without prior knowledge of HTTP/2",
)
_PROXY_DETAIL = "the PROXY protocol is not spoken here: switch it off at the balancer"
PROXY_1 = ForeignProtocol(
    name="PROXY protocol", first=b"PROXY ", problem=BadRequest, detail=_PROXY_DETAIL
)
PROXY_2 = ForeignProtocol(
    name="PROXY protocol",
    first=b"\r\n\r\n\0\r\nQUIT\n",
    problem=BadRequest,
    detail=_PROXY_DETAIL,
)
PROTOCOLS = (TLS, HTTP2, PROXY_1, PROXY_2)
_LONGEST = max(len(protocol.first) for protocol in PROTOCOLS)

_rate_limited_log = RateLimitedLog(logger)


def recognize(received: memoryview) -> ForeignProtocol | None:
    """The protocol of the first bytes of a connection, or None if they may be HTTP/1."""
    first = bytes(received[:_LONGEST])
    for protocol in PROTOCOLS:
        if first.startswith(protocol.first):
            return protocol
    return None


async def refuse(stream: IOStream, protocol: ForeignProtocol, peer: str) -> None:
    """Log it, answer in a form that the client can read, and close the connection."""
    _rate_limited_log.warn(
        f"a client spoke {protocol.name}: {protocol.detail}",
        kind=protocol.name,
        action="foreign_protocol",
        protocol=protocol.name,
        peer=peer,
    )
    answer = _answer_http2 if protocol is HTTP2 else _answer_http1
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await answer(stream, protocol.problem(protocol.detail))
    except (StreamClosedError, UnsatisfiableReadError, TimeoutError):
        # A read that was cancelled stays pending in the stream, so nothing more can be read.
        stream.close()
        return
    await lingering_close(stream, seconds=ANSWER_SECONDS)


async def _answer_http1(stream: IOStream, problem: Problem) -> None:
    # A client of TLS says that it got HTTP: "wrong version number", "HTTP response to HTTPS".
    head, body = _response(problem)
    await stream.write(head + body)


def _response(problem: Problem) -> tuple[bytes, bytes]:
    request_id = new_id()
    response = error_response(problem, request_id)
    assert isinstance(response.body, bytes)
    return head_on_wire(changed(response, closes=True), request_id), response.body


async def _answer_http2(stream: IOStream, problem: Problem) -> None:
    """Answer the first request in frames of HTTP/2: status and body, and the end of all."""
    await stream.write(_frame(_SETTINGS))
    stream_id = await _first_request(stream)
    _, body = _response(problem)
    fields = _literal(8, str(int(problem.status))) + _literal(31, PROBLEM)
    await stream.write(
        _frame(_SETTINGS, flags=_ACK)
        + _frame(_HEADERS, fields, flags=_END_HEADERS, stream_id=stream_id)
        + _frame(_DATA, body, flags=_END_STREAM, stream_id=stream_id)
        + _frame(_GOAWAY, struct.pack(">II", stream_id, _HTTP_1_1_REQUIRED))
    )


async def _first_request(stream: IOStream) -> int:
    """Read up to the first HEADERS frame; returns the id of its stream."""
    await stream.read_bytes(len(_PREFACE))
    while True:
        head = await stream.read_bytes(9)
        length, kind = int.from_bytes(head[:3], "big"), head[3]
        if length > MAX_FRAME_BYTES:
            raise StreamClosedError
        await stream.read_bytes(length)
        if kind == _HEADERS:
            return int.from_bytes(head[5:], "big") & 0x7FFFFFFF


def _frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream_id: int = 0) -> bytes:
    return (
        struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream_id) + payload
    )


def _literal(index: int, value: str) -> bytes:
    """A field without indexing, named by the static table (RFC 7541, section 6.2.2)."""
    name = bytes([index]) if index < 15 else bytes([15, index - 15])
    return name + bytes([len(value)]) + value.encode("ascii")
