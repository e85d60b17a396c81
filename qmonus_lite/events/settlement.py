"""What follows from a delivery attempt: the decision, its write to the event log, its records."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future

from qmonus_lite.clock import SteadyClock
from qmonus_lite.events.delivery import Delivery
from qmonus_lite.events.log import MAX_DEAD_LETTER_DAYS, MAX_DEAD_LETTERS, EventLogFailed
from qmonus_lite.events.ordering import PathOrder
from qmonus_lite.events.published import PublishedEvent, Source
from qmonus_lite.events.retry import Attempt, Decision, Done, Retry, decide
from qmonus_lite.events.stored_event import ClaimedEvent, PendingEvent
from qmonus_lite.observations import DeliveryTried

logger = logging.getLogger(__name__)

#: Seconds to wait after an error of the log, and between two polls of it.
POLL_SECONDS = 1.0
#: Seconds until an event that reached no worker is due again.
NO_WORKER_DELAY_SECONDS = 0.25
#: Seconds between two deletions of old delivered events, and of old dead letters.
EXPIRE_SECONDS, EXPIRE_DEAD_SECONDS = 60.0, 3600.0
#: Seconds that rows of delivered events wait to be ended in one batch.
BATCH_DELAY_SECONDS = 0.02


async def wait_after_failure(error: EventLogFailed) -> None:
    """Log an error of the event log (disk full, for example) and wait; events are kept."""
    logger.error("the outbox failed: %s", error, extra={"action": "outbox_failed"})
    await asyncio.sleep(POLL_SECONDS)


class Settlement:
    """Writes the results of attempts to the event log, on the loop of the dispatcher."""

    def __init__(
        self,
        delivery: Delivery,
        order: PathOrder,
        clock: SteadyClock,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._with = delivery
        self._order = order
        #: Clock of due times, which the dispatcher moves.
        self._clock = clock
        #: Wall time of the start of this process, and what has gone by since; never moved.
        self._age_clock = SteadyClock(delivery.clock)
        self._loop = loop
        #: Ids of delivered events whose rows are not ended yet.
        self._delivered: list[str] = []
        #: When old delivered events are deleted next, by the clock of the loop.
        self._expires_at, self._expires_dead_at = 0.0, loop.time() + EXPIRE_DEAD_SECONDS

    async def settle(
        self, event: ClaimedEvent, attempt: Attempt | None, seconds: float, *, batched: bool = False
    ) -> bool:
        """Write the result of an attempt of this duration; None if no worker was reached.

        True if the event is done or dead, and so out of the way of the next one of its path.
        `batched`: the caller ends its row by `flush` before an event of its path is claimed.
        """
        if attempt is None:
            # Release the lease without counting an attempt.
            delay, reason = NO_WORKER_DELAY_SECONDS, "no worker answers"
            await self._put_back(event, event.attempt - 1, delay, reason)
            return False
        decision = decide(attempt)
        if isinstance(decision, Done) and attempt.published:
            await self._publish(event, attempt.published)
        if isinstance(decision, Done):
            self._deliver(event, batched=batched or event.direct)
        await self._write_decision(event, decision, seconds)
        if self._with.observers.wants(DeliveryTried):
            self._with.observers.notify(_observation(event, attempt, decision, seconds))
        return not isinstance(decision, Retry)

    def unclaim(self, events: Iterable[ClaimedEvent]) -> None:
        """End the leases of events that were not sent, without an attempt; does not wait."""
        ids = [event.id for event in events]
        self._submit(lambda: self._with.log.unclaim(ids))

    def forget(self, event: ClaimedEvent) -> None:
        """Mark as ended without a handler: release its path, delete its row; does not wait."""
        self._order.end(event.path, event.id, direct=event.direct)
        self._delete([event.id], None)

    def _deliver(self, event: ClaimedEvent, *, batched: bool) -> None:
        """Mark as delivered: release its path, end its row; does not wait for the commit."""
        self._order.end(event.path, event.id, direct=event.direct)
        if not batched:
            self._delete([event.id], self._kept_at)
            return
        # The row is only read at a start after a crash, so its end can be batched.
        if not self._delivered:
            self._loop.call_later(BATCH_DELAY_SECONDS, self.flush)
        self._delivered.append(event.id)

    def flush(self) -> None:
        """End the rows of the delivered events now."""
        delivered, self._delivered = self._delivered, []
        if delivered:
            self._delete(delivered, self._kept_at)

    async def expire(self) -> None:
        """Delete delivered events older than the history, and old dead letters, now and then.

        Dead letters not in the first hour: a machine may start with a wrong clock.
        """
        if (now := self._loop.time()) >= self._expires_at:
            self._expires_at = now + EXPIRE_SECONDS
            before = self._time_to_delete_by() - self._with.history
            await asyncio.wrap_future(self._with.log.expire(before))
        if now >= self._expires_dead_at:
            self._expires_dead_at = now + EXPIRE_DEAD_SECONDS
            await self._expire_dead(self._time_to_delete_by() - MAX_DEAD_LETTER_DAYS * 86400)

    def _time_to_delete_by(self) -> float:
        """The earlier one of wall time and steady time: a clock set forward ages nothing."""
        return min(self._age_clock.now(), self._with.clock.now())

    async def _expire_dead(self, before: float) -> None:
        deleted = await asyncio.wrap_future(self._with.log.expire_dead(before, MAX_DEAD_LETTERS))
        if deleted:
            extra = {"action": "dead_letters_deleted", "number": deleted}
            logger.warning("deleted %d old dead letters", deleted, extra=extra)

    @property
    def _kept_at(self) -> float | None:
        """Time of delivery of events that are kept; None if they are not."""
        return self._with.clock.now() if self._with.history else None

    def expect(self, events: Sequence[PendingEvent]) -> None:
        """Take note that these events wait, so that none of their paths overtakes them."""
        for event in events:
            self._order.go(event.path, event.id, direct=False)

    async def _publish(self, event: ClaimedEvent, published: Sequence[PublishedEvent]) -> None:
        """Store what the handlers published and end the event, in one transaction."""
        source = Source(
            request_id=event.request_id,
            upload_id=event.upload_id,
            account=event.account,
            traceparent=event.traceparent,
        )
        time, gateway = self._with.clock.moment(), event.gateway
        events = [each.pending(time=time, gateway=gateway, source=source) for each in published]
        self.expect(events)
        log, kept_at = self._with.log, self._kept_at
        await self._write(lambda: log.publish(events, delivered=event.id, kept_at=kept_at))

    async def _write_decision(
        self, event: ClaimedEvent, decision: Decision, seconds: float
    ) -> None:
        log = self._with.log
        extra: dict[str, object] = {
            "attempt": event.attempt,
            "event_name": event.type,
            "path": event.path,
            "ms": round(seconds * 1000, 1),
        }
        if isinstance(decision, Done):
            logger.info("delivered %s", event.type, extra={"action": "event_delivered", **extra})
        elif isinstance(decision, Retry):
            await self._put_back(event, event.attempt, decision.delay, decision.reason)
            extra = {"action": "event_retry", **extra, "reason": decision.reason}
            logger.warning("%s again in %.1f s", event.type, decision.delay, extra=extra)
        else:
            reason = decision.reason
            await self._write(lambda: log.dead(event.id, event.attempt, reason))
            self._order.end(event.path, event.id, direct=event.direct)
            extra = {"action": "event_dead", **extra, "reason": decision.reason}
            logger.error("%s is a dead letter", event.type, extra=extra)

    async def _put_back(self, event: ClaimedEvent, attempt: int, delay: float, reason: str) -> None:
        """Return the event to the log; later events of its path wait behind it."""
        due = self._loop.time() + delay

        def retry() -> "Future[int]":
            # Computed when it is submitted, and so in order with moves of the clock.
            next_at = self._clock.now() + due - self._loop.time()
            return self._with.log.retry(event.id, attempt, next_at, reason)

        if event.direct:
            self._order.queue(event.path, event.id)
        await self._write(retry)

    def _delete(self, event_ids: list[str], kept_at: float | None) -> None:
        self._submit(lambda: self._with.log.done(event_ids, kept_at))

    def _submit(self, change: "Callable[[], Future[int]]") -> None:
        """Write to the log without waiting for the commit, retrying until it succeeds."""
        change().add_done_callback(lambda written: self._submitted(change, written))

    def _submitted(self, change: "Callable[[], Future[int]]", written: "Future[int]") -> None:
        if written.exception() is not None:
            # After the stop (RuntimeError) the next start releases leases, and delivers what is not
            # ended again, with the same ids.
            write = self._write(change)
            try:
                asyncio.run_coroutine_threadsafe(write, self._loop)
            except RuntimeError:
                write.close()

    async def _write(self, change: "Callable[[], Future[int]]") -> None:
        """Write to the log, retrying until it succeeds."""
        while True:
            try:
                await asyncio.wrap_future(change())
                return
            except EventLogFailed as error:
                await wait_after_failure(error)


def _observation(
    event: ClaimedEvent, attempt: Attempt, decision: Decision, seconds: float
) -> DeliveryTried:
    return DeliveryTried(
        event_id=event.id,
        event=event.type,
        attempt=event.attempt,
        outcome=decision.outcome,
        seconds=seconds,
        request_id=event.request_id,
        upload_id=event.upload_id,
        path=event.path,
        worker=attempt.worker,
        handlers=attempt.handlers,
        code=attempt.code,
        reason="" if isinstance(decision, Done) else decision.reason,
        refusal=attempt.refusal,
        delay=decision.delay if isinstance(decision, Retry) else 0.0,
    )
