"""What to do after a delivery was tried: done, again, or dead.

Pure: the dispatcher does the deed. Classes of answers as in webhook practice: below 400 it is done;
408, 425, 429 and 5xx may pass, so it is tried again; any other 4xx will not pass, so the event is a
dead letter.
"""

import random
from dataclasses import dataclass

#: Seconds: the first back-off and the longest, also the longest `Retry-After` that is followed.
FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS = 0.5, 300.0
_TRANSIENT = frozenset({408, 425, 429})


@dataclass(frozen=True)
class Done:
    """Delivered."""


@dataclass(frozen=True)
class Retry:
    """Try again after `delay` seconds."""

    delay: float
    reason: str


@dataclass(frozen=True)
class Dead:
    """Give up and keep it."""

    reason: str


Decision = Done | Retry | Dead


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One delivery that was tried."""

    #: From 1.
    number: int
    #: Seconds that the event is old.
    age: float
    #: Seconds after which it is given up.
    max_age: float
    #: Status that it ended with.
    code: int
    reason: str
    #: Seconds that the other side asked us to wait, if it did.
    retry_after: float | None = None


def decide(attempt: Attempt) -> Decision:
    """What to do now."""
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
    """Seconds to wait: exponential, with full jitter so that many do not come back at once."""
    return random.uniform(0, min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(number, 20)))
