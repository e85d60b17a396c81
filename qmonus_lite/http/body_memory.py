"""Request bodies buffered in memory, with a limit per body and on their total.

Route scripts get the complete body, so it is buffered first, also from slow clients. With 1 MiB
for each of 2,000 connections, bodies alone could need 2 GiB.
"""

import mmap

from qmonus_lite.errors import (
    MemoryLimitReached,
    TooLarge,
)

#: Maximum bytes of one body.
MAX_BODY = 1 << 20
#: Maximum bytes of all bodies together; and the first bytes of each body that are not counted, so
#: that requests with small bodies are served even when large ones have used up the limit.
MAX_TOGETHER, UNCOUNTED = 64 << 20, 16 << 10


class BodyMemory:
    """Byte counter of the bodies of all active requests of this process."""

    def __init__(self, most: int = MAX_TOGETHER) -> None:
        self._left = most

    def take(self, count: int) -> None:
        """Reserve `count` bytes; raises Unavailable above the limit."""
        if count > self._left:
            raise MemoryLimitReached("too many large bodies are under way")
        self._left -= count

    def give_back(self, count: int) -> None:
        """Release `count` bytes."""
        self._left += count


class BufferedBytes:
    """The bytes of one body; a sink.

    Beyond the first `UNCOUNTED` bytes it uses an anonymous mmap, whose pages return to the system
    when it is closed. Heap memory mostly stays with the process, since longer-lived allocations
    behind it keep the heap from shrinking.
    """

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self._kept: bytearray | mmap.mmap = bytearray()
        self._size = self._counted = 0

    copy_from = None

    async def write(self, chunk: bytes) -> None:
        """Append a chunk; raises TooLarge or Unavailable."""
        self.add(chunk)

    def add(self, chunk: bytes) -> None:
        """Append a chunk; raises TooLarge or Unavailable."""
        size = self._size + len(chunk)
        if size > MAX_BODY:
            raise TooLarge(f"a body may have at most {MAX_BODY} bytes here")
        count = max(0, size - UNCOUNTED) - self._counted
        self._memory.take(count)
        self._counted += count
        if self._counted and isinstance(self._kept, bytearray):
            self._kept = _mapped(self._kept)
        self._kept[self._size : size] = chunk
        self._size = size

    def take(self) -> bytes:
        """Return the complete body and drop the buffer; bytes stay counted until `release`."""
        body = bytes(self._kept[: self._size])
        self._forget()
        return body

    def release(self) -> None:
        """Drop the buffer and release the counted bytes; idempotent."""
        self._forget()
        self._memory.give_back(self._counted)
        self._counted = 0

    def _forget(self) -> None:
        kept, self._kept, self._size = self._kept, bytearray(), 0
        if isinstance(kept, mmap.mmap):
            kept.close()


def _mapped(beginning: bytearray) -> mmap.mmap:
    try:
        mapped = mmap.mmap(-1, MAX_BODY, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError:
        raise MemoryLimitReached("no memory is left for a large body") from None
    mapped[: len(beginning)] = bytes(beginning)
    return mapped
