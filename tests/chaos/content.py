"""Contents that prove themselves: a head with tag, length and SHA-256 of all that follows it."""

import hashlib
import re
from dataclasses import dataclass

_HEAD = re.compile(rb"qmonus-lite chaos ([\w-]+) (\d+) ([0-9a-f]{64})\n")


class IncompleteContent(Exception):
    """Bytes that are no whole content; the message says what is wrong with them."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """What one upload sends."""

    #: Unique among all uploads of a trial.
    tag: str
    data: bytes


def make(tag: str, rest: bytes) -> Content:
    """A content that carries `rest`."""
    digest = hashlib.sha256(rest).hexdigest()
    head = f"qmonus-lite chaos {tag} {len(rest)} {digest}\n".encode()
    return Content(tag=tag, data=head + rest)


def tag_of(data: bytes) -> str:
    """The tag of a whole content; raises NotWhole."""
    head = _HEAD.match(data)
    if head is None:
        raise IncompleteContent(f"{len(data)} bytes that begin with {data[:40]!r}")
    tag, length, digest = (part.decode() for part in head.groups())
    rest = memoryview(data)[head.end() :]
    if len(rest) != int(length):
        raise IncompleteContent(f"{tag} has {len(rest)} of {length} bytes")
    if hashlib.sha256(rest).hexdigest() != digest:
        raise IncompleteContent(f"{tag} has another SHA-256 than it says")
    return tag
