"""The body of a request: a protocol, and the bodies that need no more bytes of the connection."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from qmonus_lite.byte_source import ByteSource
from qmonus_lite.errors import NotImplementedHere, TooLarge

#: Copies what a source has, for a time slice at most; returns how many bytes.
SourceCopy = Callable[[ByteSource], Awaitable[int]]


class ClientLeft(Exception):
    """The client closed the connection before its body was complete; no response can be sent."""


class Sink(Protocol):
    """Receives the bytes of a body."""

    async def write(self, chunk: bytes) -> None:
        """Take a chunk; no more is read from the client until this returns."""

    @property
    def copy_from(self) -> SourceCopy | None:
        """Copies bytes of the client past the event loop; None where it cannot."""


class Body(Protocol):
    """The body of one request.

    Bytes are pushed to a sink instead of iterated over: Tornado and the thread that copies from a
    socket both push, and a chunk so costs no switch between tasks.
    """

    @property
    def length(self) -> int | None:
        """Content-Length; None if the length is not known before the end."""

    @property
    def consumed(self) -> bool:
        """True if no byte of the body is left to read."""

    async def copy_to(self, sink: Sink) -> None:
        """Write the whole body to `sink`, once; a body that was consumed writes nothing.

        A client that waits for `100 Continue` gets it now. Raises RequestTimeout, ClientLeft, and
        what `sink` raises.
        """


class BufferedBody:
    """A body that was received together with its head."""

    __slots__ = ("_data", "consumed")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.consumed = not data

    @property
    def length(self) -> int:
        """Size of the body in bytes."""
        return len(self._data)

    async def copy_to(self, sink: Sink) -> None:
        """Write the body to `sink` as one chunk; raises what `sink` raises."""
        if not self.consumed:
            await sink.write(self._data)
            self.consumed = True


class UnreadableBody:
    """The body of a request of an unknown method: no endpoint has a use for it."""

    consumed = False
    length = None

    async def copy_to(self, sink: Sink) -> None:
        """Raises NotImplementedHere."""
        raise NotImplementedHere("a method that is not known here has no body")


class _Discarding:
    """A sink that counts, and drops what it gets."""

    copy_from = None

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._count = 0

    async def write(self, chunk: bytes) -> None:
        """Count a chunk; raises TooLarge."""
        self._count += len(chunk)
        if self._count > self._max_bytes:
            raise TooLarge(f"a body may have at most {self._max_bytes} bytes here")


async def discard(body: Body, max_bytes: int) -> None:
    """Read a body that is not used; raises TooLarge beyond `max_bytes`."""
    if not body.consumed:
        await body.copy_to(_Discarding(max_bytes))
