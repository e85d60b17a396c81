"""Source-to-file copy: a long body goes from its source into the staged file on one thread.

For a file of gigabytes, the cost of passing each 64 KiB through the event loop dominated. Here the
bytes go through one reused buffer, and the event loop only gets their count.
"""

import asyncio
import contextlib
import os
import time
from concurrent.futures import Executor

from qmonus_lite.byte_source import ByteSource
from qmonus_lite.stores.file.staged_file import StagedFile

#: Bytes of a buffer; with a quarter of it, the system calls cost a sixth more CPU time.
BUFFER_BYTES = 512 << 10
#: Maximum of concurrent copies; each has a thread and a buffer. More of them than CPUs only delay
#: the event loop.
MAX_CONCURRENT_COPIES = max(2, min(8, len(os.sched_getaffinity(0))))
#: Time slice of a copy in seconds.
SLICE_SECONDS = 0.05


class SourceCopier:
    """Copies bytes of several uploads concurrently, each for a time slice."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._free = asyncio.Semaphore(MAX_CONCURRENT_COPIES)
        self._buffers: list[bytearray] = []

    async def copy_slice(self, source: ByteSource, staged: StagedFile) -> int:
        """Copy what the source has to the file; returns how many bytes. Raises Problem.

        A cancellation waits for the end of the slice: until then the thread uses source and file.
        """
        loop = asyncio.get_running_loop()
        async with self._free:
            buffer = self._buffers.pop() if self._buffers else bytearray(BUFFER_BYTES)
            copying = loop.run_in_executor(self._threads, _copy, source, staged, memoryview(buffer))
            try:
                return await asyncio.shield(copying)
            finally:
                await _ended(copying)
                self._buffers.append(buffer)


async def _ended(copying: "asyncio.Future[int]") -> None:
    while not copying.done():
        # Cancelled again: the thread cannot be.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([copying])
    if not copying.cancelled():
        # Not an exception that was never retrieved.
        copying.exception()


def _copy(source: ByteSource, staged: StagedFile, buffer: memoryview) -> int:
    """Gather bytes until the buffer is full, then write them; at the end what is in it."""
    copied = filled = 0
    deadline = time.monotonic() + SLICE_SECONDS
    more = True
    while more:
        count = source.read_into(buffer[filled:])
        filled += count
        more = count > 0 and time.monotonic() < deadline
        if filled and (filled == len(buffer) or not more):
            staged.write(buffer[:filled])
            copied += filled
            filled = 0
    return copied
