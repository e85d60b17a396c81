"""What a row of the table is: an id, the input, and what has to come of it."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jwt


@dataclass(frozen=True, kw_only=True)
class Row:
    """One input."""

    id: str
    what: str


@dataclass(frozen=True, kw_only=True)
class Request(Row):
    """Bytes for a door that needs no credential."""

    sent: bytes
    #: Statuses that come back, in order; none when the connection just ends.
    expected: tuple[int, ...]
    refused: bool = True
    #: Whether the server has to end the connection.
    closes: bool = False
    #: Whether the client says that it sends no more.
    ends: bool = False
    #: Path that the input stores, below the launch directory.
    stores: str | None = None


@dataclass(frozen=True, kw_only=True)
class Ring:
    """What rows about credentials are made of; every account has role `team` if none is said."""

    #: The secret that tokens are signed with.
    secret: bytes
    #: The API key of `alice`, and her token.
    key: str
    token: str
    #: A token of `reader`, whose role allows nothing but reading.
    reader: str
    #: A token of an account that was taken away, and the key of one that ended.
    revoked: str
    ended: str

    def mint(self, **claims: object) -> str:
        """A token of alice that is sound but for these claims."""
        now = int(time.time())
        sound = {"sub": "alice", "aud": "qmonus-lite", "iat": now, "exp": now + 60}
        return jwt.encode(sound | claims, self.secret, algorithm="HS256")


@dataclass(frozen=True, kw_only=True)
class Credential(Row):
    """A request of somebody who may not, or not this."""

    sent: Callable[[Ring], bytes]
    expected: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Twins(Row):
    """Two requests that nobody may tell apart by their answer or its time."""

    #: Made anew for every round.
    first: Callable[[Ring, int], bytes]
    second: Callable[[Ring, int], bytes]
    expected: int


@dataclass(frozen=True, kw_only=True)
class PluginFile(Row):
    """A file in the plugin folder."""

    content: bytes
    #: Where its first fault stands, as far as the row says; None for a file that is taken.
    place: tuple[int | None, int | None] | None


@dataclass(frozen=True, kw_only=True)
class Command(Row):
    """A command that is refused."""

    words: tuple[str, ...]
    says: str


@dataclass(frozen=True, kw_only=True)
class Message(Row):
    """What somebody sends to a worker."""

    #: The requests in turn, given the secret that APIGW and workers share.
    sent: tuple[Callable[[bytes], bytes], ...]
    expected: tuple[int, ...]
    #: How often handlers ran after all of them.
    runs: int


class Table:
    """Requests as they are written down."""

    def __init__(self) -> None:
        self.rows: list[Request] = []

    def __iter__(self) -> Iterator[Request]:
        return iter(self.rows)

    def bad(self, id: str, what: str, sent: bytes, *expected: int, **more: Any) -> None:
        """An input that is refused."""
        more.setdefault("closes", not expected)
        self.rows.append(Request(id=id, what=what, sent=sent, expected=expected, **more))

    def shut(self, id: str, what: str, sent: bytes, *expected: int) -> None:
        """An input that is refused, and whose connection ends."""
        self.bad(id, what, sent, *expected, closes=True)

    def good(
        self, id: str, what: str, sent: bytes, stores: str | None, *expected: int, **more: Any
    ) -> None:
        """An input that is answered 201 unless it says otherwise, and stores a file if so."""
        more |= {"refused": False, "stores": stores}
        self.bad(id, what, sent, *(expected or (201,)), **more)


def unsigned(header: dict[str, object], claims: dict[str, object]) -> str:
    """A JWT without a signature."""
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), b"")
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
