"""Byte source: what a store copies into a file on a thread, past the event loop."""

from typing import Protocol


class ByteSource(Protocol):
    """The bytes of a body that have arrived, read on one thread at a time."""

    def read_into(self, buffer: memoryview) -> int:
        """Read bytes into the beginning of `buffer`; returns how many.

        0 ends the copy: nothing arrived for a moment, or there is nothing to read any more. Raises
        nothing: what ended the source is reported by its next reader on the event loop.
        """
