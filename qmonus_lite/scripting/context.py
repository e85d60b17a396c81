"""What surrounds one run of a script: the plugin set it began with, and how it publishes events."""

import sys
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

#: Unanswered callouts of one run that are kept, and callers of each that are looked at.
MAX_UNANSWERED, MAX_CALLERS = 16, 32


@dataclass(frozen=True, kw_only=True)
class Unanswered:
    """A callout to one of our own APIGWs that ended with 599, no answer, or 504, too late."""

    code: int
    reason: str
    #: File and line of every function that was waiting for it, the innermost first.
    callers: tuple[tuple[str, int], ...]

    def line_in(self, file: str) -> int | None:
        """The line of a file that the callout was called from."""
        return next((line for name, line in self.callers if name == file), None)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Services that depend on the run, not on the process."""

    #: Values of a Config plugin by its name, secrets opened; raises KeyError.
    config: Callable[[str], Mapping[str, Any]]
    #: Publish an event and wait for its handlers; gives the code, output and event that result.
    publish: Callable[[str, dict[str, Any]], Awaitable[Any]]
    #: By method and address, as long as the run had no better answer there.
    unanswered: dict[tuple[str, str], Unanswered] = field(default_factory=dict)


_surroundings: ContextVar[Surroundings] = ContextVar("surroundings")


def enter(surroundings: Surroundings) -> None:
    """Make these the surroundings of the current task and of those it starts."""
    _surroundings.set(surroundings)


def current() -> Surroundings:
    """The surroundings of the running script; raises LookupError outside of one."""
    return _surroundings.get()


def note_unanswered(method: str, address: str, code: int, reason: str) -> None:
    """A callout of the running script to one of our own APIGWs was not answered."""
    surroundings = _surroundings.get(None)
    if surroundings is not None and len(surroundings.unanswered) < MAX_UNANSWERED:
        one = Unanswered(code=code, reason=reason, callers=_callers())
        surroundings.unanswered[method, address] = one


def note_answered(method: str, address: str) -> None:
    """It was answered after all, at another try of the script."""
    surroundings = _surroundings.get(None)
    if surroundings is not None and surroundings.unanswered:
        surroundings.unanswered.pop((method, address), None)


def _callers() -> tuple[tuple[str, int], ...]:
    found: list[tuple[str, int]] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and len(found) < MAX_CALLERS:
        found.append((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return tuple(found)
