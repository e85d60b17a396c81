"""Lanes: threads with an event loop each, on which scripts run apart from the loop of the sockets.

A script goes to an idle lane; a new lane is opened while there are fewer than `most`, so a script
that blocks its lane holds up nobody else until that many block at once.
"""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

#: Seconds that a script gets to end after it was cancelled, before its caller stops waiting.
GRACE = 0.5


class Lane:
    """One thread with one running event loop."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        #: Scripts now on this lane; counted down when they really end.
        self.busy = 0
        self._stopping = False
        self.thread = threading.Thread(target=self._live, name=name, daemon=True)
        self.thread.start()

    def submit(self, start: Callable[[], Coroutine[Any, Any, T]]) -> "Future[T]":
        """Start a coroutine on this lane, with the caller's context variables."""
        result: Future[T] = Future()
        context = contextvars.copy_context()
        self.loop.call_soon_threadsafe(self._start, start, result, context=context)
        return result

    def stop(self) -> None:
        """End the thread as soon as nothing blocks it; what is left on it is cancelled."""
        self.loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self._stopping = True
        self.loop.stop()

    def _live(self) -> None:
        asyncio.set_event_loop(self.loop)
        while not self._stopping:
            # A task that a script left behind may sys.exit(), which goes through the loop.
            with contextlib.suppress(SystemExit, KeyboardInterrupt):
                self.loop.run_forever()
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self.loop.close()

    def _start(self, start: Callable[[], Coroutine[Any, Any, T]], result: "Future[T]") -> None:
        task = self.loop.create_task(start())
        result.add_done_callback(lambda done: self._cancelled(done, task))
        task.add_done_callback(lambda done: _hand_over(done, result))

    def _cancelled(self, result: "Future[Any]", task: "asyncio.Task[Any]") -> None:
        if result.cancelled():
            self.loop.call_soon_threadsafe(task.cancel)


def _hand_over(task: "asyncio.Task[T]", result: "Future[T]") -> None:
    if task.cancelled():
        result.cancel()
    elif not result.set_running_or_notify_cancel():
        task.exception()
    elif error := task.exception():
        result.set_exception(error)
    else:
        result.set_result(task.result())


class Lanes:
    """Up to `most` lanes under one name."""

    def __init__(self, name: str, *, most: int) -> None:
        self._name = name
        self._most = most
        self._lanes: list[Lane] = []
        self._lock = threading.Lock()

    @property
    def busy(self) -> int:
        """Scripts that run now."""
        return sum(lane.busy for lane in self._lanes)

    async def run(
        self, start: Callable[[], Coroutine[Any, Any, T]], *, timeout: float | None = None
    ) -> T:
        """The result of `start()`, run on a lane; raises TimeoutError after `timeout` seconds.

        A script that ignores its cancellation keeps its lane; the caller goes on all the same.
        """
        lane = self._take()

        async def timed() -> T:
            try:
                async with asyncio.timeout(timeout):
                    return await start()
            finally:
                with self._lock:
                    lane.busy -= 1

        waiting = asyncio.wrap_future(lane.submit(timed))
        return await asyncio.wait_for(waiting, None if timeout is None else timeout + GRACE)

    async def close(self, *, within: float) -> bool:
        """Wait for running scripts, then stop the lanes; False when some had to be left."""
        deadline = asyncio.get_running_loop().time() + within
        while self.busy and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        clean = not self.busy
        for lane in self._lanes:
            lane.stop()
        return clean

    def _take(self) -> Lane:
        with self._lock:
            lane = min(self._lanes, key=lambda one: one.busy, default=None)
            if lane is None or (lane.busy and len(self._lanes) < self._most):
                lane = Lane(f"{self._name}-{len(self._lanes)}")
                self._lanes.append(lane)
            lane.busy += 1
            return lane
