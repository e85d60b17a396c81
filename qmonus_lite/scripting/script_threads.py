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
from typing import Any, TypeVar, cast

T = TypeVar("T")

#: Seconds that a script gets to end after it was cancelled, before its caller stops waiting.
CANCEL_GRACE_SECONDS = 0.25
#: Seconds that the loop of a stuck lane has to answer in, before its thread is broken into.
RESPONSE_SECONDS = 0.25
#: Stuck lanes that a process bears; with more, no script is begun.
MAX_HUNG = 32


class Interrupted(BaseException):
    """Raised inside a script that computes on after its time, wherever it stands."""


class NoScriptThread(Exception):
    """Too many lanes are stuck."""


class ScriptThread:
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
        return asyncio.run_coroutine_threadsafe(start(), self.loop)

    def interrupt(self) -> None:
        """Break into the thread if a script holds it: one that computes in Python ends there.

        One that sleeps or waits inside of C ends when it comes back from there.
        """
        self._answered.clear()
        self.loop.call_soon_threadsafe(self._answered.set)
        timer = threading.Timer(RESPONSE_SECONDS, self._raise_in_thread)
        timer.daemon = True
        timer.start()

    def _raise_in_thread(self) -> None:
        if not self._answered.is_set() and self.thread.ident is not None:
            thread, error = ctypes.c_ulong(self.thread.ident), ctypes.py_object(Interrupted)
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
            with contextlib.suppress(SystemExit, KeyboardInterrupt, Interrupted):
                self.loop.run_forever()
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self.loop.close()


class _Run:
    """One script on its way through a lane: begun and ended there, awaited by its caller."""

    def __init__(
        self,
        start: Callable[[], Coroutine[Any, Any, Any]],
        thread: ScriptThread,
        give_back: Callable[[ScriptThread], None],
    ) -> None:
        self.thread = thread
        self._start = start
        self._give_back = give_back
        self._caller = asyncio.get_running_loop()
        #: Belongs to the loop of the caller.
        self.answer: asyncio.Future[Any] = self._caller.create_future()
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._overran = self._unwanted = False

    def begin(self, timeout: float | None) -> None:
        """Hand the script to the lane, with the caller's context variables."""
        context = contextvars.copy_context()
        self.thread.loop.call_soon_threadsafe(self._begin, timeout, context=context)

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self.thread.loop.call_soon_threadsafe(self._cancel)

    def _begin(self, timeout: float | None) -> None:
        self._task = self.thread.loop.create_task(self._start())
        self._task.add_done_callback(self._ended)
        if self._unwanted:
            self._task.cancel()
        elif timeout is not None:
            self._timer = self.thread.loop.call_later(timeout, self._overrun)

    def _overrun(self) -> None:
        self._overran = True
        self._cancel()

    def _cancel(self) -> None:
        self._unwanted = True
        if self._task is not None:
            self._task.cancel()

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._give_back(self.thread)
        # The loop of a caller that is gone takes no answers.
        with contextlib.suppress(RuntimeError):
            self._caller.call_soon_threadsafe(self._settle, task)

    def _settle(self, task: "asyncio.Task[Any]") -> None:
        error = None if task.cancelled() else task.exception()
        if self.answer.done():
            return
        if task.cancelled() and self._overran:
            self.answer.set_exception(TimeoutError())
        elif task.cancelled():
            self.answer.cancel()
        elif error is not None:
            self.answer.set_exception(error)
        else:
            self.answer.set_result(task.result())


class ScriptThreads:
    """Up to `most` lanes under one name."""

    def __init__(self, name: str, *, most: int) -> None:
        self._name = name
        self._most = most
        self._script_threads: list[ScriptThread] = []
        self._hung: list[ScriptThread] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    @property
    def busy(self) -> int:
        """Scripts that run now."""
        return sum(thread.busy for thread in self._script_threads + self._hung)

    @property
    def hung(self) -> int:
        """Lanes with a script that does not end."""
        return len(self._hung)

    async def run(
        self, start: Callable[[], Coroutine[Any, Any, T]], *, timeout: float | None = None
    ) -> T:
        """The result of `start()`, run on a lane; raises TimeoutError after `timeout` seconds.

        A script that ignores its cancellation keeps its lane; the caller goes on all the same.
        Raises NoLane when too many do.
        """
        run = _Run(start, self._take(), self._give_back)
        run.begin(timeout)
        patience = None
        if timeout is not None:
            loop = asyncio.get_running_loop()
            patience = loop.call_later(timeout + CANCEL_GRACE_SECONDS, self._give_up, run)
        try:
            return cast(T, await run.answer)
        except asyncio.CancelledError:
            # Nobody waits for the script any more, unless it was the one that ended so.
            run.cancel()
            raise
        finally:
            if patience is not None:
                patience.cancel()
            # It has the error of a script that failed, which refers to this frame, and the frames
            # of the script refer to what it was given: all of that would stay in memory.
            del run

    async def close(self, *, within: float) -> bool:
        """Wait for running scripts, then stop the lanes; False when some had to be left."""
        deadline = asyncio.get_running_loop().time() + within
        while self.busy and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        clean = not self.busy
        for thread in self._script_threads + self._hung:
            thread.stop()
        return clean

    def _give_back(self, thread: ScriptThread) -> None:
        with self._lock:
            thread.busy -= 1
            if thread in self._hung and not thread.busy:
                # It came to its end after all.
                self._hung.remove(thread)
                thread.stop()

    def _give_up(self, run: _Run) -> None:
        """The script ignores the end of its time: its caller goes on, its lane gets no more."""
        if not run.answer.done():
            run.answer.set_exception(TimeoutError())
            self._retire(run.thread)

    def _retire(self, thread: ScriptThread) -> None:
        """Give the lane no more scripts, and shake it."""
        with self._lock:
            if thread in self._script_threads and thread.busy:
                self._script_threads.remove(thread)
                self._hung.append(thread)
        thread.interrupt()

    def _take(self) -> ScriptThread:
        with self._lock:
            if len(self._hung) >= MAX_HUNG:
                raise NoScriptThread
            thread = min(self._script_threads, key=lambda one: one.busy, default=None)
            if thread is None or (thread.busy and len(self._script_threads) < self._most):
                thread = ScriptThread(f"{self._name}-{next(self._numbers)}")
                self._script_threads.append(thread)
            thread.busy += 1
            return thread
