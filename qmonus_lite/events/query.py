"""Synchronous request/reply query to the handlers of an event; fails closed."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from qmonus_lite.clock import Clock
from qmonus_lite.errors import (
    BadGateway,
    NoWorker,
    Problem,
)
from qmonus_lite.events.circuit_breaker import CircuitBreaker
from qmonus_lite.events.envelope import CONTENT_TYPE, Envelope, Ids
from qmonus_lite.events.http_client import WorkerAway, WorkerBroke, WorkerGarbled
from qmonus_lite.events.outcome import Outcome, Report
from qmonus_lite.events.signed_client import ASK, SignedClient, SignedMessage
from qmonus_lite.events.worker_registry import WorkerRegistry
from qmonus_lite.ids import new_id
from qmonus_lite.log import named

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class EventQuery:
    """Sends queries to the workers, round robin."""

    registry: WorkerRegistry
    sender: SignedClient
    clock: Clock
    #: `http(s)://host:port` of this APIGW.
    source: str
    #: Timeout of the whole exchange in seconds.
    timeout: float
    _breakers: defaultdict[str, CircuitBreaker] = field(
        default_factory=lambda: defaultdict(CircuitBreaker)
    )

    def is_handled(self, event: str) -> bool:
        """Whether a worker has a handler; raises NoWorker while that is unknown."""
        known = self.registry.known
        if event in known.handled:
            return True
        if known.unknown is not None:
            raise NoWorker(known.unknown)
        return False

    async def ask(
        self, event: str, data: dict[str, Any], subject: str | None = None, ids: Ids | None = None
    ) -> Outcome:
        """The outcome of the handlers; raises NoWorker or BadGateway.

        `ids` are those of the related request and upload.
        Another worker is tried only if nothing was sent to the previous worker, or if that worker
        ran no handler although a worker is known to have one. An outcome without handlers is
        returned only for an event that no worker is known to handle.
        """
        message = self._message(event, data, subject, ids or Ids())
        for endpoint in self.registry.in_turn(ASK, event):
            if not self._breakers[endpoint].admits(_now()):
                continue
            try:
                report = await self._exchange(endpoint, message)
            except WorkerAway:
                continue
            outcome = report.outcome
            if outcome is None:
                raise BadGateway("the Lambda worker gave no outcome")
            if outcome.handlers or outcome.refused or not self._is_open(event, endpoint, report):
                return outcome
        raise NoWorker("no Lambda worker answers")

    def _is_open(self, event: str, endpoint: str, report: Report) -> bool:
        """Whether another worker may handle an event for which this worker ran no handler."""
        is_open = self.registry.known.is_open(event, endpoint, report)
        if is_open:
            extra = {"action": "no_handler_ran", "endpoint": endpoint, "event_name": event}
            logger.warning("%s ran no handler of %s", endpoint, event, extra=extra)
        return is_open

    def on_this_loop(self) -> Callable[[str, dict[str, Any]], Coroutine[Any, Any, Outcome]]:
        """`ask` for scripts: awaited on a script thread, run on the event loop that calls this now.

        The connections to the workers belong to that event loop.
        """
        loop = asyncio.get_running_loop()

        async def publish(event: str, data: dict[str, Any]) -> Outcome:
            # The script runs in the context (contextvars) of its request.
            ids = Ids(request_id=named("request_id"))
            asking = asyncio.run_coroutine_threadsafe(self.ask(event, data, ids=ids), loop)
            return await asyncio.wrap_future(asking)

        return publish

    async def _exchange(self, endpoint: str, message: SignedMessage) -> Report:
        """The worker's report; raises WorkerAway, and Problem for any other failure."""
        breaker = self._breakers[endpoint]
        try:
            report = await self.sender.send(endpoint, message)
        except (WorkerAway, asyncio.CancelledError):
            # A cancelled request may have been the probe: count a failure, to allow a new probe.
            breaker.failed(_now())
            raise
        except WorkerBroke as error:
            breaker.failed(_now())
            detail = "the Lambda worker did not answer"
            raise _no(endpoint, error, NoWorker(detail)) from None
        except WorkerGarbled as error:
            breaker.failed(_now())
            detail = "the Lambda worker gave an answer that cannot be trusted"
            raise _no(endpoint, error, BadGateway(detail)) from None
        breaker.succeeded()
        return report

    def _message(
        self, event: str, data: dict[str, Any], subject: str | None, ids: Ids
    ) -> SignedMessage:
        envelope = Envelope(
            id=new_id(),
            type=event,
            source=self.source,
            subject=subject,
            time=self.clock.moment(),
            attempt=1,
            request_id=ids.request_id,
            upload_id=ids.upload_id,
            data=data,
        )
        return SignedMessage(
            id=envelope.id,
            path=ASK,
            body=envelope.to_bytes(),
            content_type=CONTENT_TYPE,
            timeout=self.timeout,
        )


def _now() -> float:
    return asyncio.get_running_loop().time()


def _no(endpoint: str, error: Exception, problem: Problem) -> Problem:
    extra = {"action": "ask_failed", "endpoint": endpoint}
    logger.error("no usable answer from %s: %s", endpoint, error, extra=extra)
    return problem
