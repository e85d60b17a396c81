"""Transport over signed HTTP: sends an event to the workers that are up, round robin."""

import asyncio
import contextlib
import logging
from collections import defaultdict

from qmonus_lite.events.envelope import CONTENT_TYPE, OutgoingEvent, Purpose
from qmonus_lite.events.outcome import Outcome, Report
from qmonus_lite.events.transport import Broken, Heartbeat, Unreachable
from qmonus_lite.events.workers import WorkerRegistry
from qmonus_lite.transports.heartbeat import Beating
from qmonus_lite.transports.http.circuit_breaker import CircuitBreaker
from qmonus_lite.transports.http.client import ConnectFailed, ExchangeFailed, InvalidReply
from qmonus_lite.transports.http.signed_client import (
    ASK,
    DELIVER,
    SignedClient,
    SignedMessage,
    WorkerBusy,
)
from qmonus_lite.values import changed

logger = logging.getLogger(__name__)

_PATHS = {Purpose.QUESTION: ASK, Purpose.DELIVERY: DELIVER}


class HttpTransport:
    """Implements `events.transport.Transport`; `ask` and `close` are for one event loop."""

    def __init__(self, client: SignedClient, registry: WorkerRegistry) -> None:
        self._client = client
        self._registry = registry
        #: Round robin counter.
        self._turn = 0
        self._breakers: defaultdict[str, CircuitBreaker] = defaultdict(CircuitBreaker)
        #: The event loop of the connections, known from the first event on.
        self._loop: asyncio.AbstractEventLoop | None = None

    async def ask(
        self, event: OutgoingEvent, timeout: float, heartbeat: Heartbeat | None = None
    ) -> Outcome | Unreachable | Broken:
        """See `events.transport.Transport`."""
        self._loop = asyncio.get_running_loop()
        message = SignedMessage(
            id=event.id,
            path=_PATHS[event.purpose],
            body=event.to_bytes(),
            content_type=CONTENT_TYPE,
            timeout=timeout,
        )
        if heartbeat is None:
            return await self._try_each(event, message)
        with Beating(heartbeat):
            return await self._try_each(event, message)

    def abandon(self, endpoint: str) -> int:
        """Abort the exchanges with a lost worker; returns their number. Thread-safe."""
        count = self._client.under_way(endpoint)
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._client.abandon, endpoint)
        return count

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _in_turn(self, event: str) -> tuple[str, ...]:
        able = self._registry.known.able(event)
        self._turn += 1
        start = self._turn % len(able) if able else 0
        return (*able[start:], *able[:start])

    async def _try_each(
        self, event: OutgoingEvent, message: SignedMessage
    ) -> Outcome | Unreachable | Broken:
        for endpoint in self._in_turn(event.type):
            answer = await self._try(endpoint, event, message)
            if answer is not None:
                return answer
        return Unreachable(reason="no Lambda worker answers")

    async def _try(
        self, endpoint: str, event: OutgoingEvent, message: SignedMessage
    ) -> Outcome | Broken | None:
        """Send to one worker; None if no handler has run and another worker may have one."""
        try:
            report = await self._exchange(endpoint, event, message)
        except WorkerBusy as error:
            return Broken(worker=endpoint, reason=str(error), retry_after=error.seconds)
        except ExchangeFailed as error:
            return Broken(worker=endpoint, reason=str(error))
        except InvalidReply as error:
            return Broken(worker=endpoint, reason=str(error), invalid=True)
        if report is None:
            return None
        outcome = report.outcome
        if outcome is None:
            return Broken(worker=endpoint, reason="no outcome", invalid=True)
        if outcome.handlers or outcome.refused or not self._is_open(event.type, endpoint, report):
            return changed(outcome, worker=endpoint)
        return None

    async def _exchange(
        self, endpoint: str, event: OutgoingEvent, message: SignedMessage
    ) -> Report | None:
        """The worker's report, or None if it was not reached."""
        if event.purpose is Purpose.DELIVERY:
            # Without a circuit breaker: the dispatcher retries with a back-off per event.
            try:
                return await self._client.send(endpoint, message)
            except ConnectFailed:
                return None
        breaker = self._breakers[endpoint]
        if not breaker.admits(_now()):
            return None
        try:
            report = await self._client.send(endpoint, message)
        except ConnectFailed:
            breaker.failed(_now())
            return None
        except (ExchangeFailed, InvalidReply, asyncio.CancelledError):
            # A cancelled request may have been the probe: count a failure, to allow a new probe.
            breaker.failed(_now())
            raise
        breaker.succeeded()
        return report

    def _is_open(self, event: str, endpoint: str, report: Report) -> bool:
        """Whether another worker may handle an event for which this worker ran no handler."""
        is_open = self._registry.known.is_open(event, endpoint, report)
        if is_open:
            extra = {"action": "no_handler_ran", "endpoint": endpoint, "event_name": event}
            logger.warning("%s ran no handler of %s", endpoint, event, extra=extra)
        return is_open


def _now() -> float:
    return asyncio.get_running_loop().time()
