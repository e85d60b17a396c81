"""A breaker: after some failures in a row a worker is left alone for a while, then probed once."""

from dataclasses import dataclass

#: Failures in a row that open it, and seconds that it stays open.
MAX_FAILURES, OPEN_SECONDS = 5, 2.0


@dataclass(kw_only=True)
class CircuitBreaker:
    """The state of one worker, on a clock that its user reads."""

    _failures: int = 0
    _open_until: float = 0.0
    _probing: bool = False

    def admits(self, now: float) -> bool:
        """Whether a question may go out; the one that may after a pause is the probe."""
        if self._failures < MAX_FAILURES:
            return True
        if now < self._open_until or self._probing:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """An exchange was well."""
        self._failures, self._probing = 0, False

    def failed(self, now: float) -> None:
        """An exchange was not."""
        self._failures += 1
        self._open_until, self._probing = now + OPEN_SECONDS, False
