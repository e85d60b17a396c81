"""Framing: what the head of a request has to be before anybody looks at what it wants.

Tornado parses a head generously, and judges the length of a body only after the handler has been
asked. So every request passes this table of rules first; one that fails can have asked nobody.
"""

import re
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urlsplit

from tornado.httputil import HTTPServerRequest

from qmonus_lite.errors import (
    BadRequest,
    ExpectationFailed,
    HeadTooLarge,
    NotImplementedHere,
    TargetTooLong,
    TooLarge,
    VersionUnknown,
)

#: Bytes of the request line, bytes of all header fields, number of fields.
MAX_LINE_BYTES, MAX_BLOCK_BYTES, MAX_FIELDS = 8 << 10, 16 << 10, 100
#: Digits of a Content-Length that may be meant; of one that a file can have.
MAX_LENGTH_DIGITS, DIGITS = 100, 19

_NUMBER = re.compile(r"0|[1-9][0-9]*")
#: What a target may hold: printable ASCII, and no fragment.
_TARGET = re.compile(r"[\x21-\x22\x24-\x7e]+")


@dataclass(frozen=True, kw_only=True)
class RequestHead:
    """A request line and its header fields, as they came."""

    method: str
    target: str
    version: str
    fields: tuple[tuple[str, str], ...]
    #: Values by lower-case name.
    _by_name: dict[str, list[str]] = field(default_factory=dict, init=False)

    @classmethod
    def of(cls, request: HTTPServerRequest) -> "RequestHead":
        """The head of a request as it came; Tornado's headers are changed on the way."""
        return cls(
            method=request.method or "",
            target=request.uri or "",
            version=request.version,
            fields=tuple(request.headers.get_all()),
        )

    def __post_init__(self) -> None:
        by_name = self._by_name
        for name, value in self.fields:
            key = name.lower()
            if key in by_name:
                by_name[key].append(value)
            else:
                by_name[key] = [value]

    def values(self, name: str) -> Sequence[str]:
        """The values of all fields of this name, in any case."""
        return self._by_name.get(name, ())

    def has_any(self, names: Set[str]) -> bool:
        """Whether it has a field of one of these names, in lower case."""
        return not self._by_name.keys().isdisjoint(names)

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return bool(self.values("transfer-encoding"))

    @property
    def length(self) -> int | None:
        """Content-Length of a head that was judged; None when it has none."""
        given = self.values("content-length")
        return int(given[0]) if given else None

    @cached_property
    def body_follows(self) -> bool:
        """Whether bytes may stand behind the head, also behind one that is refused."""
        return self.chunked or any(value != "0" for value in self.values("content-length"))

    @property
    def waits(self) -> bool:
        """Whether the client waits for `100 Continue` before its body."""
        expects = self.version == "HTTP/1.1" and bool(self.values("expect"))
        return expects and self.body_follows

    @property
    def last_of_connection(self) -> bool:
        """Whether the client asked to close; Tornado knows only a `close` that stands alone."""
        given = self.values("connection")
        tokens = ",".join(given).lower().split(",") if given else ()
        return "close" in map(str.strip, tokens)


def version(head: RequestHead) -> None:
    """HTTP/1.0 and HTTP/1.1 are known."""
    if head.version not in {"HTTP/1.0", "HTTP/1.1"}:
        raise VersionUnknown("use HTTP/1.1")


def line(head: RequestHead) -> None:
    """The request line is short enough."""
    if len(head.method) + len(head.target) + len(head.version) + 2 > MAX_LINE_BYTES:
        raise TargetTooLong(f"a request line may have at most {MAX_LINE_BYTES} bytes")


def block(head: RequestHead) -> None:
    """The header fields are few and short enough."""
    if len(head.fields) > MAX_FIELDS:
        raise HeadTooLarge(f"a request may have at most {MAX_FIELDS} header fields")
    if sum([len(name) + len(value) + 4 for name, value in head.fields]) > MAX_BLOCK_BYTES:
        raise HeadTooLarge(f"the header fields may have at most {MAX_BLOCK_BYTES} bytes")


def target(head: RequestHead) -> None:
    """The target is a path of printable ASCII: no authority of others, no fragment."""
    if not _TARGET.fullmatch(head.target):
        raise BadRequest("the request target has a '#', or bytes that are not percent-encoded")
    if not head.target.startswith("/"):
        raise BadRequest("the request target is no path of this server")
    if head.target.startswith("//"):
        raise BadRequest("the request target begins with an empty part")


def host(head: RequestHead) -> None:
    """The host has a name; that there is exactly one, Tornado has seen to."""
    if "" in head.values("host"):
        raise BadRequest("Host is empty")


def coding(head: RequestHead) -> None:
    """A transfer coding is `chunked`, once, and only where HTTP has it."""
    codings = head.values("transfer-encoding")
    if not codings:
        return
    if head.values("content-length"):
        raise BadRequest("both Content-Length and Transfer-Encoding were given")
    if len(codings) > 1 or codings[0].lower().replace(" ", "") == "chunked,chunked":
        raise BadRequest("Transfer-Encoding was given twice")
    if head.version == "HTTP/1.0":
        raise BadRequest("HTTP/1.0 has no Transfer-Encoding")
    if codings[0].lower() != "chunked":
        raise NotImplementedHere("the only Transfer-Encoding that is known here is chunked")


def length(head: RequestHead) -> None:
    """Content-Length is one plain number that a file can have."""
    lengths = head.values("content-length")
    if not lengths:
        return
    if len(lengths) > 1:
        raise BadRequest("Content-Length was given twice")
    if not _NUMBER.fullmatch(lengths[0]) or len(lengths[0]) > MAX_LENGTH_DIGITS:
        raise BadRequest("Content-Length is not a plain decimal number")
    if len(lengths[0]) > DIGITS:
        raise TooLarge("no file has so many bytes")


def expectation(head: RequestHead) -> None:
    """The one expectation is `100-continue`."""
    for value in head.values("expect"):
        if value.lower() != "100-continue":
            raise ExpectationFailed("the only expectation that can be met is 100-continue")


#: In the order in which they are asked; what says where the request ends comes first.
RULES: tuple[Callable[[RequestHead], None], ...] = (
    version,
    line,
    block,
    target,
    host,
    coding,
    length,
    expectation,
)


def check_framing(head: RequestHead) -> None:
    """Raises the Problem of the first rule that does not hold."""
    for rule in RULES:
        rule(head)


def origin_form(target: str, host: str) -> str:
    """`/path` for `http://host/path` at this host; any other target as it is."""
    if not target.lower().startswith(("http://", "https://")):
        return target
    try:
        parts = urlsplit(target)
    except ValueError:
        return target
    if parts.netloc.lower() != host.lower():
        return target
    return target[target.index("//") + 2 + len(parts.netloc) :] or "/"
