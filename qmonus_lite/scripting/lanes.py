"""Lanes: threads with an event loop each, on which scripts run apart from the loop of the sockets.

A script goes to an idle lane; a new lane is opened while there are fewer than `most`, so a script
that blocks its lane holds up nobody else until that many block at once. A lane whose script does
not end when its time is over is stuck: it gets no more scripts, and another takes its place.
"""

import asyncio
import contextlib
import contextvars
import ctypes
import itertools
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

#: Seconds that a script gets to end after it was cancelled, before its caller stops waiting.
GRACE = 0.25
#: Seconds that the loop of a stuck lane has to answer in, before its thread is broken into.
ANSWER = 0.25
#: Stuck lanes that a process bears; with more, no script is begun.
MOST_STUCK = 32


class Abandoned(BaseException):
    """Raised inside a script that computes on after its time, wherever it stands."""


class NoLane(Exception):
    """Too many lanes are stuck."""


class Lane:
    """One thread with one running event loop."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        #: Scripts now on this lane; counted down when they really end.
        self.busy = 0
        self._stopping = False
        self._answered = threading.Event()
        self.thread = threading.Thread(target=self._live, name=name, daemon=True)
        self.thread.start()

    def submit(self, start: Callable[[], Coroutine[Any, Any, T]]) -> "Future[T]":
        """Start a coroutine on this lane, with the caller's context variables."""
        result: Future[T] = Future()
        context = contextvars.copy_context()
        self.loop.call_soon_threadsafe(self._start, start, result, context=context)
        return result

    def shake(self) -> None:
        """Break into the thread if a script holds it: one that computes in Python ends there.

        One that sleeps or waits inside of C ends when it comes back from there.
        """
        self._answered.clear()
        self.loop.call_soon_threadsafe(self._answered.set)
        timer = threading.Timer(ANSWER, self._break_in)
        timer.daemon = True
        timer.start()

    def _break_in(self) -> None:
        if not self._answered.is_set() and self.thread.ident is not None:
            thread, error = ctypes.c_ulong(self.thread.ident), ctypes.py_object(Abandoned)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, error)

    def stop(self) -> None:
        """End the thread as soon as nothing blocks it; what is left on it is cancelled."""
        self.loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self._stopping = True
        self.loop.stop()

    def _live(self) -> None:
        asyncio.set_event_loop(self.loop)
        while not self._stopping:
            # A task that a script left behind may sys.exit(), which goes through the loop; and a
            # script may end just before its thread is broken into.
            with contextlib.suppress(SystemExit, KeyboardInterrupt, Abandoned):
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
        self._stuck: list[Lane] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    @property
    def busy(self) -> int:
        """Scripts that run now."""
        return sum(lane.busy for lane in self._lanes + self._stuck)

    @property
    def stuck(self) -> int:
        """Lanes with a script that does not end."""
        return len(self._stuck)

    async def run(
        self, start: Callable[[], Coroutine[Any, Any, T]], *, timeout: float | None = None
    ) -> T:
        """The result of `start()`, run on a lane; raises TimeoutError after `timeout` seconds.

        A script that ignores its cancellation keeps its lane; the caller goes on all the same.
        Raises NoLane when too many do.
        """
        lane = self._take()

        async def timed() -> T:
            try:
                async with asyncio.timeout(timeout):
                    return await start()
            finally:
                self._give_back(lane)

        result = lane.submit(timed)
        waiting = asyncio.wrap_future(result)
        if timeout is None:
            return await waiting
        # Not wait_for(): it could not tell a script that ended in time by a TimeoutError.
        try:
            await asyncio.wait([waiting], timeout=timeout + GRACE)
        except asyncio.CancelledError:
            # Nobody waits for the script any more.
            waiting.cancel()
            raise
        if waiting.done():
            return waiting.result()
        waiting.cancel()
        self._put_aside(lane)
        raise TimeoutError

    async def close(self, *, within: float) -> bool:
        """Wait for running scripts, then stop the lanes; False when some had to be left."""
        deadline = asyncio.get_running_loop().time() + within
        while self.busy and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        clean = not self.busy
        for lane in self._lanes + self._stuck:
            lane.stop()
        return clean

    def _give_back(self, lane: Lane) -> None:
        with self._lock:
            lane.busy -= 1
            if lane in self._stuck and not lane.busy:
                # It came to its end after all.
                self._stuck.remove(lane)
                lane.stop()

    def _put_aside(self, lane: Lane) -> None:
        """Give the lane no more scripts, and shake it."""
        with self._lock:
            if lane in self._lanes and lane.busy:
                self._lanes.remove(lane)
                self._stuck.append(lane)
        lane.shake()

    def _take(self) -> Lane:
        with self._lock:
            if len(self._stuck) >= MOST_STUCK:
                raise NoLane
            lane = min(self._lanes, key=lambda one: one.busy, default=None)
            if lane is None or (lane.busy and len(self._lanes) < self._most):
                lane = Lane(f"{self._name}-{next(self._numbers)}")
                self._lanes.append(lane)
            lane.busy += 1
            return lane
