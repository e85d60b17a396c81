"""Socket-to-file copy: a long body is read from its socket into the staged file on one thread.

For a file of gigabytes, the cost of passing each 64 KiB through the event loop dominated. Here the
bytes go through one reused buffer, and the event loop only gets their count.
"""

import asyncio
import os
import select
import time
from concurrent.futures import Executor

from qmonus_lite.stores.file.staged_file import StagedFile

#: Bytes of a buffer; with a quarter of it, the system calls cost a sixth more CPU time.
BUFFER_BYTES = 512 << 10
#: Maximum of concurrent copies; each has a thread and a buffer. More of them than CPUs only delay
#: the event loop.
MAX_CONCURRENT_COPIES = max(2, min(8, len(os.sched_getaffinity(0))))
#: Time slice of a copy in seconds, and seconds that it polls for bytes before it ends early.
SLICE_SECONDS, POLL_SECONDS = 0.05, 0.002


class SocketCopier:
    """Copies bytes of several uploads concurrently, each for a time slice."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._free = asyncio.Semaphore(MAX_CONCURRENT_COPIES)
        self._buffers: list[bytearray] = []

    async def copy_slice(self, descriptor: int, staged: StagedFile, most: int) -> int:
        """Copy up to `most` bytes from a socket to the file; returns how many. Raises Problem.

        EOF and socket errors end the slice silently; the next read of the socket reports them.
        """
        loop = asyncio.get_running_loop()
        async with self._free:
            buffer = self._buffers.pop() if self._buffers else bytearray(BUFFER_BYTES)
            try:
                return await loop.run_in_executor(
                    self._threads, _move, descriptor, staged, memoryview(buffer), most
                )
            finally:
                self._buffers.append(buffer)


def _move(descriptor: int, staged: StagedFile, buffer: memoryview, most: int) -> int:
    copied = 0
    ready = select.poll()
    ready.register(descriptor, select.POLLIN)
    deadline = time.monotonic() + SLICE_SECONDS
    while copied < most and time.monotonic() < deadline:
        try:
            count = os.readv(descriptor, [buffer[: most - copied]])
        except BlockingIOError:
            if not ready.poll(POLL_SECONDS * 1000):
                break
            continue
        except OSError:
            break
        if not count:
            break
        staged.write(buffer[:count])
        copied += count
    return copied
