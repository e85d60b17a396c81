"""The dispatcher: delivers events to the workers, on its own event loop and thread.

Most events are delivered directly after their commit; the others are claimed from the outbox when
they are due. A separate thread, so that a busy APIGW event loop does not starve deliveries. Nothing
is sent while no worker is reachable: only a delivery that reached a worker counts as an attempt.
"""

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

import uvloop

from qmonus_lite.events.database import DatabaseFailed
from qmonus_lite.events.delivery import Delivery
from qmonus_lite.events.known_handlers import KnownHandlers
from qmonus_lite.events.ordering import MAX_KNOWN, PathOrder
from qmonus_lite.events.outbox import ClaimedEvent, PendingEvent, Types, claimed_events, direct
from qmonus_lite.events.retry import Attempt, Decision, Done, Retry, decide
from qmonus_lite.events.transport import Broken, Heartbeat, Unreachable

logger = logging.getLogger(__name__)

#: Maximum concurrent deliveries, and maximum events claimed from the outbox at once.
MAX_IN_FLIGHT, CLAIM_BATCH = 64, 256
#: Interval in seconds at which the outbox is polled without a wake-up.
POLL_SECONDS = 1.0
#: Seconds that rows of delivered events wait to be deleted in one batch.
BATCH_DELAY_SECONDS = 0.02
#: Seconds that a lease lasts beyond the delivery timeout.
LEASE_GRACE_SECONDS = 60.0
#: Status code recorded for a delivery without a valid response.
NO_ANSWER = 599


