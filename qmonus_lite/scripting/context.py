"""What surrounds one run of a script: the plugin set it began with, and how it publishes events."""

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Services that depend on the run, not on the process."""

    #: Values of a Config plugin by its name, secrets opened; raises KeyError.
    config: Callable[[str], Mapping[str, Any]]
    #: Publish an event and wait for its handlers; gives the code, output and event that result.
    publish: Callable[[str, dict[str, Any]], Awaitable[Any]]


_surroundings: ContextVar[Surroundings] = ContextVar("surroundings")


def enter(surroundings: Surroundings) -> None:
    """Make these the surroundings of the current task and of those it starts."""
    _surroundings.set(surroundings)


def current() -> Surroundings:
    """The surroundings of the running script; raises LookupError outside of one."""
    return _surroundings.get()
