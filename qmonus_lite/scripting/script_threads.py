"""Script threads: a pool of threads with an event loop each, apart from the server's event loop.

A script is assigned to an idle thread; a new thread is started while there are fewer than
`max_threads`. So a script that blocks its thread delays other scripts only when `max_threads` of
them block at once. A thread whose script does not end after its timeout is hung: it gets no more
scripts, and another thread replaces it.
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

#: Seconds that a script has to end after its cancellation, before its caller stops waiting.
CANCEL_GRACE_SECONDS = 0.25
#: Seconds that the event loop of a hung thread has to respond before the thread is interrupted.
RESPONSE_SECONDS = 0.25
#: Maximum number of hung threads per process; at this number no further script is started.
MAX_HUNG = 32


class Interrupted(BaseException):
    """Raised asynchronously in a script thread that still runs Python code after its timeout."""


class NoScriptThread(Exception):
    """Too many script threads are hung."""


class ScriptThread:
    """One thread with one running event loop."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        #: Scripts running on this thread; decremented when they actually end.
        self.busy = 0
        self._stopping = False
        self._responded = threading.Event()
        self.thread = threading.Thread(target=self._run_loop, name=name, daemon=True)
        self.thread.start()

    def submit(self, start: Callable[[], Coroutine[Any, Any, T]]) -> "Future[T]":
        """Start a coroutine on this thread, with the caller's context variables."""
        return asyncio.run_coroutine_threadsafe(start(), self.loop)

    def interrupt(self) -> None:
        """Raise Interrupted in the thread if a script blocks its event loop.

        A script that executes Python code ends there; a blocking C call delays it until it returns.
        """
        self._responded.clear()
        self.loop.call_soon_threadsafe(self._responded.set)
        timer = threading.Timer(RESPONSE_SECONDS, self._raise_in_thread)
        timer.daemon = True
        timer.start()

    def _raise_in_thread(self) -> None:
        if not self._responded.is_set() and self.thread.ident is not None:
            thread, error = ctypes.c_ulong(self.thread.ident), ctypes.py_object(Interrupted)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, error)

    def stop(self) -> None:
        """End the thread once its event loop is not blocked; its remaining tasks are cancelled."""
        self.loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self._stopping = True
        self.loop.stop()

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self.loop)
        while not self._stopping:
            # A leftover task may call sys.exit(), which propagates through the loop; a script may
            # end just before its thread is interrupted.
            with contextlib.suppress(SystemExit, KeyboardInterrupt, Interrupted):
                self.loop.run_forever()
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self.loop.close()


class _Run:
    """One run of a script: executed on a script thread, awaited on the caller's event loop."""

    def __init__(
        self,
        start: Callable[[], Coroutine[Any, Any, Any]],
        thread: ScriptThread,
        release: Callable[[ScriptThread], None],
    ) -> None:
        self.thread = thread
        self._start = start
        self._release = release
        self._caller = asyncio.get_running_loop()
        #: Belongs to the event loop of the caller.
        self.result: asyncio.Future[Any] = self._caller.create_future()
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._overran = self._unwanted = False

    def begin(self, timeout: float | None) -> None:
        """Submit the script to its thread, with the caller's context variables."""
        context = contextvars.copy_context()
        self.thread.loop.call_soon_threadsafe(self._begin, timeout, context=context)

    def cancel(self) -> None:
        """Cancel the script because its caller no longer waits for it."""
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
        self._release(self.thread)
        # The event loop of the caller may be closed.
        with contextlib.suppress(RuntimeError):
            self._caller.call_soon_threadsafe(self._settle, task)

    def _settle(self, task: "asyncio.Task[Any]") -> None:
        error = None if task.cancelled() else task.exception()
        if self.result.done():
            return
        if task.cancelled() and self._overran:
            self.result.set_exception(TimeoutError())
        elif task.cancelled():
            self.result.cancel()
        elif error is not None:
            self.result.set_exception(error)
        else:
            self.result.set_result(task.result())


class ScriptThreads:
    """Pool of up to `max_threads` script threads, named after `name`."""

    def __init__(self, name: str, *, max_threads: int) -> None:
        self._name = name
        self._max_threads = max_threads
        self._script_threads: list[ScriptThread] = []
        self._hung: list[ScriptThread] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    @property
    def busy(self) -> int:
        """Number of running scripts."""
        return sum(thread.busy for thread in self._script_threads + self._hung)

    @property
    def hung(self) -> int:
        """Number of threads whose script does not end."""
        return len(self._hung)

    async def run(
        self, start: Callable[[], Coroutine[Any, Any, T]], *, timeout: float | None = None
    ) -> T:
        """Result of `start()` on a script thread; raises TimeoutError after `timeout` seconds.

        A script that ignores its cancellation keeps its thread, and its caller continues. Raises
        NoScriptThread when too many threads are hung.
        """
        run = _Run(start, self._acquire(), self._release)
        run.begin(timeout)
        give_up_timer = None
        if timeout is not None:
            loop = asyncio.get_running_loop()
            give_up_timer = loop.call_later(timeout + CANCEL_GRACE_SECONDS, self._abandon, run)
        try:
            return cast(T, await run.result)
        except asyncio.CancelledError:
            # The caller was cancelled, or the script ended with CancelledError itself.
            run.cancel()
            raise
        finally:
            if give_up_timer is not None:
                give_up_timer.cancel()
            # Breaks a reference cycle: a failed run holds the script's exception, which refers to
            # this frame, and to the script's frames with their arguments.
            del run

    async def close(self, *, within: float) -> bool:
        """Wait for running scripts, then stop all threads; False if scripts were still running."""
        deadline = asyncio.get_running_loop().time() + within
        while self.busy and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        finished = not self.busy
        for thread in self._script_threads + self._hung:
            thread.stop()
        return finished

    def _release(self, thread: ScriptThread) -> None:
        with self._lock:
            thread.busy -= 1
            if thread in self._hung and not thread.busy:
                # The script of a hung thread ended after all.
                self._hung.remove(thread)
                thread.stop()

    def _abandon(self, run: _Run) -> None:
        """The script ignored its cancellation: TimeoutError for the caller, retire the thread."""
        if not run.result.done():
            run.result.set_exception(TimeoutError())
            self._retire(run.thread)

    def _retire(self, thread: ScriptThread) -> None:
        """Assign no more scripts to the thread, and interrupt it."""
        with self._lock:
            if thread in self._script_threads and thread.busy:
                self._script_threads.remove(thread)
                self._hung.append(thread)
        thread.interrupt()

    def _acquire(self) -> ScriptThread:
        with self._lock:
            if len(self._hung) >= MAX_HUNG:
                raise NoScriptThread
            thread = min(self._script_threads, key=lambda candidate: candidate.busy, default=None)
            if thread is None or (thread.busy and len(self._script_threads) < self._max_threads):
                thread = ScriptThread(f"{self._name}-{next(self._numbers)}")
                self._script_threads.append(thread)
            thread.busy += 1
            return thread