class Dispatcher:
    """Delivers events until it is stopped."""

    def __init__(self, delivery: Delivery) -> None:
        self._with = delivery
        self._loop = uvloop.new_event_loop()
        self._wake = asyncio.Event()
        self._stopping = False
        #: Claimed and direct events whose delivery has not started.
        self._leased: deque[ClaimedEvent] = deque()
        self._order = PathOrder()
        self._came: deque[ClaimedEvent] = deque()
        self._called = False
        #: Ids of delivered events whose rows are not deleted yet.
        self._delivered: list[str] = []
        self._running: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._live, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Load the waiting events and start the thread."""
        self._order.load(*self._with.outbox.waiting(MAX_KNOWN))
        self._thread.start()

    def take(self, seq: int, promise: PendingEvent) -> bool:
        """Deliver a committed event directly; False if it has to wait in the outbox.

        Called by the committing threads, in commit order per path.
        """
        ready = self._with.registry.takes(promise.type) and not self._stopping
        if not self._order.go(promise.path, promise.id, direct=ready):
            return False
        self._came.append(direct(seq, promise))
        if not self._called:
            self._called = True
            # RuntimeError: the loop is closed; the event is found in the outbox at the next start.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._accept)
        return True

    @property
    def alive(self) -> bool:
        """Whether the thread runs; before `stop` only a bug ends it."""
        return self._thread.is_alive()

    def wake(self) -> None:
        """Check the outbox now; thread-safe, a no-op after the stop."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._wake.set)

    def stop(self) -> None:
        """Accept no more events, cancel deliveries in progress; the next start retries them."""
        self._stopping = True
        self.wake()
        self._thread.join()

    def _live(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._run())

    async def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                if self._with.registry.ready:
                    await self._fill()
                    self._start()
                await self._sleep()
            except DatabaseFailed as error:
                await self._after_failure(error)
            except Exception:
                # A bug. If this loop ended, all deliveries would stop until a restart.
                logger.exception("dispatcher failed", extra={"action": "dispatcher_failed"})
                await asyncio.sleep(POLL_SECONDS)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._flush()
        await self._with.transport.close()

    async def _after_failure(self, error: DatabaseFailed) -> None:
        """Log and wait after an outbox error (disk full, for example); events are kept."""
        logger.error("the outbox failed: %s", error, extra={"action": "outbox_failed"})
        await asyncio.sleep(POLL_SECONDS)

    async def _fill(self) -> None:
        """Claim more events unless MAX_IN_FLIGHT are claimed or in delivery already."""
        if len(self._leased) + len(self._running) >= MAX_IN_FLIGHT:
            return
        now = self._with.clock.now()
        lease = now + self._with.timeout + LEASE_GRACE_SECONDS
        types = _deliverable(self._with.registry.known)
        claimed = self._with.outbox.claim(now, lease=lease, limit=CLAIM_BATCH, types=types)
        self._leased += claimed_events(await asyncio.wrap_future(claimed))

    def _accept(self) -> None:
        self._called = False
        while self._came:
            self._leased.append(self._came.popleft())
        if not self._stopping:
            self._start()

    def _start(self) -> None:
        registry = self._with.registry
        while self._leased and len(self._running) < MAX_IN_FLIGHT:
            event = self._leased.popleft()
            if registry.has_no_handler_for(event.type):
                # No worker would run a handler: done without sending it.
                self._forget(event)
                continue
            task = self._loop.create_task(self._deliver(event))
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if not self._stopping:
            self._start()
        if not self._leased and self._order.anything_waits:
            self._wake.set()
        if not task.cancelled() and (error := task.exception()):
            logger.error("delivery failed", exc_info=error, extra={"action": "delivery_failed"})

    async def _sleep(self) -> None:
        """Wait for a wake-up, the due time of the next event or POLL_SECONDS."""
        now = self._with.clock.now()
        rows = await asyncio.wrap_future(self._with.outbox.next_due(now))
        next_at = rows[0][0] if rows else None
        wait = POLL_SECONDS if next_at is None else min(POLL_SECONDS, max(0.0, next_at - now))
        try:
            async with asyncio.timeout(wait + 0.001):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _deliver(self, event: ClaimedEvent) -> None:
        try:
            attempt = await self._attempt(event)
        except Exception as error:
            # A bug: retried like any other failure, finally a dead letter. Otherwise the event
            # and all later ones of its path would wait until a restart.
            logger.exception("delivery failed", extra={"action": "delivery_failed"})
            attempt = self._with.attempt(event, NO_ANSWER, f"{type(error).__name__}: {error}")
        if attempt is None:
            # No worker was reached: release the lease without counting an attempt.
            soon = self._with.clock.now() + POLL_SECONDS / 4
            await self._put_back(event, event.attempt - 1, soon, "no worker answers")
        else:
            await self._settle(event, decide(attempt))

    def _heartbeat(self, event: ClaimedEvent) -> Heartbeat | None:
        """Lease an event in direct delivery after a while, so that it is listed as `sending`."""
        if not event.direct:
            return None
        leased_until = 0.0

        def extend() -> None:
            nonlocal leased_until
            now = self._with.clock.now()
            if leased_until < now + LEASE_GRACE_SECONDS:
                leased_until = now + self._with.timeout + LEASE_GRACE_SECONDS
                self._with.outbox.lease(event.id, leased_until)

        return extend

    async def _attempt(self, event: ClaimedEvent) -> Attempt | None:
        """Send once; None if no handler was reached, which does not count as an attempt."""
        if not self._with.registry.takes(event.type):
            return None
        answer = await self._with.transport.ask(
            self._with.event(event), self._with.timeout, self._heartbeat(event)
        )
        if isinstance(answer, Unreachable):
            return None
        if isinstance(answer, Broken):
            reason = f"{answer.worker}: {answer.reason}"
            return self._with.attempt(event, NO_ANSWER, reason, answer.retry_after)
        reason = f"{answer.code}: {answer.output}" if answer.refused else ""
        return self._with.attempt(event, answer.code, reason[:1000])

    async def _settle(self, event: ClaimedEvent, decision: Decision) -> None:
        outbox = self._with.outbox
        extra = {"event_id": event.id, "path": event.path, "attempt": event.attempt}
        if event.request_id:
            extra["request_id"] = event.request_id
        if isinstance(decision, Done):
            self._forget(event)
            logger.info("delivered %s", event.type, extra={"action": "event_delivered", **extra})
        elif isinstance(decision, Retry):
            next_at = self._with.clock.now() + decision.delay
            await self._put_back(event, event.attempt, next_at, decision.reason)
            extra |= {"action": "event_retry", "reason": decision.reason}
            logger.warning("%s again in %.1f s", event.type, decision.delay, extra=extra)
        else:
            reason = decision.reason
            await self._write(lambda: outbox.dead(event.id, event.attempt, reason))
            self._order.end(event.path, event.id, direct=event.direct)
            extra |= {"action": "event_dead", "reason": decision.reason}
            logger.error("%s is a dead letter", event.type, extra=extra)

    def _forget(self, event: ClaimedEvent) -> None:
        """Mark as delivered: release its path, delete its row; does not wait for the commit."""
        self._order.end(event.path, event.id, direct=event.direct)
        if not event.direct:
            self._finish([event.id])
            return
        # The row is only read at a start after a crash, so its deletion can be batched.
        if not self._delivered:
            self._loop.call_later(BATCH_DELAY_SECONDS, self._flush)
        self._delivered.append(event.id)

    def _flush(self) -> None:
        delivered, self._delivered = self._delivered, []
        if delivered:
            self._finish(delivered)

    def _finish(self, delivered: list[str]) -> None:
        forgotten = self._with.outbox.done(delivered)
        forgotten.add_done_callback(lambda done: self._finished(delivered, done))

    def _finished(self, delivered: list[str], done: "Future[int]") -> None:
        if done.exception() is not None:
            # After the stop (RuntimeError) the next start delivers them again, with the same ids.
            write = self._write(lambda: self._with.outbox.done(delivered))
            try:
                asyncio.run_coroutine_threadsafe(write, self._loop)
            except RuntimeError:
                write.close()

    async def _put_back(
        self, event: ClaimedEvent, attempt: int, next_at: float, reason: str
    ) -> None:
        """Return the event to the outbox; later events of its path wait behind it."""
        if event.direct:
            self._order.queue(event.path, event.id)
        await self._write(lambda: self._with.outbox.retry(event.id, attempt, next_at, reason))

    async def _write(self, change: "Callable[[], Future[int]]") -> None:
        """Write to the outbox, retrying until it succeeds."""
        while True:
            try:
                await asyncio.wrap_future(change())
                return
            except DatabaseFailed as error:
                await self._after_failure(error)


def _deliverable(known: KnownHandlers) -> Types:
    """Event types that can be delivered now; others stay in the outbox, without an attempt."""
    takers = frozenset(known.takers)
    if known.unknown is not None:
        return Types(names=takers, only=True)
    return Types(names=known.handled - takers)
