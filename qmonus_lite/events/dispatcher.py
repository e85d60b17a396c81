"""The dispatcher: takes events to the workers, on a loop of its own.

Most come straight from their commit; those that have to wait are claimed from the outbox when they
are due. Its own thread, so that a busy APIGW does not starve it. Nothing is tried while no worker
answers: an attempt is a delivery that reached somebody.
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
from qmonus_lite.events.http_client import WorkerAway, WorkerBroke, WorkerGarbled
from qmonus_lite.events.known_handlers import KnownHandlers
from qmonus_lite.events.ordering import MAX_KNOWN, PathOrder
from qmonus_lite.events.outbox import ClaimedEvent, PendingEvent, Types, claimed_events, direct
from qmonus_lite.events.retry import Attempt, Decision, Done, Retry, decide
from qmonus_lite.events.signed_client import (
    DELIVER,
    SignedClient,
    WorkerBusy,
)

logger = logging.getLogger(__name__)

#: Deliveries under way at once, and events taken from the outbox at once.
MAX_IN_FLIGHT, CLAIM_BATCH = 64, 256
#: Seconds between two looks at the outbox when nobody woke us.
POLL_SECONDS = 1.0
#: Seconds that rows of delivered events wait to go together.
BATCH_DELAY_SECONDS = 0.02
#: Seconds after which an event on its straight way is shown as being sent.
SHOW_AFTER_SECONDS = 1.0
#: Seconds on top of a delivery's own time before its lease ends.
LEASE_GRACE_SECONDS = 60.0
#: Status that stands for a delivery without a usable answer.
NO_ANSWER = 599


class Dispatcher:
    """Delivers until it is stopped."""

    def __init__(self, delivery: Delivery) -> None:
        self._with = delivery
        self._loop = uvloop.new_event_loop()
        self._sender = SignedClient(delivery.signer)
        self._wake = asyncio.Event()
        self._stopping = False
        #: Ours to deliver, not yet under way.
        self._leased: deque[ClaimedEvent] = deque()
        self._order = PathOrder()
        self._came: deque[ClaimedEvent] = deque()
        self._called = False
        #: Ids of delivered events whose rows are still there.
        self._delivered: list[str] = []
        self._running: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._live, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._order.load(*self._with.outbox.waiting(MAX_KNOWN))
        self._thread.start()

    def take(self, seq: int, promise: PendingEvent) -> bool:
        """Deliver a promise straight from its commit; False if it has to wait in the outbox.

        Called by the threads that commit, in the order of the commits of a path.
        """
        ready = self._with.registry.takes(promise.type) and not self._stopping
        if not self._order.go(promise.path, promise.id, direct=ready):
            return False
        self._came.append(direct(seq, promise))
        if not self._called:
            self._called = True
            # After the stop the next start finds it.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._accept)
        return True

    @property
    def alive(self) -> bool:
        """Whether events are being delivered; nothing but a fault of ours ends it early."""
        return self._thread.is_alive()

    def abandon(self, endpoint: str) -> int:
        """End the deliveries under way at a worker that is lost; how many. From any thread.

        They are tried again, at another worker or at the one that takes its place.
        """
        count = self._sender.under_way(endpoint)
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._sender.abandon, endpoint)
        return count

    def wake(self) -> None:
        """There may be something to deliver; callable from any thread, also after the stop."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._wake.set)

    def stop(self) -> None:
        """Stop taking events, cut the deliveries under way; the next start tries them again."""
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
                # A fault of ours; with this loop all deliveries would end, until a restart.
                logger.exception("dispatcher failed", extra={"action": "dispatcher_failed"})
                await asyncio.sleep(POLL_SECONDS)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._flush()
        await self._sender.close()

    async def _after_failure(self, error: DatabaseFailed) -> None:
        """The outbox failed (a full disk, perhaps): events wait, and are not given up."""
        logger.error("the outbox failed: %s", error, extra={"action": "outbox_failed"})
        await asyncio.sleep(POLL_SECONDS)

    async def _fill(self) -> None:
        """Lease more events when those at hand run out."""
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
                # Every worker would say no more than that.
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
        """Until somebody wakes us, the next event falls due, or a while has passed."""
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
        shown = (
            self._loop.call_later(SHOW_AFTER_SECONDS, self._show, event) if event.direct else None
        )
        try:
            attempt = await self._attempt(event)
        except Exception as error:
            # A fault of ours: tried again as any other failure, and a dead letter in the end.
            # Without that the event and all later ones of its path would wait until a restart.
            logger.exception("delivery failed", extra={"action": "delivery_failed"})
            attempt = self._with.attempt(event, NO_ANSWER, f"{type(error).__name__}: {error}")
        finally:
            if shown is not None:
                shown.cancel()
        if attempt is None:
            # Nobody was reached: give the lease back without counting an attempt.
            soon = self._with.clock.now() + POLL_SECONDS / 4
            await self._put_back(event, event.attempt - 1, soon, "no worker answers")
        else:
            await self._settle(event, decide(attempt))

    def _show(self, event: ClaimedEvent) -> None:
        lease = self._with.clock.now() + self._with.timeout + LEASE_GRACE_SECONDS
        self._with.outbox.lease(event.id, lease)

    async def _attempt(self, event: ClaimedEvent) -> Attempt | None:
        """Send once; None when nobody was reached, which is no attempt."""
        registry = self._with.registry
        endpoints = registry.in_turn(DELIVER, event.type) if registry.takes(event.type) else []
        message = self._with.message(event)
        for endpoint in endpoints:
            try:
                report = await self._sender.send(endpoint, message)
            except WorkerAway:
                continue
            except WorkerBusy as error:
                return self._with.attempt(event, NO_ANSWER, str(error), error.seconds)
            except (WorkerBroke, WorkerGarbled) as error:
                return self._with.attempt(event, NO_ANSWER, f"{endpoint}: {error}")
            if (outcome := report.outcome) is None:
                return self._with.attempt(event, NO_ANSWER, f"{endpoint}: no outcome")
            done = outcome.handlers or outcome.refused
            if not done and registry.known.is_open(event.type, endpoint, report):
                # It is not delivered: a worker that has a handler has not heard of it.
                continue
            reason = f"{outcome.code}: {outcome.output}" if outcome.refused else ""
            return self._with.attempt(event, outcome.code, reason[:1000])
        return None

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
        """It is delivered: its path is free, its row goes; not waited for."""
        self._order.end(event.path, event.id, direct=event.direct)
        if not event.direct:
            self._finish([event.id])
            return
        # Nobody looks at its row but a start after a crash.
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
            # After the stop the next start delivers them again, under the same ids.
            write = self._write(lambda: self._with.outbox.done(delivered))
            try:
                asyncio.run_coroutine_threadsafe(write, self._loop)
            except RuntimeError:
                write.close()

    async def _put_back(
        self, event: ClaimedEvent, attempt: int, next_at: float, reason: str
    ) -> None:
        """Let it wait in the outbox; whatever comes later at its path waits behind it."""
        if event.direct:
            self._order.queue(event.path, event.id)
        await self._write(lambda: self._with.outbox.retry(event.id, attempt, next_at, reason))

    async def _write(self, change: "Callable[[], Future[int]]") -> None:
        """Write down what happened, however long the outbox cannot take it."""
        while True:
            try:
                await asyncio.wrap_future(change())
                return
            except DatabaseFailed as error:
                await self._after_failure(error)


def _deliverable(known: KnownHandlers) -> Types:
    """Events that a worker takes now; the others stay in the outbox, and no attempt counts."""
    takers = frozenset(known.takers)
    if known.unknown is not None:
        return Types(names=takers, only=True)
    return Types(names=known.handled - takers)
