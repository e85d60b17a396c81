"""Standard output and standard error that never block: a bounded backlog, then records are dropped.

A pipe whose reader stands still (a log collector that hangs) is full after 64 KiB, and the next
write to it would block its thread: the event loop, for most records. Here a write that would block
goes to a backlog, which a thread writes as the reader reads on. When the backlog is full, records
are dropped and counted, and the number is reported once the reader has caught up.
"""

import atexit
import errno
import io
import os
import select
import socket
import stat
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: Maximum size of the backlog of one stream.
MAX_BACKLOG_BYTES = 4 << 20
#: Maximum seconds that the exit of the process waits for the backlog to be written.
MAX_FLUSH_SECONDS = 2.0
#: Seconds between two looks at the backlog, and between two tries of a write that would block.
POLL_SECONDS = 0.01

#: Writes to the stream; gives the number of bytes written.
Write = Callable[[bytes], int]


class NonBlockingOutput:
    """A file descriptor to which records are written whole and in order; used by any thread."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._own = _own_end(descriptor)
        self._write_now, self._write_waiting = _writers_of(descriptor, self._own)
        self._lock = threading.Lock()
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        #: Records lost since the last report, and all that were lost.
        self._lost = 0
        self.all_lost = 0
        #: Whether a thread writes the backlog; then no other thread writes.
        self._draining = False
        #: Makes the record that reports a number of lost records.
        self.report: Callable[[int], bytes] = _plain_report

    def write(self, record: bytes) -> None:
        """Write a record, add it to the backlog, or drop and count it; never blocks or raises."""
        with self._lock:
            if not self._draining:
                rest = self._try(record)
                if rest is None:
                    self._count_lost()
                    return
                if not (rest or self._lost):
                    return
                record = rest
                self._start_drain()
            if not self._draining or self._backlog_bytes + len(record) > MAX_BACKLOG_BYTES:
                self._count_lost()
            elif record:
                self._backlog.append(record)
                self._backlog_bytes += len(record)

    def flush(self, seconds: float = MAX_FLUSH_SECONDS) -> bool:
        """Wait until the backlog is written, at most `seconds`; whether it was."""
        deadline = time.monotonic() + seconds
        while self._draining:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def close(self) -> None:
        """Close what was opened beside the descriptor; nothing may be written afterwards."""
        if isinstance(self._own, int):
            os.close(self._own)
        elif self._own is not None:
            self._own.close()

    def _count_lost(self) -> None:
        self._lost += 1
        self.all_lost += 1

    def _try(self, record: bytes) -> bytes | None:
        """Write without blocking; gives the rest, None after an error (disk full, reader gone)."""
        try:
            return record[self._write_now(record) :]
        except BlockingIOError:
            return record
        except OSError:
            return None

    def _start_drain(self) -> None:
        thread = threading.Thread(target=self._drain, name="log-output", daemon=True)
        self._draining = True
        try:
            thread.start()
        except RuntimeError:
            # The interpreter is shutting down, or the system has no thread left.
            self._draining = False

    def _drain(self) -> None:
        """Write the backlog as the reader reads, then the report of what was lost."""
        while self._draining:
            record, lost = self._next()
            if self._write_whole(record):
                continue
            with self._lock:
                if lost:
                    self._lost += lost
                else:
                    self._count_lost()
                if lost:
                    # The stream takes nothing; the next record that it takes starts this again.
                    self._draining = False

    def _next(self) -> tuple[bytes, int]:
        """The next record; after the last one the report of lost records, and their number."""
        with self._lock:
            if self._backlog:
                record = self._backlog.popleft()
                self._backlog_bytes -= len(record)
                return record, 0
            lost, self._lost = self._lost, 0
            self._draining = lost > 0
        # Without the lock: the report is formatted by the log handler, which has a lock of its own.
        return self.report(lost) if lost else b"", lost

    def _write_whole(self, record: bytes) -> bool:
        """Write a record, waiting for the reader; False after an error."""
        while record:
            try:
                record = record[self._write_waiting(record) :]
            except BlockingIOError:
                time.sleep(POLL_SECONDS)
            except OSError:
                return False
        return True


class _RawOutput(io.RawIOBase):
    """The binary stream below `sys.stdout` or `sys.stderr`."""

    def __init__(self, output: NonBlockingOutput) -> None:
        self._output = output

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._output.descriptor

    def isatty(self) -> bool:
        return os.isatty(self._output.descriptor)

    def write(self, data: "ReadableBuffer", /) -> int:
        record = bytes(data)
        self._output.write(record)
        return len(record)


#: The outputs of this process.
_installed: list[NonBlockingOutput] = []


def install() -> NonBlockingOutput | None:
    """Replace `sys.stdout` and `sys.stderr` of this process; gives the output of the latter.

    A stream that is closed, or that was replaced before, is left as it is.
    """
    if sys.stdout is sys.__stdout__ and sys.__stdout__ is not None:
        sys.stdout = _text_stream(_flushed_at_exit(sys.__stdout__.fileno()))
    if sys.stderr is sys.__stderr__ and sys.__stderr__ is not None:
        output = _flushed_at_exit(sys.__stderr__.fileno())
        sys.stderr = _text_stream(output)
        return output
    return None


def lost_records() -> int:
    """Records that the outputs of this process have lost."""
    return sum(output.all_lost for output in _installed)


def _flushed_at_exit(descriptor: int) -> NonBlockingOutput:
    output = NonBlockingOutput(descriptor)
    _installed.append(output)
    atexit.register(output.flush)
    return output


def _text_stream(output: NonBlockingOutput) -> io.TextIOWrapper:
    buffered = io.BufferedWriter(_RawOutput(output))
    return io.TextIOWrapper(
        buffered, encoding="utf-8", errors="backslashreplace", line_buffering=True
    )


def _plain_report(lost: int) -> bytes:
    return f"{lost} lines were lost: the reader of this output did not read\n".encode()


def _own_end(descriptor: int) -> int | socket.socket | None:
    """The same pipe, terminal or socket for this process alone, None if there is no such thing.

    O_NONBLOCK is never set on the descriptor itself: other processes share it.
    """
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(mode):
        return socket.socket(fileno=os.dup(descriptor))
    if stat.S_ISFIFO(mode) or os.isatty(descriptor):
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        # It may have been opened by another user.
        with suppress(OSError):
            return os.open(f"/proc/self/fd/{descriptor}", flags)
    return None


def _writers_of(descriptor: int, own: int | socket.socket | None) -> tuple[Write, Write]:
    """How to write without blocking (raises BlockingIOError), and how to wait for the reader."""
    if isinstance(own, socket.socket):
        return _waiting(descriptor, lambda data: own.send(data, socket.MSG_DONTWAIT))
    if own is not None:
        return _waiting(own, lambda data: os.write(own, data))

    def write(data: bytes) -> int:
        return os.write(descriptor, data)

    if stat.S_ISFIFO(os.fstat(descriptor).st_mode) or os.isatty(descriptor):
        return _never, write
    # A file or a device such as /dev/null: a write waits for no reader.
    return write, write


def _waiting(descriptor: int, write: Write) -> tuple[Write, Write]:
    """A write that does not block, and the same after waiting until the stream takes data."""

    def wait(data: bytes) -> int:
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        poll.poll()
        return write(data)

    return write, wait


def _never(_data: bytes) -> int:
    raise BlockingIOError(errno.EAGAIN, "only the thread of the backlog writes")
