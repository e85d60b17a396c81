"""Thread pool that commits uploads in batches, whose size follows the fsync latency.

With an fsync latency of 0.1 ms, a thread switch costs more than the disk: one thread then processes
all queued uploads as a batch, which shares outbox commits and directory syncs. With 10 ms, every
upload gets a thread of its own, and the file system groups their fsyncs.

The latency is the minimum of the recent single fsyncs. Higher samples also include waiting for the
GIL, which more threads would only increase: with the duration of complete uploads as the measure,
the pool grew to its maximum and needed about twice the CPU time.
"""

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

#: Maximum number of concurrent threads, and of uploads in a batch.
MAX_THREADS, MAX_BATCH = 32, 64
#: Seconds that one batch may spend in fsync; batch size = this / fsync latency.
DISK_BUDGET_SECONDS = 0.01
#: Number of recent batches whose latency is kept.
LATENCY_SAMPLES = 32


logger = logging.getLogger(__name__)

W = TypeVar("W")


class BatchingExecutor(Generic[W]):
    """Runs work items on a thread pool, in batches of adaptive size."""

    def __init__(self, doing: Callable[[Sequence[W]], float], threads: Executor) -> None:
        #: Processes a batch and stores each result in its work item; returns the shortest fsync
        #: latency in the batch, in seconds.
        self._doing = doing
        self._threads = threads
        self._lock = threading.Lock()
        self._waiting: deque[tuple[W, asyncio.Future[None]]] = deque()
        self._running_threads = 0
        #: Shortest fsync latency of each recent batch, in seconds.
        self._latencies = deque([DISK_BUDGET_SECONDS], maxlen=LATENCY_SAMPLES)

    async def do(self, work: W) -> None:
        """Wait until the work item is processed, successfully or not."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._waiting.append((work, done))
            wanted = not self._running_threads or len(self._waiting) >= self._batch_size
            join = wanted and self._running_threads < MAX_THREADS
            self._running_threads += join
        if join:
            self._threads.submit(self._work)
        await done

    @property
    def _batch_size(self) -> int:
        return max(1, int(DISK_BUDGET_SECONDS / min(self._latencies)))

    def _work(self) -> None:
        while taken := self._take():
            try:
                wait = self._doing([work for work, _ in taken])
                self._latencies.append(max(wait, DISK_BUDGET_SECONDS / MAX_BATCH))
            except Exception:
                # The futures are resolved all the same; callers find items without a result.
                logger.exception("a batch failed", extra={"action": "batch_failed"})
            self._end([done for _, done in taken])

    def _take(self) -> list[tuple[W, "asyncio.Future[None]"]]:
        with self._lock:
            taken = [
                self._waiting.popleft() for _ in range(min(self._batch_size, len(self._waiting)))
            ]
            if not taken:
                self._running_threads -= 1
            return taken

    def _end(self, done: Sequence["asyncio.Future[None]"]) -> None:
        loop = done[0].get_loop()
        # Raised when the event loop is closed.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_set, done)


def _set(futures: Sequence["asyncio.Future[None]"]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
