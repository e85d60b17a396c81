"""Validation of request heads: request line, header fields and message framing.

Tornado parses a head leniently and checks the body length only after the handler was called. So
every request passes this table of rules first; a request that fails has had no side effects.
"""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from qmonus_lite.errors import (
    ExpectationFailed,
    HeadTooLarge,
    InvalidFraming,
    InvalidTarget,
    NotImplementedHere,
    Rule,
    Stage,
    TargetTooLong,
    TooLarge,
    VersionUnknown,
)

#: Bytes of the request line, bytes of all header fields, number of fields.
MAX_LINE_BYTES, MAX_BLOCK_BYTES, MAX_FIELDS = 8 << 10, 16 << 10, 100
#: Maximum digits of a Content-Length that is valid syntax; maximum digits of a file size.
MAX_LENGTH_DIGITS, DIGITS = 100, 19

_NUMBER = re.compile(r"0|[1-9][0-9]*")
#: Characters of a request target: printable ASCII without `#`.
_TARGET = re.compile(r"[\x21-\x22\x24-\x7e]+")


@dataclass(slots=True, kw_only=True)
class RequestHead:
    """A request line and its header fields, as received; the target in origin form."""

    method: str
    target: str
    version: str
    fields: tuple[tuple[str, str], ...]
    #: Values by lower-case name.
    _by_name: dict[str, list[str]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        by_name = self._by_name
        for name, value in self.fields:
            key = name.lower()
            if key in by_name:
                by_name[key].append(value)
            else:
                by_name[key] = [value]

    def values(self, name: str) -> Sequence[str]:
        """Values of all fields with this lower-case name; fields match in any case."""
        return self._by_name.get(name, ())

    def has_any(self, names: Set[str]) -> bool:
        """True if a field with one of these lower-case names is present."""
        return not self._by_name.keys().isdisjoint(names)

    @property
    def chunked(self) -> bool:
        """True if the body has a transfer coding (chunked)."""
        return bool(self.values("transfer-encoding"))

    @property
    def length(self) -> int | None:
        """Content-Length, or None; valid only after `check_framing`."""
        given = self.values("content-length")
        return int(given[0]) if given else None

    @property
    def body_follows(self) -> bool:
        """True if a body may follow the head; valid also for a refused head."""
        return self.chunked or any(value != "0" for value in self.values("content-length"))

    @property
    def waits(self) -> bool:
        """True if the client waits for `100 Continue` before it sends the body."""
        expects = self.version == "HTTP/1.1" and bool(self.values("expect"))
        return expects and self.body_follows


def version(head: RequestHead) -> None:
    """Check the version: HTTP/1.0 or HTTP/1.1; raises VersionUnknown."""
    if head.version not in {"HTTP/1.0", "HTTP/1.1"}:
        raise VersionUnknown("use HTTP/1.1")


def line(head: RequestHead) -> None:
    """Check the length of the request line; raises TargetTooLong."""
    if len(head.method) + len(head.target) + len(head.version) + 2 > MAX_LINE_BYTES:
        raise TargetTooLong(f"a request line may have at most {MAX_LINE_BYTES} bytes")


def block(head: RequestHead) -> None:
    """Check the number and total size of the header fields; raises HeadTooLarge."""
    if len(head.fields) > MAX_FIELDS:
        raise HeadTooLarge(f"a request may have at most {MAX_FIELDS} header fields")
    if sum([len(name) + len(value) + 4 for name, value in head.fields]) > MAX_BLOCK_BYTES:
        raise HeadTooLarge(f"the header fields may have at most {MAX_BLOCK_BYTES} bytes")


def target(head: RequestHead) -> None:
    """Check the target: a path of printable ASCII, no other authority, no fragment."""
    if not _TARGET.fullmatch(head.target):
        raise InvalidTarget("the request target has a '#', or bytes that are not percent-encoded")
    if not head.target.startswith("/"):
        raise InvalidTarget("the request target is no path of this server")
    if head.target.startswith("//"):
        raise InvalidTarget("the request target begins with an empty part")


def host(head: RequestHead) -> None:
    """Check that Host is not empty; Tornado checks that there is exactly one."""
    if "" in head.values("host"):
        raise InvalidTarget("Host is empty")


def coding(head: RequestHead) -> None:
    """Check Transfer-Encoding: only `chunked`, once, HTTP/1.1, without Content-Length."""
    codings = head.values("transfer-encoding")
    if not codings:
        return
    if head.values("content-length"):
        raise InvalidFraming("both Content-Length and Transfer-Encoding were given")
    if len(codings) > 1 or codings[0].lower().replace(" ", "") == "chunked,chunked":
        raise InvalidFraming("Transfer-Encoding was given twice")
    if head.version == "HTTP/1.0":
        raise InvalidFraming("HTTP/1.0 has no Transfer-Encoding")
    if codings[0].lower() != "chunked":
        raise NotImplementedHere("the only Transfer-Encoding that is known here is chunked")


def length(head: RequestHead) -> None:
    """Check Content-Length: a single decimal number; raises InvalidFraming or TooLarge."""
    lengths = head.values("content-length")
    if not lengths:
        return
    if len(lengths) > 1:
        raise InvalidFraming("Content-Length was given twice")
    if not _NUMBER.fullmatch(lengths[0]) or len(lengths[0]) > MAX_LENGTH_DIGITS:
        raise InvalidFraming("Content-Length is not a plain decimal number")
    if len(lengths[0]) > DIGITS:
        raise TooLarge("no file has so many bytes")


def expectation(head: RequestHead) -> None:
    """Check Expect: only `100-continue`; raises ExpectationFailed."""
    for value in head.values("expect"):
        if value.lower() != "100-continue":
            raise ExpectationFailed("the only expectation that can be met is 100-continue")


#: In the order of evaluation; the order decides which Problem is reported.
RULES: tuple[Rule[RequestHead], ...] = (
    Rule(
        name="version",
        stage=Stage.HEAD,
        check=version,
        problems=(VersionUnknown,),
        refuses="another HTTP than 1.0 and 1.1",
    ),
    Rule(
        name="request-line",
        stage=Stage.HEAD,
        check=line,
        problems=(TargetTooLong,),
        refuses=f"a request line above {MAX_LINE_BYTES >> 10} KiB",
    ),
    Rule(
        name="header-block",
        stage=Stage.HEAD,
        check=block,
        problems=(HeadTooLarge,),
        refuses=f"more than {MAX_FIELDS} header fields, or above {MAX_BLOCK_BYTES >> 10} KiB",
    ),
    Rule(
        name="target",
        stage=Stage.HEAD,
        check=target,
        problems=(InvalidTarget,),
        refuses="a target that is no path, has a `#` or bytes that are not percent-encoded",
    ),
    Rule(
        name="host",
        stage=Stage.HEAD,
        check=host,
        problems=(InvalidTarget,),
        refuses="an empty `Host`",
    ),
    Rule(
        name="transfer-encoding",
        stage=Stage.HEAD,
        check=coding,
        problems=(InvalidFraming, NotImplementedHere),
        refuses="a transfer coding that is not known, is given twice, or with a `Content-Length`",
    ),
    Rule(
        name="content-length",
        stage=Stage.HEAD,
        check=length,
        problems=(InvalidFraming, TooLarge),
        refuses="a `Content-Length` that is no plain number, is given twice, or is beyond"
        f" {DIGITS} digits",
    ),
    Rule(
        name="expect",
        stage=Stage.HEAD,
        check=expectation,
        problems=(ExpectationFailed,),
        refuses="another `Expect` than `100-continue`",
    ),
)
_CHECKS = tuple(rule.check for rule in RULES)


def check_framing(head: RequestHead) -> None:
    """Apply all rules; raises the Problem of the first rule that fails."""
    for check in _CHECKS:
        check(head)


def origin_form(target: str, host: str) -> str:
    """`/path` for the absolute form `http://host/path` of this host; else `target` unchanged."""
    if not target.lower().startswith(("http://", "https://")):
        return target
    try:
        parts = urlsplit(target)
    except ValueError:
        return target
    if parts.netloc.lower() != host.lower():
        return target
    return target[target.index("//") + 2 + len(parts.netloc) :] or "/"
