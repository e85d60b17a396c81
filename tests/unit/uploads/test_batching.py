"""Batches: every work item is processed once, however many are queued at once."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from qmonus_lite.uploads.batching import MAX_BATCH, BatchingExecutor


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as threads:
        yield threads


class BatchRecorder:
    """Notes which pieces were done together; its threads can be made to wait."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.open = threading.Event()
        self.open.set()
        self._lock = threading.Lock()
        self._here = 0
        self.done: list[list[int]] = []
        self.most_members = 0

    def do(self, pieces: Sequence[int]) -> float:
        with self._lock:
            self._here += 1
            self.most_members = max(self.most_members, self._here)
            self.done.append(list(pieces))
        assert self.open.wait(30)
        time.sleep(self.seconds * len(pieces))
        with self._lock:
            self._here -= 1
        return self.seconds


async def rounds(
    executor: BatchingExecutor[int], recorder: BatchRecorder, count: int, many: int
) -> None:
    """So many rounds of so many pieces at once; the last round alone stays noted."""
    for _ in range(count):
        recorder.done.clear()
        recorder.most_members = 0
        await asyncio.gather(*(executor.do(n) for n in range(many)))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def queued_together(
    executor: BatchingExecutor[int], recorder: BatchRecorder, many: int
) -> None:
    """One piece whose thread waits until so many others are queued.

    Else a thread may take the first pieces before the event loop has queued the last one.
    """
    recorder.done.clear()
    recorder.open.clear()
    first = asyncio.create_task(executor.do(-1))
    await until(lambda: recorder.done == [[-1]])
    others = [asyncio.create_task(executor.do(n)) for n in range(many)]
    await asyncio.sleep(0)
    recorder.open.set()
    await asyncio.gather(first, *others)


async def test_does_every_piece_once(threads: ThreadPoolExecutor) -> None:
    recorder = BatchRecorder(0.0)
    await rounds(BatchingExecutor(recorder.do, threads), recorder, 1, 500)

    assert sorted(n for pieces in recorder.done for n in pieces) == list(range(500))


async def test_what_is_done_quickly_is_done_together(threads: ThreadPoolExecutor) -> None:
    recorder = BatchRecorder(0.0)
    executor = BatchingExecutor(recorder.do, threads)
    await rounds(executor, recorder, 20, 64)
    await queued_together(executor, recorder, MAX_BATCH)

    assert max(map(len, recorder.done)) == MAX_BATCH


async def test_what_takes_long_is_done_side_by_side(threads: ThreadPoolExecutor) -> None:
    recorder = BatchRecorder(0.02)
    executor = BatchingExecutor(recorder.do, threads)
    await rounds(executor, recorder, 2, 32)
    recorder.most_members = 0
    recorder.open.clear()
    last = asyncio.create_task(rounds(executor, recorder, 1, 32))
    await until(lambda: recorder.most_members == 32)
    recorder.open.set()
    await last

    assert set(map(len, recorder.done)) == {1}
    assert recorder.most_members == 32


async def test_one_long_wait_makes_no_larger_crew(threads: ThreadPoolExecutor) -> None:
    recorder = BatchRecorder(0.0)
    executor = BatchingExecutor(recorder.do, threads)
    await rounds(executor, recorder, 5, 64)
    recorder.seconds = 0.02
    await rounds(executor, recorder, 1, 64)
    recorder.seconds = 0.0
    await queued_together(executor, recorder, 64)

    assert max(map(len, recorder.done)) > MAX_BATCH // 2


async def test_work_that_breaks_off_leaves_the_crew_at_work(
    threads: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[int] = []

    def do(pieces: Sequence[int]) -> float:
        if pieces[0] == 0:
            raise RuntimeError("broke off")
        done.extend(pieces)
        return 0.0

    executor = BatchingExecutor(do, threads)
    for n in range(3):
        await executor.do(n)

    assert done == [1, 2]
    assert "broke off" in caplog.text


async def test_a_piece_nobody_waits_for_any_more_harms_nobody(threads: ThreadPoolExecutor) -> None:
    recorder = BatchRecorder(0.05)
    executor = BatchingExecutor(recorder.do, threads)
    given_up = asyncio.create_task(executor.do(1))
    await asyncio.sleep(0.01)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    await executor.do(2)

    assert recorder.done == [[1], [2]]
