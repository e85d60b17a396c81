"""The dispatcher: takes due events from the outbox to the workers, on a loop of its own.

Its own thread, so that a busy APIGW does not starve it. Nothing is tried while no worker answers:
an attempt is a delivery that reached somebody.
"""

import asyncio
import logging
import threading
from dataclasses import dataclass

from qmonus_lite.clock import Clock
from qmonus_lite.events.decision import Dead, Done, Retry, back_off, decide
from qmonus_lite.events.envelope import CONTENT_TYPE, Envelope
from qmonus_lite.events.outbox import Due, Outbox
from qmonus_lite.events.roster import Roster
from qmonus_lite.events.sender import (
    DELIVER,
    Parcel,
    Sender,
    WorkerAway,
    WorkerBroke,
    WorkerGarbled,
)
from qmonus_lite.events.signature import Signer

logger = logging.getLogger(__name__)

#: Deliveries under way at once.
MOST_AT_ONCE = 64
#: Seconds between two looks at the outbox when nobody woke us.
LOOK = 1.0


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """How events are delivered."""

    outbox: Outbox
    roster: Roster
    signer: Signer
    clock: Clock
    #: `http(s)://host:port` of this APIGW.
    source: str
    #: Seconds for one delivery.
    timeout: float


class Dispatcher:
    """Delivers until it is stopped."""

    def __init__(self, delivery: Delivery) -> None:
        self._with = delivery
        self._loop = asyncio.new_event_loop()
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._thread = threading.Thread(target=self._live, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def wake(self) -> None:
        """There may be something to deliver; callable from any thread."""
        self._loop.call_soon_threadsafe(self._wake.set)

    def stop(self) -> None:
        """Stop taking events, cut the deliveries under way; the next start tries them again."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self.wake()
        self._thread.join()

    def _live(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._run())

    async def _run(self) -> None:
        sender = Sender(self._with.signer)
        while not self._stop.is_set():
            self._wake.clear()
            taken = await self._take(sender)
            if not taken:
                await self._sleep()
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        await sender.close()

    async def _take(self, sender: Sender) -> int:
        """Start what is due and not yet under way; how many that were."""
        room = MOST_AT_ONCE - len(self._running)
        if room <= 0 or not self._with.roster.ready:
            return 0
        now = self._with.clock.now()
        found = await asyncio.wrap_future(self._with.outbox.due(now, MOST_AT_ONCE + room))
        fresh = [due for due in found if due.id not in self._running][:room]
        for due in fresh:
            task = self._loop.create_task(self._deliver(sender, due))
            self._running[due.id] = task
        return len(fresh)

    async def _sleep(self) -> None:
        now = self._with.clock.now()
        next_at = await asyncio.wrap_future(self._with.outbox.next_due(now))
        wait = LOOK if next_at is None else min(LOOK, max(0.0, next_at - now))
        try:
            async with asyncio.timeout(wait + 0.001):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _deliver(self, sender: Sender, due: Due) -> None:
        try:
            decision = await self._attempt(sender, due)
            if decision is not None:
                await self._settle(due, decision)
        finally:
            del self._running[due.id]
            self._wake.set()

    async def _attempt(self, sender: Sender, due: Due) -> Done | Retry | Dead | None:
        """Send once; None when nobody was reached, which is no attempt."""
        parcel = self._parcel(due)
        for endpoint in self._with.roster.in_turn():
            try:
                report = await sender.send(endpoint, parcel)
            except WorkerAway:
                continue
            except (WorkerBroke, WorkerGarbled) as error:
                return Retry(back_off(due.attempt + 1), f"{endpoint}: {error}")
            outcome = report.outcome
            if outcome is None:
                return Retry(back_off(due.attempt + 1), f"{endpoint}: no outcome")
            reason = f"{outcome.code}: {outcome.output}" if outcome.refused else ""
            return decide(outcome.code, due.attempt + 1, reason[:1000])
        await asyncio.sleep(LOOK / 4)
        return None

    def _parcel(self, due: Due) -> Parcel:
        envelope = Envelope(
            id=due.id,
            type=due.type,
            source=self._with.source,
            subject=due.path,
            time=due.time,
            attempt=due.attempt + 1,
            data=due.data,
        )
        return Parcel(
            id=due.id,
            path=DELIVER,
            body=envelope.to_bytes(),
            content_type=CONTENT_TYPE,
            timeout=self._with.timeout,
        )

    async def _settle(self, due: Due, decision: Done | Retry | Dead) -> None:
        outbox, attempt = self._with.outbox, due.attempt + 1
        extra = {"event_id": due.id, "path": due.path, "attempt": attempt}
        if isinstance(decision, Done):
            await asyncio.wrap_future(outbox.done(due.id))
            logger.info("delivered %s", due.type, extra={"action": "event_delivered", **extra})
        elif isinstance(decision, Retry):
            next_at = self._with.clock.now() + decision.delay
            await asyncio.wrap_future(outbox.retry(due.id, attempt, next_at, decision.reason))
            extra |= {"action": "event_retry", "reason": decision.reason}
            logger.warning("%s again in %.1f s", due.type, decision.delay, extra=extra)
        else:
            await asyncio.wrap_future(outbox.dead(due.id, attempt, decision.reason))
            extra |= {"action": "event_dead", "reason": decision.reason}
            logger.error("%s is a dead letter", due.type, extra=extra)
