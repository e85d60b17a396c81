"""Errands: what a client does next, by chance; a seed gives the same errands again."""

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


class Manner(enum.Enum):
    """How a client behaves."""

    POLITE = "polite"
    #: It goes away before it has sent all: hangs up, or resets the connection.
    LEAVES = "leaves"
    RESETS = "resets"
    #: It has neither token nor word.
    UNINVITED = "uninvited"
    #: It asks for a path that nobody has taken.
    ONLY_NEW = "only new"


_WEIGHTS = {
    Manner.POLITE: 84,
    Manner.LEAVES: 5,
    Manner.RESETS: 4,
    Manner.UNINVITED: 3,
    Manner.ONLY_NEW: 4,
}


@dataclass(frozen=True, kw_only=True)
class Errand:
    """One upload to be sent."""

    path: str
    content: Content
    manner: Manner
    #: Whether the body goes in chunks, else with Content-Length.
    chunked: bool
    #: Into how many pieces it is cut.
    pieces: int
    #: Bytes of the body that are sent: fewer than all for who goes away.
    sent: int

    @property
    def breaks_off(self) -> bool:
        """Whether the client goes away in the middle."""
        return self.manner in (Manner.LEAVES, Manner.RESETS)


class Errands:
    """The errands of one client; `meetings` counts for all of them."""

    def __init__(self, seed: int, client: int, meetings: Iterator[int]) -> None:
        self._client = client
        self._dice = random.Random(f"{seed}/{client}")
        self._count = itertools.count()
        self._meetings = meetings

    def next(self) -> Errand:
        """The next one."""
        dice, number = self._dice, next(self._count)
        tag = f"{self._client}-{number}"
        path = self._path(number)
        content = Content(tag=tag, data=b"") if path == EMPTY else make(tag, self._rest())
        (manner,) = dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
        breaks_off = manner in (Manner.LEAVES, Manner.RESETS) and path != EMPTY
        return Errand(
            path=path,
            content=content,
            manner=manner if breaks_off or path != EMPTY else Manner.POLITE,
            chunked=dice.random() < 0.3,
            pieces=dice.randrange(1, 6),
            sent=dice.randrange(len(content.data)) if breaks_off else len(content.data),
        )

    def _path(self, number: int) -> str:
        where = self._dice.random()
        if where < 0.04:
            return EMPTY
        if where < 0.20:
            return self._dice.choice(HOT)
        if where < 0.50:
            return f"/upload/met/{next(self._meetings) // MEETING}"
        # Some in directories that are new as well.
        folder = f"deep-{number}/{number}" if where < 0.55 else "flat"
        return f"/upload/new/{self._client}/{folder}/{number}"

    def _rest(self) -> bytes:
        dice = self._dice
        if dice.random() < 0.01:
            size = dice.randrange(1 << 20, 4 << 20)
        else:
            # Most are small, and some of nothing but the head.
            size = int((300 << 10) * dice.random() ** 4)
        start = dice.randrange(len(_POOL) - size)
        return _POOL[start : start + size]
