"""Circuit breaker per worker: open after consecutive failures, then half-open with one probe."""

from dataclasses import dataclass

#: Consecutive failures that open the circuit, and seconds that it stays open.
MAX_FAILURES, OPEN_SECONDS = 5, 2.0


@dataclass(kw_only=True)
class CircuitBreaker:
    """Circuit state of one worker; the caller passes the current time."""

    _failures: int = 0
    _open_until: float = 0.0
    _probing: bool = False

    def admits(self, now: float) -> bool:
        """Whether a request may be sent; the first one after the open period is the probe."""
        if self._failures < MAX_FAILURES:
            return True
        if now < self._open_until or self._probing:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """Record a successful exchange: close the circuit."""
        self._failures, self._probing = 0, False

    def failed(self, now: float) -> None:
        """Record a failed exchange; (re)open the circuit from `now`."""
        self._failures += 1
        self._open_until, self._probing = now + OPEN_SECONDS, False
