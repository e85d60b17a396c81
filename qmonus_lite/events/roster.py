"""The roster: which workers answer, and which events they say they have handlers for.

APIGW keeps one question open at every worker (a long poll): the answer comes when the worker's
plugins change or after `WAIT` seconds, and a broken connection says at once that it is away.
"""

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qmonus_lite.background import ends_the_task
from qmonus_lite.events.outcome import Report
from qmonus_lite.events.sender import (
    HANDLES,
    Parcel,
    Sender,
)
from qmonus_lite.events.wire import WorkerAway, WorkerBroke, WorkerGarbled
from qmonus_lite.ids import new_id

logger = logging.getLogger(__name__)

#: Seconds that a worker holds the question open, and that we grant it on top.
WAIT, GRACE = 20.0, 5.0
#: Seconds between two tries to reach a worker that is away.
RETRY = 0.25
#: The same after a fault of ours, which is logged each time.
AFTER_FAULT = 5.0


@dataclass(kw_only=True)
class Peer:
    """One worker."""

    endpoint: str
    #: Whether its last question was answered.
    healthy: bool = False
    #: Its last word; None before the first.
    report: Report | None = None


class Roster:
    """All workers of one APIGW."""

    def __init__(self, endpoints: Sequence[str], sender: Sender, source: str) -> None:
        self._peers = [Peer(endpoint=endpoint) for endpoint in endpoints]
        self._sender = sender
        self._source = source
        self._turns: Counter[str] = Counter()
        self._listeners: list[Callable[[], None]] = []
        #: Whether any worker ever said what it handles, and whether one answers now.
        self.heard = self.ready = False
        #: Events that any worker has a handler for, by the last word of each.
        self._handled: frozenset[str] = frozenset()

    def handles(self, event: str) -> bool:
        """Whether any worker has a handler, by the last word of each."""
        return event in self._handled

    def is_deaf_to(self, event: str) -> bool:
        """Whether workers answer, and none has a handler: sent now, it would be for nobody."""
        return self.ready and not self.handles(event)

    def in_turn(self, path: str) -> list[str]:
        """Endpoints of the workers that answer; each call for a path begins with the next one."""
        healthy = [peer.endpoint for peer in self._peers if peer.healthy]
        self._turns[path] += 1
        start = self._turns[path] % len(healthy) if healthy else 0
        return healthy[start:] + healthy[:start]

    def on_ready(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever a worker begins to answer."""
        self._listeners.append(listener)

    def on_first_ready(self, listener: Callable[[], None]) -> None:
        """Call `listener` when the first worker begins to answer, and not again."""

        def once() -> None:
            self._listeners.remove(once)
            listener()

        self._listeners.append(once)

    async def follow(self) -> None:
        """Keep the roster true until cancelled."""
        async with asyncio.TaskGroup() as group:
            for peer in self._peers:
                group.create_task(self._follow(peer))

    async def _follow(self, peer: Peer) -> None:
        while True:
            try:
                self._hear(peer, await self._sender.send(peer.endpoint, self._question(peer)))
            except (WorkerAway, WorkerBroke, WorkerGarbled) as error:
                self._miss(peer, error)
                await asyncio.sleep(RETRY)
            except BaseException as error:
                if ends_the_task(error):
                    raise
                # A fault of ours, which must not end the following of the other workers.
                extra = {"action": "roster_failed"}
                logger.exception("worker %s: not followed", peer.endpoint, extra=extra)
                self._miss(peer, error)
                await asyncio.sleep(AFTER_FAULT)

    def _question(self, peer: Peer) -> Parcel:
        # A worker that was away is asked for its word at once, not only for a change of it.
        known = peer.report.generation if peer.report and peer.healthy else ""
        body = json.dumps({"source": self._source, "known": known, "wait": WAIT}).encode()
        return Parcel(
            id=new_id(),
            path=HANDLES,
            body=body,
            content_type="application/json",
            timeout=WAIT + GRACE,
        )

    def _hear(self, peer: Peer, report: Report) -> None:
        came = not peer.healthy
        peer.healthy, peer.report = True, report
        self._sum_up()
        if came:
            logger.info(
                "worker %s answers",
                peer.endpoint,
                extra={"action": "worker_up", "handles": sorted(report.handles)},
            )
            for listener in list(self._listeners):
                _call(listener)

    def _miss(self, peer: Peer, error: BaseException) -> None:
        if peer.healthy or isinstance(error, WorkerGarbled):
            logger.warning("worker %s: %s", peer.endpoint, error, extra={"action": "worker_away"})
        peer.healthy = False
        self._sum_up()

    def _sum_up(self) -> None:
        """Every upload asks for these, and they change rarely."""
        reports = [peer.report for peer in self._peers if peer.report]
        self._handled = frozenset().union(*(report.handles for report in reports))
        self.heard = bool(reports)
        self.ready = any(peer.healthy for peer in self._peers)


def _call(listener: Callable[[], None]) -> None:
    try:
        listener()
    except Exception:
        logger.exception("not told of a worker", extra={"action": "listener_failed"})
