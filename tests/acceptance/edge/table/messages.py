"""Messages to a worker that no APIGW of ours sent, or not in this form."""

import hashlib
import hmac
import json
import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from tests.acceptance.edge.raw import request
from tests.acceptance.edge.table.row import Message

#: The event that the installation has a handler for.
EVENT = "Edge.Message"
MIB = 1 << 20
ASK, DELIVER = "/events/ask", "/events/deliver"
PURPOSES = {ASK: "question", DELIVER: "delivery"}


def envelope(id: str, **other: Any) -> bytes:
    """A delivery of this id; `other` replaces what is right, or takes it away (None)."""
    right = {
        "id": id,
        "source": "http://127.0.0.1:9099",
        "type": EVENT,
        "specversion": "1.0",
        "time": "2026-11-22T10:00:00Z",
        "datacontenttype": "application/json",
        "attempt": 1,
        "purpose": "delivery",
        "data": {"path": id},
    }
    return json.dumps(right | other).encode()


def signed(
    body: bytes, *, path: str = DELIVER, age: float = 0, sent: bytes | None = None
) -> Callable[[bytes], bytes]:
    """The message that has this body signed so long ago, and `sent` in its place."""

    def made(secret: bytes) -> bytes:
        at = str(int(time.time() - age))
        mac = hmac.digest(secret, b".".join((b"m1", at.encode(), body)), hashlib.sha256)
        signature = f"v1,{b64encode(mac).decode()}"
        return message(body if sent is None else sent, path, at=at, signature=signature)

    return made


def message(body: bytes, path: str, *, at: str = "", signature: str = "") -> bytes:
    fields = ("webhook-id: m1", f"webhook-timestamp: {at}", f"webhook-signature: {signature}")
    given = fields if signature else ()
    return request("POST", path, f"Content-Length: {len(body)}", *given, body=body)


ROWS: list[Message] = []


def row(
    id: str, what: str, *sent: Callable[[bytes], bytes], expected: tuple[int, ...], runs: int = 0
) -> None:
    ROWS.append(Message(id=id, what=what, sent=sent, expected=expected, runs=runs))


def by_nobody(body: bytes, path: str) -> Callable[[bytes], bytes]:
    """The message without a signature."""
    return lambda _: message(body, path)


def by_others(body: bytes, path: str) -> Callable[[bytes], bytes]:
    """The message, signed with another secret."""
    return lambda _: signed(body, path=path)(b"another secret" * 3)


for _path, _purpose in PURPOSES.items():
    _at = _path.rpartition("/")[2]
    _body = envelope(f"b136-{_at}", purpose=_purpose)
    _other = envelope(f"b136-{_at}", purpose=_purpose, attempt=2)
    for _what, _made in {
        "unsigned": by_nobody(_body, _path),
        "signed by others": by_others(_body, _path),
        "301 s old": signed(_body, path=_path, age=301),
        "of the future": signed(_body, path=_path, age=-330),
        "body changed": signed(_body, path=_path, sent=_other),
    }.items():
        row("B136", f"{_what}, {_at}", _made, expected=(401,))
row(
    "B136",
    "id replayed",
    signed(envelope("b136-replayed")),
    signed(envelope("b136-replayed", attempt=2)),
    signed(envelope("b136-replayed", attempt=3)),
    expected=(200, 200, 200),
    runs=1,
)
for _path, _purpose in PURPOSES.items():
    _other_path = ASK if _path == DELIVER else DELIVER
    _what = f"{_purpose} replayed to {_other_path}"
    row(
        "B136",
        _what,
        signed(envelope("b136-purpose", purpose=_purpose), path=_other_path),
        expected=(422,),
    )
row("B137", "no purpose, as of version 1", signed(envelope("b137", purpose=None)), expected=(422,))
row("B137", "unknown purpose", signed(envelope("b137", purpose="both")), expected=(422,))
row("B137", "above the limit", signed(envelope("b137", data={"x": "x" * 5 * MIB})), expected=(413,))
row("B137", "unknown version", signed(envelope("b137", specversion="2.0")), expected=(422,))
row("B137", "no version", signed(envelope("b137", specversion=None)), expected=(422,))
row("B137", "no event", signed(b"[]"), expected=(422,))
row("B137", "no JSON", signed(b"{"), expected=(422,))
row("B137", "data that is no object", signed(envelope("b137", data=[1])), expected=(422,))
row("B137", "attempt 0", signed(envelope("b137", attempt=0)), expected=(422,))
row("B137", "unknown type", signed(envelope("b137", type="Edge.Nobody")), expected=(200,))
