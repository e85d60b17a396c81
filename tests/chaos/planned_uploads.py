"""Planned uploads: what a client sends next, at random; a seed gives the same ones again."""

import enum
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

from tests.chaos.content import Content, make

#: Paths that all clients replace all the time, and one that takes only empty files.
HOT = tuple(f"/upload/hot/{number}" for number in range(6))
EMPTY = "/upload/hot/empty"
#: So many uploads in a row, of whatever clients, meet at one path.
MEETING = 3

#: Random bytes that bodies are cut from.
_POOL = random.Random(0).randbytes(8 << 20)


class Behavior(enum.Enum):
    """How a client behaves."""

    POLITE = "polite"
    #: It goes away before it has sent all: hangs up, or resets the connection.
    LEAVES = "leaves"
    RESETS = "resets"
    #: It has no token.
    UNAUTHORIZED = "unauthorized"
    #: It asks for a path that nobody has taken.
    ONLY_NEW = "only new"


_WEIGHTS = {
    Behavior.POLITE: 84,
    Behavior.LEAVES: 5,
    Behavior.RESETS: 4,
    Behavior.UNAUTHORIZED: 3,
    Behavior.ONLY_NEW: 4,
}


@dataclass(frozen=True, kw_only=True)
class PlannedUpload:
    """One upload to be sent."""

    path: str
    content: Content
    behavior: Behavior
    #: Whether the body goes in chunks, else with Content-Length.
    chunked: bool
    #: Into how many pieces it is cut.
    pieces: int
    #: Bytes of the body that are sent: fewer than all for who goes away.
    sent: int

    @property
    def breaks_off(self) -> bool:
        """Whether the client goes away in the middle."""
        return self.behavior in (Behavior.LEAVES, Behavior.RESETS)


class UploadPlanner:
    """The planned uploads of one client; `meetings` counts for all of them."""

    def __init__(self, seed: int, client: int, meetings: Iterator[int]) -> None:
        self._client = client
        self._random = random.Random(f"{seed}/{client}")
        self._count = itertools.count()
        self._meetings = meetings

    def next(self) -> PlannedUpload:
        """The next upload."""
        rng, number = self._random, next(self._count)
        tag = f"{self._client}-{number}"
        path = self._path(number)
        content = Content(tag=tag, data=b"") if path == EMPTY else make(tag, self._rest())
        (behavior,) = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
        breaks_off = behavior in (Behavior.LEAVES, Behavior.RESETS) and path != EMPTY
        return PlannedUpload(
            path=path,
            content=content,
            behavior=behavior if breaks_off or path != EMPTY else Behavior.POLITE,
            chunked=rng.random() < 0.3,
            pieces=rng.randrange(1, 6),
            sent=rng.randrange(len(content.data)) if breaks_off else len(content.data),
        )

    def _path(self, number: int) -> str:
        where = self._random.random()
        if where < 0.04:
            return EMPTY
        if where < 0.20:
            return self._random.choice(HOT)
        if where < 0.50:
            return f"/upload/met/{next(self._meetings) // MEETING}"
        # Some in directories that are new as well.
        folder = f"deep-{number}/{number}" if where < 0.55 else "flat"
        return f"/upload/new/{self._client}/{folder}/{number}"

    def _rest(self) -> bytes:
        rng = self._random
        if rng.random() < 0.01:
            size = rng.randrange(1 << 20, 4 << 20)
        else:
            # Most are small, and some of nothing but the head.
            size = int((300 << 10) * rng.random() ** 4)
        start = rng.randrange(len(_POOL) - size)
        return _POOL[start : start + size]
