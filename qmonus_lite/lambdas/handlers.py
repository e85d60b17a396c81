"""Runs the handlers of a received event: of a question each time, of a delivery once."""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from qmonus_lite.catalog.live import Live
from qmonus_lite.catalog.secret_values import SecretResolver
from qmonus_lite.events.envelope import GATES, Envelope, Purpose
from qmonus_lite.events.outcome import Outcome, Report
from qmonus_lite.lambdas.chain import Chain
from qmonus_lite.log import bound
from qmonus_lite.scripting.context import gate_depth
from qmonus_lite.scripting.runner import Runner
from qmonus_lite.values import as_dict, changed

logger = logging.getLogger(__name__)


class CompletedDeliveries(Protocol):
    """Outcomes of successful deliveries, by event id; implemented by `events.inbox`."""

    async def find(self, event_id: str) -> Outcome | None:
        """The outcome, or None if the event is not known as completed."""

    def remember(self, event_id: str, outcome: Outcome) -> None:
        """Record the outcome."""


@dataclass(kw_only=True)
class EventHandlers:
    """The handlers of the current plugin set, with the threads that run them."""

    live: Live
    secrets: SecretResolver
    #: Separate script threads: a slow delivery delays no question.
    questions: Runner
    deliveries: Runner
    completed: CompletedDeliveries
    #: Number of events whose handlers are running.
    running: int = 0
    #: Deliveries in progress, by event id; a duplicate waits for the first.
    _in_progress: dict[str, asyncio.Future[Outcome]] = field(default_factory=dict)

    async def handle(self, envelope: Envelope) -> Outcome:
        """Outcome of the handlers; of a delivery without the resulting event, which is not used."""
        started = time.monotonic()
        with bound(**envelope.ids.known):
            if envelope.purpose is Purpose.QUESTION:
                outcome = await self._run(envelope, self.questions)
            else:
                outcome = changed(await self._deliver(envelope), event={})
            _log_handled(envelope, outcome, time.monotonic() - started)
        return outcome

    def report(self, outcome: Outcome | None = None, *, stopping: bool = False) -> Report:
        """Handled events and fingerprint of the plugin set, with the outcome of an event."""
        catalog = self.live.catalog
        return Report(
            handles=frozenset(catalog.events),
            generation=catalog.fingerprint,
            outcome=outcome,
            stopping=stopping,
        )

    async def _run(self, envelope: Envelope, runner: Runner) -> Outcome:
        ids = envelope.ids
        is_gate = envelope.type in GATES
        chain = Chain(
            catalog=self.live.catalog,
            runner=runner,
            secrets=self.secrets,
            ids=ids,
            gate_depth=1 + gate_depth(envelope.data.get("headers")) if is_gate else 0,
        )
        self.running += 1
        try:
            return await chain.run(envelope.type, envelope.data)
        finally:
            self.running -= 1

    async def _deliver(self, envelope: Envelope) -> Outcome:
        """Handle a delivery once: a duplicate gets the outcome of the successful run."""
        while (first := self._in_progress.get(envelope.id)) is not None:
            await asyncio.wait([first])
            if not first.cancelled():
                return first.result()
        future = self._in_progress[envelope.id] = asyncio.get_running_loop().create_future()
        try:
            outcome = await self._deliver_once(envelope)
            future.set_result(outcome)
            return outcome
        finally:
            future.cancel()
            del self._in_progress[envelope.id]

    async def _deliver_once(self, envelope: Envelope) -> Outcome:
        # On the first attempt the event cannot be completed already.
        known = await self.completed.find(envelope.id) if envelope.attempt > 1 else None
        if known is not None and known.handlers:
            return known
        outcome = await self._run(envelope, self.deliveries)
        # Workers with different plugins may share the inbox: record only if a handler ran.
        if outcome.handlers and not outcome.refused:
            self.completed.remember(envelope.id, outcome)
        return outcome


def _log_handled(envelope: Envelope, outcome: Outcome, seconds: float) -> None:
    """The record of a question or a delivery in the worker."""
    fields: dict[str, Any] = {
        "action": "event_handled",
        "event_name": envelope.type,
        "purpose": envelope.purpose.value,
        "attempt": envelope.attempt,
        "status": outcome.code,
        "ms": round(seconds * 1000, 1),
        "handlers": ",".join(outcome.handlers),
    }
    if outcome.refusal is not None:
        refusal = as_dict(outcome.refusal)
        fields |= {name: value for name, value in refusal.items() if value}
    logger.info("%s %d", envelope.type, outcome.code, extra=fields)
