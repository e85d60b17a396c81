"""Transport: one attempt to have the workers handle an event; a question or a delivery.

The contract is tested by `tests/unit/transports/test_transport_contract.py`.
"""

from collections.abc import Callable
from typing import Protocol

from qmonus_lite.events.envelope import OutgoingEvent
from qmonus_lite.events.outcome import Outcome
from qmonus_lite.events.workers import WorkerRegistry
from qmonus_lite.values import Value

#: Seconds between two calls of `heartbeat` while an attempt is in progress.
HEARTBEAT_SECONDS = 1.0

#: Called while handlers run, so that the caller keeps the event claimed.
Heartbeat = Callable[[], None]


class Unreachable(Value, frozen=True, kw_only=True):
    """No handler has run: no worker was reached that could run one; the event may be sent again."""

    reason: str


class Broken(Value, frozen=True, kw_only=True):
    """The attempt ended without an outcome; handlers may have run."""

    #: The worker that was sent the event.
    worker: str
    reason: str
    #: Whether there was an answer, which is malformed or not signed by a worker of ours.
    invalid: bool = False
    #: Seconds after which the worker asked to be tried again, or None.
    retry_after: float | None = None


class Transport(Protocol):
    """Reaches the workers; used on one event loop."""

    async def ask(
        self, event: OutgoingEvent, timeout: float, heartbeat: Heartbeat | None = None
    ) -> Outcome | Unreachable | Broken:
        """Have the handlers of an event run by one worker; `timeout` in seconds for one exchange.

        Another worker is tried only if nothing was sent to the previous one, or if that one ran
        no handler although a worker is known to have one. An outcome without handlers is returned
        only for an event that no worker is known to handle. A handler is not ended by the timeout
        or by a cancellation. `heartbeat` is called every HEARTBEAT_SECONDS until the attempt ends.
        """

    async def close(self) -> None:
        """Close the connections."""


class WorkerConnections(Protocol):
    """The workers as one process reaches them: their registry, and transports that use it."""

    @property
    def registry(self) -> WorkerRegistry:
        """The registry of the process."""

    def for_questions(self) -> Transport:
        """A transport for the event loop of the registry; shares its connections."""

    def for_deliveries(self) -> Transport:
        """A transport with its own connections, for any event loop.

        Its exchanges with a worker that the registry finds lost are aborted.
        """
