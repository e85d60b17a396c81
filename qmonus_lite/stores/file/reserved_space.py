"""Reserved space: bytes that running uploads may still receive, by device number."""

import mmap
import os
import struct
from collections import Counter
from pathlib import Path

#: File systems in a row of the shared table; reservations on others are not shared.
MAX_FILESYSTEMS = 16
#: Table entry: device number of a file system, and bytes reserved on it.
_PAIR = struct.Struct("=Qq")


class ReservedSpace:
    """Reserved space of one APIGW."""

    def __init__(self) -> None:
        self._own: Counter[int] = Counter()

    def add(self, device: int, count: int) -> None:
        """Reserve bytes on a file system, or free them (negative count)."""
        self._own[device] += count

    def total(self, device: int) -> int:
        """Bytes reserved on a file system."""
        return self._own[device]


class SharedReservedSpace(ReservedSpace):
    """Reserved space of several APIGWs of one installation, in a file that all of them map.

    Each process writes only its own row and reads all rows, without a lock. Two processes may
    reserve the same space at the same time; then a write of one of them fails with ENOSPC.
    """

    def __init__(self, path: Path, *, row: int, rows: int) -> None:
        """Create or map the file, and clear what a former process with this row reserved."""
        super().__init__()
        self._width = MAX_FILESYSTEMS * _PAIR.size
        self._others = [other for other in range(rows) if other != row]
        self._start = row * self._width
        #: Offset of an entry in the own row, by device number.
        self._offsets: dict[int, int] = {}
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_size < rows * self._width:
                os.ftruncate(descriptor, rows * self._width)
            self._table = mmap.mmap(descriptor, rows * self._width)
        finally:
            os.close(descriptor)
        self._table[self._start : self._start + self._width] = bytes(self._width)

    def add(self, device: int, count: int) -> None:
        """Reserve bytes on a file system, or free them (negative count)."""
        super().add(device, count)
        if device not in self._offsets and len(self._offsets) < MAX_FILESYSTEMS:
            self._offsets[device] = self._start + len(self._offsets) * _PAIR.size
        if (offset := self._offsets.get(device)) is not None:
            _PAIR.pack_into(self._table, offset, device, self._own[device])

    def total(self, device: int) -> int:
        """Bytes reserved on a file system by all processes."""
        return self._own[device] + sum(self._of_row(row, device) for row in self._others)

    def _of_row(self, row: int, device: int) -> int:
        """Bytes that another process has reserved on a file system."""
        start = row * self._width
        for offset in range(start, start + self._width, _PAIR.size):
            found, count = _PAIR.unpack_from(self._table, offset)
            if found == device:
                return int(count)
            if not found:
                # Rows are filled from the front, so no entry follows.
                break
        return 0
