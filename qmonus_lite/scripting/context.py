"""Context of one script run: its plugin set's configuration, event publishing, failed callouts."""

import sys
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from types import FrameType
from typing import Any

from qmonus_lite.values import Value, field

#: Maximum number of unanswered callouts recorded per run, and of stack frames searched for each.
MAX_UNANSWERED, MAX_CALLERS = 16, 32
#: Header of a callout to one of our own APIGWs on whose answer the decision of a gate depends: the
#: number of gates that wait for it. In canonical form.
GATE_DEPTH = "X-Qmonus-Lite-Gate-Depth"
#: Maximum number of gates that may wait for an upload that is to be decided by a gate.
MAX_GATE_DEPTH = 1


class Unanswered(Value, frozen=True, kw_only=True):
    """A callout to one of our own APIGWs that ended with 599 (no answer) or 504 (timeout)."""

    code: int
    reason: str
    #: File and line of every function awaiting it, the innermost first.
    callers: tuple[tuple[str, int], ...]

    def line_in(self, file: str) -> int | None:
        """Line of the file from which the callout was called, or None."""
        return next((line for name, line in self.callers if name == file), None)


async def _publish_nowhere(_name: object, _event: object) -> str:
    raise ValueError("events cannot be published here")


class ScriptContext(Value, frozen=True, kw_only=True):
    """Services that depend on the run, not on the process."""

    #: Values of a Config plugin by its name, secrets decrypted; raises KeyError.
    config: Callable[[str], Mapping[str, Any]]
    #: Publish an event and wait for its handlers; returns the resulting code, output and event.
    publish: Callable[[str, dict[str, Any]], Awaitable[Any]]
    #: Number of gates whose decisions depend on this run.
    gate_depth: int = 0
    #: Publish an event durably and without waiting for its handlers; returns its id. Raises
    #: ValueError for what cannot be published.
    publish_durably: Callable[[object, object], Awaitable[str]] = _publish_nowhere
    #: Unanswered callouts by method and address; removed when a later attempt gets an answer.
    unanswered: dict[tuple[str, str], Unanswered] = field(default_factory=dict)


def gate_depth(headers: object) -> int:
    """Number of gates that wait for an upload, by the headers of its event, which are verified."""
    value = headers.get(GATE_DEPTH) if isinstance(headers, Mapping) else None
    valid = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 4
    return int(value) if valid else 0  # type: ignore[arg-type]


_context: ContextVar[ScriptContext] = ContextVar("script_context")


def enter(context: ScriptContext) -> None:
    """Set the context of the current task and of the tasks it starts."""
    _context.set(context)


def current() -> ScriptContext:
    """Context of the running script; raises LookupError outside of a script."""
    return _context.get()


def waiting_gates() -> int:
    """Number of gates that wait for the running script."""
    context = _context.get(None)
    return context.gate_depth if context is not None else 0


def note_unanswered(method: str, address: str, code: int, reason: str) -> None:
    """Record that a callout of the running script to one of our own APIGWs was not answered."""
    context = _context.get(None)
    if context is not None and len(context.unanswered) < MAX_UNANSWERED:
        record = Unanswered(code=code, reason=reason, callers=_callers())
        context.unanswered[method, address] = record


def note_answered(method: str, address: str) -> None:
    """Remove the record after a later attempt of the script was answered."""
    context = _context.get(None)
    if context is not None and context.unanswered:
        context.unanswered.pop((method, address), None)


def _callers() -> tuple[tuple[str, int], ...]:
    found: list[tuple[str, int]] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and len(found) < MAX_CALLERS:
        found.append((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return tuple(found)
