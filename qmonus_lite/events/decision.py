"""What to do after a delivery was tried: done, again, or dead. Pure; the dispatcher does the deed.

Classes of answers as in webhook practice: 2xx and 3xx of a handler are done; 408, 425, 429 and 5xx
may pass, so they are tried again; any other 4xx will not, so the event is a dead letter.
"""

import random
from dataclasses import dataclass

#: Seconds: the first back-off and the longest.
FIRST, LONGEST = 0.5, 300.0
_PASSING = frozenset({408, 425, 429})


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


def decide(code: int, attempt: int, reason: str) -> Done | Retry | Dead:
    """The decision after attempt number `attempt` (from 1) ended with `code`."""
    if code < 400:
        return Done()
    if code < 500 and code not in _PASSING:
        return Dead(reason)
    return Retry(back_off(attempt), reason)


def back_off(attempt: int) -> float:
    """Seconds to wait: exponential, with full jitter so that many do not come back at once."""
    return random.uniform(0, min(LONGEST, FIRST * 2 ** min(attempt, 20)))
