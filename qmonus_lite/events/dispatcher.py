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
from collections.abc import Sequence
from concurrent.futures import Future

import uvloop

from qmonus_lite.clock import ClockStep, SteadyClock
from qmonus_lite.events.delivery import Delivery
from qmonus_lite.events.known_handlers import KnownHandlers
from qmonus_lite.events.log import EventLogFailed
from qmonus_lite.events.ordering import MAX_KNOWN, PathOrder
from qmonus_lite.events.retry import MAX_DELAY_SECONDS, Attempt
from qmonus_lite.events.settlement import POLL_SECONDS, Settlement, wait_after_failure
from qmonus_lite.events.stored_event import ClaimedEvent, PendingEvent, Types, direct
from qmonus_lite.events.transport import Broken, Heartbeat, Unreachable
from qmonus_lite.log import bound
from qmonus_lite.values import changed

logger = logging.getLogger(__name__)

#: Maximum concurrent deliveries, and maximum events claimed from the outbox at once.
MAX_IN_FLIGHT, CLAIM_BATCH = 64, 256
#: Maximum events of one path that are claimed while the one before them is delivered.
MAX_FOLLOWING = 32
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
        #: Claimed events behind the one of their path that is being delivered.
        self._following: dict[str, deque[ClaimedEvent]] = {}
        self._order = PathOrder()
        #: Clock of due times and leases; moved only by `_follow_clock`, on the loop.
        self._clock = SteadyClock(delivery.clock)
        self._settlement = Settlement(delivery, self._order, self._clock, self._loop)
        #: Events for direct delivery that the loop has not taken over, and whether it is notified.
        self._committed: deque[ClaimedEvent] = deque()
        self._notified = False
        self._running: set[asyncio.Task[object]] = set()
        self._thread = threading.Thread(target=self._live, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Load the waiting events and start the thread."""
        # Due times of an earlier process, before which the wall clock may have been set.
        now = self._clock.now()
        no_step = ClockStep(seconds=0.0, now=now, earliest=now)
        self._with.log.follow_clock(no_step, MAX_DELAY_SECONDS).result()
        self._order.load(*self._with.log.waiting(MAX_KNOWN))
        self._thread.start()

    def take(self, seq: int, event: PendingEvent) -> bool:
        """Deliver a committed event directly; False if it has to wait in the outbox.

        Called by the committing threads, in commit order per path.
        """
        ready = self._with.registry.takes(event.type) and not self._stopping
        if not self._order.go(event.path, event.id, direct=ready):
            return False
        self._committed.append(direct(seq, event))
        if not self._notified:
            self._notified = True
            # RuntimeError: the loop is closed; the event is found in the outbox at the next start.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._accept)
        return True

    def expect(self, events: Sequence[PendingEvent]) -> None:
        """Take note of events that were stored in the outbox, and deliver them; thread-safe."""
        self._settlement.expect(events)
        self.wake()

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
                await self._follow_clock()
                if self._with.registry.ready:
                    await self._fill()
                    self._start()
                await self._settlement.expire()
                await self._sleep()
            except EventLogFailed as error:
                await wait_after_failure(error)
            except Exception:
                # A bug. If this loop ended, all deliveries would stop until a restart.
                logger.exception("dispatcher failed", extra={"action": "dispatcher_failed"})
                await asyncio.sleep(POLL_SECONDS)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._settlement.flush()
        await self._with.transport.close()

    async def _follow_clock(self) -> None:
        """After a step of the wall clock, move due times, leases and ages by as much."""
        if (step := self._clock.find_step()) is None:
            return
        extra = {"action": "clock_set", "seconds": round(step.seconds, 3)}
        way = "forward" if step.seconds > 0 else "back"
        logger.warning("the clock was set %s by %.1f s", way, abs(step.seconds), extra=extra)
        # The log makes changes in the order in which they are submitted, so that those before have
        # times of the clock as it was, and those after as it is.
        self._move_clock(step.seconds)
        moved = self._with.log.follow_clock(step, MAX_DELAY_SECONDS)
        try:
            await asyncio.wrap_future(moved)
        except EventLogFailed:
            self._move_clock(-step.seconds)
            raise

    def _move_clock(self, seconds: float) -> None:
        self._clock.move(seconds)
        for events in (self._leased, *self._following.values()):
            moved = [changed(event, since=event.since + seconds) for event in events]
            events.clear()
            events += moved

    async def _fill(self) -> None:
        """Claim more events unless MAX_IN_FLIGHT are claimed or in delivery already."""
        if len(self._leased) + len(self._running) >= MAX_IN_FLIGHT:
            return
        now = self._clock.now()
        lease = now + self._with.timeout + LEASE_GRACE_SECONDS
        types = _deliverable(self._with.registry.known)
        claimed = self._with.log.claim(now, lease=lease, limit=CLAIM_BATCH, types=types)
        events = await asyncio.wrap_future(claimed)
        self._leased += events

    def _accept(self) -> None:
        self._notified = False
        while self._committed:
            self._leased.append(self._committed.popleft())
        if not self._stopping:
            self._start()

    def _start(self) -> None:
        registry = self._with.registry
        while self._leased and len(self._running) < MAX_IN_FLIGHT:
            event = self._leased.popleft()
            if registry.has_no_handler_for(event.type):
                # No worker would run a handler: done without sending it.
                self._settlement.forget(event)
                continue
            delivery = self._deliver(event) if event.direct else self._deliver_path(event)
            task = self._loop.create_task(delivery)
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[object]") -> None:
        self._running.discard(task)
        if not self._stopping:
            self._start()
        if not self._leased and self._order.anything_waits:
            self._wake.set()
        if not task.cancelled() and (error := task.exception()):
            logger.error("delivery failed", exc_info=error, extra={"action": "delivery_failed"})

    async def _sleep(self) -> None:
        """Wait for a wake-up, the due time of the next event or POLL_SECONDS."""
        now = self._clock.now()
        next_at = await asyncio.wrap_future(self._with.log.next_due(now))
        wait = POLL_SECONDS if next_at is None else min(POLL_SECONDS, max(0.0, next_at - now))
        try:
            async with asyncio.timeout(wait + 0.001):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _deliver_path(self, event: ClaimedEvent) -> None:
        """Deliver an event, then those that wait behind it at its path, one after the other.

        The next ones are claimed while one is at the worker: thousands at one path then take the
        time of their handlers, without a search of the outbox after each.
        """
        self._following[event.path] = following = deque[ClaimedEvent]()
        try:
            while await self._deliver_ahead(event, following):
                event = following.popleft()
        finally:
            del self._following[event.path]
            self._settlement.flush()
            if following:
                self._settlement.unclaim(following)

    async def _deliver_ahead(self, event: ClaimedEvent, following: deque[ClaimedEvent]) -> bool:
        """Deliver an event while those behind it are claimed; whether the next one is to go."""
        claimed = None if following else self._claim_following(event)
        try:
            ended = await self._deliver(event, batched=True)
        finally:
            if claimed is not None:
                # EventLogFailed: they are found again when the log works.
                with contextlib.suppress(EventLogFailed):
                    events = await asyncio.wrap_future(claimed)
                    following.extend(events)
        others_wait = self._leased and len(self._running) >= MAX_IN_FLIGHT
        return ended and bool(following) and not others_wait and not self._stopping

    def _claim_following(self, event: ClaimedEvent) -> "Future[list[ClaimedEvent]] | None":
        if not self._order.may_follow(event.path):
            return None
        now = self._clock.now()
        return self._with.log.claim_following(
            event,
            now,
            lease=now + (1 + MAX_FOLLOWING) * self._with.timeout + LEASE_GRACE_SECONDS,
            limit=MAX_FOLLOWING,
            types=_deliverable(self._with.registry.known),
        )

    async def _deliver(self, event: ClaimedEvent, *, batched: bool = False) -> bool:
        """Send an event, and settle it; False if it is to be tried again."""
        with bound(**event.log_fields):
            return await self._deliver_bound(event, batched=batched)

    async def _deliver_bound(self, event: ClaimedEvent, *, batched: bool) -> bool:
        started = self._loop.time()
        age = self._clock.now() - event.since
        try:
            attempt = await self._attempt(event, started - age)
            seconds = self._loop.time() - started
            return await self._settlement.settle(event, attempt, seconds, batched=batched)
        except Exception as error:
            # A bug: retried like any other failure, finally a dead letter. Otherwise the event
            # and all later ones of its path would wait until a restart.
            logger.exception("delivery failed", extra={"action": "delivery_failed"})
            reason = f"{type(error).__name__}: {error}"
            attempt = self._with.attempt(event, age, NO_ANSWER, reason)
        seconds = self._loop.time() - started
        return await self._settlement.settle(event, attempt, seconds, batched=batched)

    def _heartbeat(self, event: ClaimedEvent) -> Heartbeat | None:
        """Lease an event in direct delivery after a while, so that it is listed as `sending`."""
        if not event.direct:
            return None
        lease = self._with.timeout + LEASE_GRACE_SECONDS
        #: End of the lease by the loop's clock.
        leased_until = 0.0

        def extend() -> None:
            nonlocal leased_until
            if leased_until < self._loop.time() + LEASE_GRACE_SECONDS:
                leased_until = self._loop.time() + lease
                self._with.log.extend(event.id, self._clock.now() + lease)

        return extend

    async def _attempt(self, event: ClaimedEvent, since: float) -> Attempt | None:
        """Send once; None if no handler was reached, which does not count as an attempt.

        `since` is when the age of the event began, by the clock of the event loop.
        """
        if not self._with.registry.takes(event.type):
            return None
        answer = await self._with.transport.ask(
            self._with.event(event), self._with.timeout, self._heartbeat(event)
        )
        if isinstance(answer, Unreachable):
            return None
        age = self._loop.time() - since
        if isinstance(answer, Broken):
            reason = f"{answer.worker}: {answer.reason}"
            return self._with.attempt(event, age, NO_ANSWER, reason, answer.retry_after)
        reason = f"{answer.code}: {answer.output}" if answer.refused else ""
        attempt = self._with.attempt(event, age, answer.code, reason[:1000])
        return changed(attempt, published=answer.published) if answer.published else attempt


def _deliverable(known: KnownHandlers) -> Types:
    """Event types that can be delivered now; others stay in the outbox, without an attempt."""
    takers = frozenset(known.takers)
    if known.unknown is not None:
        return Types(names=takers, only=True)
    return Types(names=known.handled - takers)
