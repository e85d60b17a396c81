"""Bodies that are kept in memory, with a bound on all of them together.

Scripts of routes see a body whole, so it is gathered first, from clients that may take their time.
With 1 MiB for each of 2,000 connections, these alone could take 2 GiB.
"""

import mmap

from qmonus_lite.errors import TooLarge, Unavailable

#: Bytes of one body.
MAX_BODY = 1 << 20
#: Bytes of all bodies together; not counted is the beginning of each, so that requests with small
#: bodies are served also while large ones have taken everything.
MAX_TOGETHER, UNCOUNTED = 64 << 20, 16 << 10


class Bodies:
    """The bodies of all requests that are under way in this process."""

    def __init__(self, most: int = MAX_TOGETHER) -> None:
        self._left = most

    def take(self, count: int) -> None:
        """Count some bytes; raises Unavailable when there are too many already."""
        if count > self._left:
            raise Unavailable("too many large bodies are under way")
        self._left -= count

    def give_back(self, count: int) -> None:
        """They are gone."""
        self._left += count


class Body:
    """The body of one request.

    Beyond its beginning it grows in a mapping of its own, whose pages go back to the system at
    once. What is allocated beside all else stays with the process, since something that lives
    longer mostly lies behind it.
    """

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self._kept: bytearray | mmap.mmap = bytearray()
        self._size = self._counted = 0

    def add(self, chunk: bytes) -> None:
        """Keep more of it; raises Problem."""
        size = self._size + len(chunk)
        if size > MAX_BODY:
            raise TooLarge(f"a body may have at most {MAX_BODY} bytes here")
        count = max(0, size - UNCOUNTED) - self._counted
        self._bodies.take(count)
        self._counted += count
        if self._counted and isinstance(self._kept, bytearray):
            self._kept = _mapped(self._kept)
        self._kept[self._size : size] = chunk
        self._size = size

    def take(self) -> bytes:
        """All of it, which stays counted until `release`."""
        whole = bytes(self._kept[: self._size])
        self._forget()
        return whole

    def release(self) -> None:
        """Nobody has a use for it any more; may be called again."""
        self._forget()
        self._bodies.give_back(self._counted)
        self._counted = 0

    def _forget(self) -> None:
        kept, self._kept, self._size = self._kept, bytearray(), 0
        if isinstance(kept, mmap.mmap):
            kept.close()


def _mapped(beginning: bytearray) -> mmap.mmap:
    try:
        mapped = mmap.mmap(-1, MAX_BODY, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError:
        raise Unavailable("no memory is left for a large body") from None
    mapped[: len(beginning)] = bytes(beginning)
    return mapped
