"""Retry policy after a delivery attempt: done, retry, or dead letter.

Pure functions; the dispatcher executes the decision. Status classes as usual for webhooks: below
400 is done; 408, 425, 429 and 5xx are transient, so it is retried; any other 4xx is permanent, so
the event is a dead letter.
"""

import random
from dataclasses import dataclass
from typing import ClassVar

from qmonus_lite.errors import Refusal
from qmonus_lite.events.published import PublishedEvent
from qmonus_lite.observations import RanHandler
from qmonus_lite.values import Value

#: First and maximum back-off in seconds; the maximum also caps `Retry-After`.
FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS = 0.5, 300.0
_TRANSIENT = frozenset({408, 425, 429})


@dataclass(frozen=True)
class Done:
    """Delivered: no further attempt."""

    outcome: ClassVar[str] = "delivered"


@dataclass(frozen=True)
class Retry:
    """Retry after `delay` seconds."""

    outcome: ClassVar[str] = "retry"
    delay: float
    reason: str


@dataclass(frozen=True)
class Dead:
    """Keep the event as a dead letter."""

    outcome: ClassVar[str] = "dead"
    reason: str


Decision = Done | Retry | Dead


class Attempt(Value, frozen=True, kw_only=True):
    """A delivery attempt and its result."""

    #: Number of the attempt, from 1.
    number: int
    #: Age of the event in seconds.
    age: float
    #: Maximum age in seconds; later it is a dead letter.
    max_age: float
    #: Resulting status code.
    code: int
    reason: str
    #: `Retry-After` of the response in seconds, or None.
    retry_after: float | None = None
    #: What the handlers published, to be stored if it is done.
    published: tuple[PublishedEvent, ...] = ()
    #: Endpoint of the worker, the handlers that ran and which of them failed, if that is known.
    worker: str = ""
    handlers: tuple[RanHandler, ...] = ()
    refusal: Refusal | None = None


def decide(attempt: Attempt) -> Decision:
    """The decision for this attempt."""
    if attempt.code < 400:
        return Done()
    if attempt.code < 500 and attempt.code not in _TRANSIENT:
        return Dead(attempt.reason)
    delay = back_off(attempt.number)
    if attempt.retry_after is not None:
        delay = min(MAX_DELAY_SECONDS, attempt.retry_after)
    if attempt.age + delay > attempt.max_age:
        return Dead(f"older than {attempt.max_age:g} s; the last try: {attempt.reason}")
    return Retry(delay, attempt.reason)


def back_off(number: int) -> float:
    """Back-off in seconds: exponential with full jitter, so that retries are spread out."""
    return random.uniform(0, min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(number, 20)))
