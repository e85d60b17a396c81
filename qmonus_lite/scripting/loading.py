"""Time limit for code that a script runs while it is loaded; exceeding it is a fault."""

import contextlib
import contextvars
import ctypes
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from qmonus_lite.scripting.script_threads import Interrupted

#: Seconds for the module level of one script, including its imports.
MAX_LOAD_SECONDS = 30.0
#: Seconds that an interrupted thread has to end before it is abandoned.
INTERRUPT_SECONDS = 1.0


class StillLoading(Exception):
    """Loading exceeded its time limit; `lines` is its stack as file and line, innermost first."""

    def __init__(self, lines: list[tuple[str, int]]) -> None:
        self.lines = lines
        super().__init__(f"is still running after {MAX_LOAD_SECONDS:g} s")


def in_time(load: Callable[[], object]) -> None:
    """Call `act` on a separate thread; raises what it raises, or StillLoading on timeout."""
    ended: Future[None] = Future()
    context = contextvars.copy_context()
    thread = threading.Thread(
        target=_run, args=(lambda: context.run(load), ended), name="loading", daemon=True
    )
    thread.start()
    thread.join(MAX_LOAD_SECONDS)
    if not ended.done():
        lines = _lines(thread)
        _interrupt(thread)
        raise StillLoading(lines)
    ended.result()


def _run(load: Callable[[], object], ended: "Future[None]") -> None:
    # The interrupt may arrive just after `act` has returned.
    with contextlib.suppress(Interrupted):
        try:
            load()
        except BaseException as error:
            ended.set_exception(error)
        else:
            ended.set_result(None)


def _lines(thread: threading.Thread) -> list[tuple[str, int]]:
    frame: Any = sys._current_frames().get(thread.ident or 0)
    lines = []
    while frame is not None:
        lines.append((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return lines


def _interrupt(thread: threading.Thread) -> None:
    """Raise Interrupted in the thread; a blocking C call delays it until the call returns."""
    if thread.ident is not None:
        ident, error = ctypes.c_ulong(thread.ident), ctypes.py_object(Interrupted)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, error)
    thread.join(INTERRUPT_SECONDS)
