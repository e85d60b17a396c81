"""Loading: what a script does as it is loaded has its time; one that does not end is a fault."""

import contextlib
import contextvars
import ctypes
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from qmonus_lite.scripting.script_threads import Interrupted

#: Seconds for the module level of one script, its imports among them.
MAX_LOAD_SECONDS = 30.0
#: Seconds in which a thread that was broken into has to end, or is left to itself.
INTERRUPT_SECONDS = 1.0


class StillLoading(Exception):
    """What did not end in time; `lines` has where it stood, as file and line, innermost first."""

    def __init__(self, lines: list[tuple[str, int]]) -> None:
        self.lines = lines
        super().__init__(f"is still running after {MAX_LOAD_SECONDS:g} s")


def in_time(act: Callable[[], object]) -> None:
    """Do it, on a thread of its own; raises what it raises, or StillLoading."""
    ended: Future[None] = Future()
    context = contextvars.copy_context()
    thread = threading.Thread(
        target=_run, args=(lambda: context.run(act), ended), name="loading", daemon=True
    )
    thread.start()
    thread.join(MAX_LOAD_SECONDS)
    if not ended.done():
        lines = _lines(thread)
        _break_into(thread)
        raise StillLoading(lines)
    ended.result()


def _run(act: Callable[[], object], ended: "Future[None]") -> None:
    # It may be broken into just after its end.
    with contextlib.suppress(Interrupted):
        try:
            act()
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


def _break_into(thread: threading.Thread) -> None:
    """Raise something where it stands; one that waits in C hears of it when that ends."""
    if thread.ident is not None:
        ident, error = ctypes.c_ulong(thread.ident), ctypes.py_object(Interrupted)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, error)
    thread.join(INTERRUPT_SECONDS)
