"""Shared memory of one process: float64 slots, and an append-only table that names them.

    header: magic, bytes of the table in use | slots | table: lines of `width <tab> key`

The first slots have no line; those of a line follow those of the line before. The header is written
last, so that a reader in another process never sees half a line. A value of 8 aligned bytes is
written at once.
"""

import errno
import fcntl
import logging
import mmap
import os
import sys
import threading
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)

MAGIC = b"qmlmet01"
#: Number of slots. The bounds of labels keep all metrics within it, but for sums over years.
MAX_SLOTS = 32_768
#: The first slots, which no line names: for what finds none.
_SPARE = 64
#: Size of the table that names them.
MAX_TABLE_BYTES = 1 << 20
_SLOTS_AT = 64
_TABLE_AT = _SLOTS_AT + 8 * MAX_SLOTS
FILE_BYTES = _TABLE_AT + MAX_TABLE_BYTES
#: Space of the file is allocated in steps of so many bytes.
_STEP_BYTES = 16 << 10

_FULL = "there are too many time series: further ones are not counted until the next start"

#: Slots by key; keys are texts without tabs and line ends.
Values = dict[str, list[float]]


class Slots:
    """The slots of this process; without a descriptor in memory that no other process sees."""

    def __init__(self, descriptor: int = -1) -> None:
        """`descriptor`: an empty file of FILE_BYTES. Raises OSError if there is no space."""
        self._descriptor = descriptor
        #: Up to where slots and table have space.
        self._slots_end, self._table_end = 0, _TABLE_AT
        if not self._has_space(0, 0):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._memory = mmap.mmap(descriptor, FILE_BYTES)
        view = memoryview(self._memory)
        #: To be changed under `lock`: a sum is read and written.
        self.values = view[_SLOTS_AT:_TABLE_AT].cast("d")
        self._table_bytes = view[8:16].cast("Q")
        self._table = view[_TABLE_AT:]
        self.lock = threading.Lock()
        self._used = _SPARE
        self._full = False
        view[:8] = MAGIC

    def allocate(self, key: str, width: int) -> int:
        """The first of `width` new slots, all 0. Call it under `lock`.

        If there are too few, slots that no reader reads; that is logged once.
        """
        first = self.begin_series(key, width)
        if first is None and not self._full:
            self._full = True
            logger.warning("%s", _FULL, extra={"action": "metrics_full"})
        return first or 0

    def begin_series(self, key: str, width: int) -> int | None:
        """As `allocate`; None if there are too few."""
        line = f"{width}\t{key}\n".encode()
        begin = self._table_bytes[0]
        end = begin + len(line)
        if not self._has_space(self._used + width, end):
            return None
        self._table[begin:end] = line
        self._table_bytes[0] = end
        first, self._used = self._used, self._used + width
        return first

    def _has_space(self, slots: int, table: int) -> bool:
        """Whether there is space for so many slots, and so many bytes of the table.

        It is allocated: a write to memory that has no space ends the process (SIGBUS).
        """
        if slots > MAX_SLOTS or table > MAX_TABLE_BYTES:
            return False
        try:
            while self._slots_end < _SLOTS_AT + 8 * max(slots, _SPARE):
                self._slots_end = self._allocate_at(self._slots_end)
            while self._table_end < _TABLE_AT + table:
                self._table_end = self._allocate_at(self._table_end)
        except OSError:
            return False
        return True

    def _allocate_at(self, offset: int) -> int:
        if self._descriptor >= 0:
            os.posix_fallocate(self._descriptor, offset, _STEP_BYTES)
        return offset + _STEP_BYTES


def create(path: Path) -> int:
    """A new file, locked until this process ends, for `Slots`; returns its descriptor.

    It gets its name after the lock, so that no reader takes it for that of an ended process.
    Raises OSError.
    """
    draft = path.with_name(f".{path.name}")
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, FILE_BYTES)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.rename(draft, path)
    except OSError:
        os.close(descriptor)
        draft.unlink(missing_ok=True)
        raise
    return descriptor


@contextmanager
def opened(path: Path) -> Iterator[tuple[int, bool]]:
    """A descriptor of a file, and whether its process ended; then it is locked meanwhile."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        yield descriptor, _take(descriptor)
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in {errno.EWOULDBLOCK, errno.EAGAIN}:
            raise
        return False
    return True


def read(descriptor: int) -> Values:
    """The values of a file; raises ValueError for a file that is none of this format."""
    head = os.pread(descriptor, _SLOTS_AT, 0)
    if len(head) < _SLOTS_AT or head[:8] != MAGIC:
        raise ValueError("not a file of metrics of this version")
    length = min(int.from_bytes(head[8:16], sys.byteorder), MAX_TABLE_BYTES)
    lines = os.pread(descriptor, length, _TABLE_AT).decode().split("\n")[:-1]
    keys = [line.partition("\t") for line in lines]
    used = _SPARE + sum(int(width) for width, _, _ in keys)
    slots = array("d", os.pread(descriptor, 8 * used, _SLOTS_AT))
    values: Values = {}
    at = _SPARE
    for width, _, key in keys:
        values[key] = slots[at : at + int(width)].tolist()
        at += int(width)
    return values


def write(path: Path, values: Values) -> None:
    """Replace a file by one with these values, atomically; raises OSError."""
    draft = path.with_name(f".{path.name}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, FILE_BYTES)
        slots = Slots(descriptor)
        for key, value in values.items():
            first = slots.begin_series(key, len(value))
            if first is None:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            for number, amount in enumerate(value):
                slots.values[first + number] = amount
        os.rename(draft, path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
