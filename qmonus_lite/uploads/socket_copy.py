"""The intake: bytes of a long body from their socket into the staged file, on one thread.

For a file of gigabytes, what each 64 KiB cost on their way over the event loop was most of the
price. Here they go through one buffer that is used again, and the loop only hears how many came.
"""

import asyncio
import os
import select
import time
from concurrent.futures import Executor

from qmonus_lite.uploads.staging import StagedFile

#: Bytes of a buffer: with a quarter of it, the calls cost a sixth more of the processor.
BUFFER_BYTES = 512 << 10
#: Bursts at once; each has a thread and a buffer. More of them than processors only keep the loop
#: from its turn.
MAX_CONCURRENT_COPIES = max(2, min(8, len(os.sched_getaffinity(0))))
#: Seconds that a burst may last while others wait, and that it waits for bytes before it ends.
SLICE_SECONDS, POLL_SECONDS = 0.05, 0.002


class SocketCopier:
    """Moves bytes of several uploads, each for a short while."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._free = asyncio.Semaphore(MAX_CONCURRENT_COPIES)
        self._buffers: list[bytearray] = []

    async def copy_slice(self, descriptor: int, staged: StagedFile, most: int) -> int:
        """Move what a socket has into the file, `most` bytes at the most; how many. Raises Problem.

        A client that went away is for the next reader to notice.
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
    came = 0
    ready = select.poll()
    ready.register(descriptor, select.POLLIN)
    deadline = time.monotonic() + SLICE_SECONDS
    while came < most and time.monotonic() < deadline:
        try:
            count = os.readv(descriptor, [buffer[: most - came]])
        except BlockingIOError:
            if not ready.poll(POLL_SECONDS * 1000):
                break
            continue
        except OSError:
            break
        if not count:
            break
        staged.write(buffer[:count])
        came += count
    return came
