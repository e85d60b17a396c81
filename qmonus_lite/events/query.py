"""Synchronous request/reply query to the handlers of an event; fails closed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from qmonus_lite import strictjson
from qmonus_lite.clock import Clock
from qmonus_lite.errors import BadGateway, EventLogUnavailable, NoWorker, Problem
from qmonus_lite.events.envelope import GATES, Ids, OutgoingEvent, Purpose
from qmonus_lite.events.outcome import MAX_OUTCOME_BYTES, Outcome
from qmonus_lite.events.published import PublishedEvent, Source
from qmonus_lite.events.transport import Broken, Transport, Unreachable
from qmonus_lite.events.workers import Handled, WorkerRegistry
from qmonus_lite.ids import new_id
from qmonus_lite.log.context import current
from qmonus_lite.trace_context import of_log_fields
from qmonus_lite.values import Value

logger = logging.getLogger(__name__)


async def _store_nowhere(_events: Sequence[PublishedEvent], _source: Source) -> None:
    raise EventLogUnavailable("events cannot be published here")


class EventQuery(Value, frozen=True, kw_only=True):
    """Asks the workers, and converts a missing outcome to an error."""

    registry: WorkerRegistry
    transport: Transport
    clock: Clock
    #: `http(s)://host:port` of this APIGW.
    source: str
    #: Timeout of the whole exchange in seconds.
    timeout: float
    #: Stores what scripts publish; raises Problem.
    store_events: Callable[[Sequence[PublishedEvent], Source], Awaitable[None]] = _store_nowhere

    def is_handled(self, event: str) -> bool:
        """Whether a worker has a handler; raises NoWorker while that is unknown."""
        handled = self.registry.handled(event)
        if handled is Handled.UNKNOWN:
            raise NoWorker(self.registry.known.unknown or "")
        return handled is Handled.HANDLED

    async def ask(
        self, event: str, data: dict[str, Any], subject: str | None = None, ids: Ids | None = None
    ) -> Outcome:
        """The outcome of the handlers; raises NoWorker or BadGateway.

        `ids` are those of the related request and upload. Which worker is asked, and that an
        outcome without handlers is certain, is up to `Transport.ask`. Raises TypeError or
        ValueError for data that is not JSON-serializable.
        """
        question = self._question(event, data, subject, ids or Ids())
        answer = await self.transport.ask(question, self.timeout)
        if isinstance(answer, Outcome):
            return answer
        raise _problem(answer)

    def on_this_loop(self) -> Callable[[str, dict[str, Any]], Coroutine[Any, Any, Outcome]]:
        """`ask` for scripts: awaited on a script thread, run on the event loop that calls this now.

        The connections to the workers belong to that event loop.
        """
        loop = asyncio.get_running_loop()

        async def publish(event: str, data: dict[str, Any]) -> Outcome:
            # The script runs in the context (contextvars) of its request.
            fields = current()
            ids = Ids(request_id=fields.get("request_id", ""), traceparent=of_log_fields(fields))
            asking = asyncio.run_coroutine_threadsafe(self._ask_and_store(event, data, ids), loop)
            return await asyncio.wrap_future(asking)

        return publish

    async def _ask_and_store(self, event: str, data: dict[str, Any], ids: Ids) -> Outcome:
        outcome = await self.ask(event, data, ids=ids)
        if outcome.published and not (outcome.denied if event in GATES else outcome.refused):
            source = Source(request_id=ids.request_id, traceparent=ids.traceparent)
            await self.store_events(outcome.published, source)
        return outcome

    def _question(
        self, event: str, data: dict[str, Any], subject: str | None, ids: Ids
    ) -> OutgoingEvent:
        return OutgoingEvent(
            id=new_id(),
            type=event,
            source=self.source,
            subject=subject,
            time=self.clock.moment(),
            attempt=1,
            request_id=ids.request_id,
            upload_id=ids.upload_id,
            account=ids.account,
            traceparent=ids.traceparent,
            purpose=Purpose.QUESTION,
            data=_written(event, data),
        )


def _written(event: str, data: dict[str, Any]) -> str:
    text = strictjson.write(data)
    # Fewer characters than this are within the limit in any encoding.
    if 4 * len(text) > MAX_OUTCOME_BYTES and (size := len(text.encode())) > MAX_OUTCOME_BYTES:
        limit = f"at most {MAX_OUTCOME_BYTES} are sent to a worker"
        raise ValueError(f"the event {event} has {size} bytes; {limit}")
    return text


def _problem(answer: Unreachable | Broken) -> Problem:
    if isinstance(answer, Unreachable):
        return NoWorker(answer.reason)
    extra = {"action": "ask_failed", "endpoint": answer.worker}
    logger.error("no usable answer from %s: %s", answer.worker, answer.reason, extra=extra)
    if answer.invalid:
        return BadGateway("the Lambda worker gave an answer that cannot be trusted")
    return NoWorker("the Lambda worker did not answer")
