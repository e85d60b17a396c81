"""Parser of buffered requests: small PUTs that arrive in one piece, without Tornado.

Reading such a request, dispatching it and writing the response takes Tornado more time than the
upload itself (docs/decisions/whole-uploads.md). So the simplest form of a PUT is parsed here. Any
other form is left to Tornado unread. The form of the bytes is all that decides: whether the request
is refused is a matter of the pipeline, which both pass.
"""

import re

from qmonus_lite.http.framing import RequestHead
from qmonus_lite.values import Value

#: Maximum bytes of the head, and of the body, of a buffered request.
MAX_HEAD_BYTES, MAX_BUFFERED_BODY_BYTES = 8 << 10, 64 << 10

#: Stricter than HTTP: only ASCII, and no empty field values.
_PLAIN = re.compile(
    rb"PUT (/[\x21\x22\x24-\x7e]*) HTTP/1\.1\r\n"
    rb"((?:[\w-]+:[\t ]*[\x21-\x7e][\t\x20-\x7e]*\r\n)+)\r\n"
)
#: Host values that need no further validation.
_HOST = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]+)?|\[[0-9A-Fa-f:.]+\](?::[0-9]+)?")
#: A decimal number of as many digits as the maximum has.
_LENGTH = re.compile(r"0|[1-9][0-9]{0,4}")
#: Fields of another form of message.
_NOT_PLAIN = frozenset({"expect", "transfer-encoding", "upgrade"})


class ParsedPut(Value, frozen=True, kw_only=True):
    """A parsed PUT in its simplest form; its body may be incomplete."""

    head: RequestHead
    #: Bytes of the head; bytes of head and body.
    size: int
    total: int


def parse_plain_put(data: bytes | bytearray | memoryview) -> ParsedPut | None:
    """Parse a plain PUT at the start of `data`; None for anything else or a partial head."""
    found = _PLAIN.match(data, 0, MAX_HEAD_BYTES)
    if found is None:
        return None
    lines = found[2].decode("ascii").split("\r\n")[:-1]
    fields = [line.partition(":") for line in lines]
    head = RequestHead(
        method="PUT",
        target=found[1].decode("ascii"),
        version="HTTP/1.1",
        fields=tuple([(name, value.strip(" \t")) for name, _, value in fields]),
    )
    length = _length(head)
    if length is None:
        return None
    size = found.end()
    return ParsedPut(head=head, size=size, total=size + length)


def _length(head: RequestHead) -> int | None:
    """Content-Length of a head with a simple Host and a keep-alive connection; None for others."""
    hosts, lengths = head.values("host"), head.values("content-length")
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]) or head.has_any(_NOT_PLAIN):
        return None
    connection = head.values("connection")
    if connection and [value.lower() for value in connection] != ["keep-alive"]:
        return None
    if len(lengths) != 1 or not _LENGTH.fullmatch(lengths[0]):
        return None
    length = int(lengths[0])
    return length if length <= MAX_BUFFERED_BODY_BYTES else None
