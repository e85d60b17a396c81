"""Promised bytes: what running uploads still may send, by file system."""

import mmap
import os
import struct
from collections import Counter
from pathlib import Path

#: File systems that one APIGW's promises are shared for; promises for further ones stay its own.
MAX_FILESYSTEMS = 16
#: Number of a file system, and bytes promised on it.
_PAIR = struct.Struct("=Qq")


class ReservedSpace:
    """The promises of one APIGW."""

    def __init__(self) -> None:
        self._own: Counter[int] = Counter()

    def add(self, device: int, count: int) -> None:
        """Promise bytes on a file system, or take them back."""
        self._own[device] += count

    def total(self, device: int) -> int:
        """Bytes that are promised on a file system."""
        return self._own[device]


class SharedReservedSpace(ReservedSpace):
    """The promises of several APIGWs of one installation, in a file that all of them map.

    Everybody writes his own row and reads all, so that nobody has to wait for a lock. Two who
    promise the same room at the same moment may both get it; then the disk says no to one.
    """

    def __init__(self, place: Path, *, row: int, rows: int) -> None:
        """Make or map the file; whatever a former process of this row promised is void."""
        super().__init__()
        self._width = MAX_FILESYSTEMS * _PAIR.size
        self._others = [one for one in range(rows) if one != row]
        self._start = row * self._width
        #: Place of a pair in our row, by file system.
        self._places: dict[int, int] = {}
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_size < rows * self._width:
                os.ftruncate(descriptor, rows * self._width)
            self._table = mmap.mmap(descriptor, rows * self._width)
        finally:
            os.close(descriptor)
        self._table[self._start : self._start + self._width] = bytes(self._width)

    def add(self, device: int, count: int) -> None:
        """Promise bytes on a file system, or take them back."""
        super().add(device, count)
        if device not in self._places and len(self._places) < MAX_FILESYSTEMS:
            self._places[device] = self._start + len(self._places) * _PAIR.size
        if (place := self._places.get(device)) is not None:
            _PAIR.pack_into(self._table, place, device, self._own[device])

    def total(self, device: int) -> int:
        """Bytes that are promised on a file system, by all."""
        return self._own[device] + sum(self._of_row(row, device) for row in self._others)

    def _of_row(self, row: int, device: int) -> int:
        """What another process promised on a file system."""
        start = row * self._width
        for place in range(start, start + self._width, _PAIR.size):
            found, count = _PAIR.unpack_from(self._table, place)
            if found == device:
                return int(count)
            if not found:
                # Rows fill from the front.
                break
        return 0
