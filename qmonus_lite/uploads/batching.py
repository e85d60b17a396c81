"""The crew: threads that commit uploads, as many uploads at a time as the disk makes worth while.

Where a sync takes a tenth of a millisecond, a change of threads costs more than the disk: then one
member takes all that came, and they share commits and syncs. Where it takes ten, every upload gets
a member of its own, and the file system puts their syncs together.

What the disk takes is the shortest wait of late for a single sync. All longer ones tell of the
interpreter as well, which more members would only make scarcer: with the time of whole uploads in
its place, the crew grew to all its members and needed about twice the processor.
"""

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

#: Members at once, and uploads that one takes at once.
MAX_THREADS, MAX_BATCH = 32, 64
#: Seconds that a member may wait for the disk, in one turn.
DISK_BUDGET_SECONDS = 0.01
#: Turns whose measurements count.
LATENCY_SAMPLES = 32


logger = logging.getLogger(__name__)

W = TypeVar("W")


class BatchingExecutor(Generic[W]):
    """Does pieces of work on threads, several at a time."""

    def __init__(self, doing: Callable[[Sequence[W]], float], threads: Executor) -> None:
        #: Does some pieces, and says in each how it ended; gives the shortest wait for the disk
        #: that one of them had, in seconds.
        self._doing = doing
        self._threads = threads
        self._lock = threading.Lock()
        self._waiting: deque[tuple[W, asyncio.Future[None]]] = deque()
        self._running_threads = 0
        #: Seconds that the disk took for one piece, of late.
        self._latencies = deque([DISK_BUDGET_SECONDS], maxlen=LATENCY_SAMPLES)

    async def do(self, work: W) -> None:
        """Return when the piece is done, however it ended."""
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
                # Their callers see that nothing came of it.
                logger.exception("a piece of work broke off", extra={"action": "crew_failed"})
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
        # A loop that is gone waits for nothing.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_set, done)


def _set(futures: Sequence["asyncio.Future[None]"]) -> None:
    for one in futures:
        if not one.done():
            one.set_result(None)
