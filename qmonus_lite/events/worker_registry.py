"""The roster: which workers answer, and which events they say they have handlers for.

APIGW keeps one question open at every worker (a long poll): the answer comes when the worker's
plugins change or after `WAIT` seconds, and a broken connection says at once that it is away. What
a worker said is kept until it says something else, also over restarts (`events.report_file`).
"""

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from qmonus_lite.background import ends_the_task
from qmonus_lite.errors import BadPlace
from qmonus_lite.events.http_client import WorkerAway, WorkerBroke, WorkerGarbled
from qmonus_lite.events.known_handlers import (
    Complaints,
    KnownHandlers,
    KnownWorker,
    superseded,
    warnings,
)
from qmonus_lite.events.outcome import Report
from qmonus_lite.events.report_file import Entries, KeptReport, ReportFile, State
from qmonus_lite.events.signed_client import HANDLES, SignedClient, SignedMessage, WorkerSilent
from qmonus_lite.ids import new_id

logger = logging.getLogger(__name__)

#: Seconds that a worker holds the question open, and that we grant it on top: a worker that does
#: not answer within both is taken for lost, and what is under way there is ended.
POLL_SECONDS, POLL_GRACE_SECONDS = 10.0, 5.0
#: Seconds between two tries to reach a worker that is away.
RECONNECT_SECONDS = 0.25
#: Seconds between two looks at the file of reports.
LOOK = 0.5
#: The same after a fault of ours, which is logged each time.
AFTER_FAULT = 5.0


class WorkerRegistry:
    """All workers of one APIGW."""

    def __init__(
        self,
        endpoints: Sequence[str],
        sender: SignedClient,
        source: str,
        words: ReportFile | None = None,
    ) -> None:
        """Raises BadPlace when the kept reports cannot be read."""
        self._known = [KnownWorker(endpoint=endpoint) for endpoint in endpoints]
        #: Reports of workers that are configured no more, by endpoint.
        self._former: Entries = {}
        self._sender = sender
        self._source = source
        self._words = words
        self._turns: Counter[str] = Counter()
        self._listeners: list[Callable[[], None]] = []
        self._ready_listeners: list[Callable[[], None]] = []
        self._losing: list[Callable[[str], int]] = []
        #: Entries of the file that say nothing any more.
        self._empty: set[str] = set()
        self._complaints = Complaints()
        #: What every upload asks for, summed up at each change.
        self.known = KnownHandlers()
        if words is not None:
            self._adopt(words.read())
        self._refresh()

    @property
    def ready(self) -> bool:
        """Whether a worker answers."""
        return bool(self.known.live)

    @property
    def has_reported(self) -> bool:
        """Whether any worker has answered since the start."""
        return any(peer.has_reported for peer in self._known)

    @property
    def unhealthy_reason(self) -> str | None:
        """Why no upload can be taken, or None."""
        return self.known.unhealthy_reason

    @property
    def warnings(self) -> list[str]:
        """What is wrong with workers, although uploads can be taken."""
        return warnings(self._known, self.known)

    def handles(self, event: str) -> bool:
        """Whether any worker has a handler, by the last report of each."""
        return event in self.known.handled

    def has_no_handler_for(self, event: str) -> bool:
        """Whether workers answer, and certainly none has a handler: it would be for nobody."""
        known = self.known
        return event not in known.handled and bool(known.live) and known.unknown is None

    def takes(self, event: str) -> bool:
        """Whether a delivery of the event can go to a worker now."""
        return event in self.known.takers or self.has_no_handler_for(event)

    def in_turn(self, path: str, event: str | None = None) -> list[str]:
        """Endpoints of the workers that answer; each call for a path begins with the next one.

        With an event that is handled, only of those that have a handler of it.
        """
        known = self.known
        able = known.takers.get(event, ()) if event in known.handled else known.live
        self._turns[path] += 1
        start = self._turns[path] % len(able) if able else 0
        return [*able[start:], *able[:start]]

    def on_ready(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever a worker begins to answer, or has another plugin set."""
        self._listeners.append(listener)

    def on_first_ready(self, listener: Callable[[], None]) -> None:
        """Call `listener` when uploads can be taken for the first time, and not again."""
        self._ready_listeners.append(listener)

    def on_lost(self, losing: Callable[[str], int]) -> None:
        """Call `losing` with the endpoint of a lost worker; it ends what is under way there.

        It gives how many exchanges these are.
        """
        self._losing.append(losing)

    async def follow(self) -> None:
        """Keep the roster true until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_around())
            for peer in self._known:
                group.create_task(self._follow(peer))

    async def _follow(self, peer: KnownWorker) -> None:
        while True:
            try:
                await self._poll(peer)
            except BaseException as error:
                if ends_the_task(error):
                    raise
                # A fault of ours, which must not end the following of the other workers.
                extra = {"action": "roster_failed"}
                logger.exception("worker %s: not followed", peer.endpoint, extra=extra)
                await self._on_unreachable(peer, error)
                await asyncio.sleep(AFTER_FAULT)

    async def _poll(self, peer: KnownWorker) -> None:
        try:
            report = await self._sender.send(peer.endpoint, self._question(peer))
        except (WorkerAway, WorkerBroke, WorkerGarbled) as error:
            await self._on_unreachable(peer, error)
            await asyncio.sleep(RECONNECT_SECONDS)
            return
        await self._on_report(peer, report)
        if report.stopping:
            await asyncio.sleep(RECONNECT_SECONDS)

    def _question(self, peer: KnownWorker) -> SignedMessage:
        # A worker that was away is asked for its word at once, not only for a change of it.
        known = peer.word.generation if peer.word and peer.healthy else ""
        body = json.dumps({"source": self._source, "known": known, "wait": POLL_SECONDS}).encode()
        return SignedMessage(
            id=new_id(),
            path=HANDLES,
            body=body,
            content_type="application/json",
            timeout=POLL_SECONDS + POLL_GRACE_SECONDS,
        )

    async def _on_report(self, peer: KnownWorker, report: Report) -> None:
        came, before = not peer.healthy, peer.word
        word = self._word(peer, report)
        if not peer.kept or not word.says_the_same(before):
            # First on disk: nothing is done on account of a report that a crash forgets.
            await self._keep(peer, word)
        peer.word, peer.has_reported, peer.healthy = word, True, not report.stopping
        peer.ended, peer.answered_at = 0, _now()
        if report.stopping:
            stops = {"action": "worker_stopping"}
            logger.info("worker %s says that it stops", peer.endpoint, extra=stops)
        elif came:
            up = {"action": "worker_up", "handles": sorted(report.handles)}
            logger.info("worker %s answers", peer.endpoint, extra=up)
        await self._settle()
        if not report.stopping and (came or not word.says_the_same(before)):
            self._notify()

    def _notify(self) -> None:
        for listener in list(self._listeners):
            _call(listener)

    def _word(self, peer: KnownWorker, report: Report) -> KeptReport:
        now = time.time()
        state = State.STOPPED if report.stopping else State.LIVE
        same = peer.word is not None and peer.word.state is state
        return KeptReport(
            endpoint=peer.endpoint,
            handles=report.handles,
            generation=report.generation,
            heard_at=now,
            state=state,
            since=peer.word.since if same and peer.word else now,
            own=self._words is not None and self._words.own,
        )

    async def _on_unreachable(self, peer: KnownWorker, error: BaseException) -> None:
        was, peer.healthy = peer.healthy, False
        ended = 0
        if _is_silent(error) and _now() - peer.answered_at >= POLL_SECONDS:
            # Its machine is gone, or its loop stands still: nothing under way there will end.
            ended = self._sender.abandon(peer.endpoint)
            ended += sum(losing(peer.endpoint) for losing in self._losing)
            peer.ended += ended
        if was or ended or isinstance(error, WorkerGarbled):
            extra = {"action": "worker_away", "ended": ended}
            text = "worker %s: %s; %d questions and deliveries under way there are ended"
            logger.warning(text, peer.endpoint, error, ended, extra=extra)
        if peer.word and peer.word.state is State.LIVE:
            away = peer.word = replace(peer.word, state=State.AWAY, since=time.time())
            self._refresh()
            peer.kept &= await self._change(lambda entries: _mark_away(entries, away))
        elif was:
            self._refresh()

    async def _settle(self) -> None:
        """Sum up, and drop the reports that count no more."""
        for word in superseded(self._known, self._former.values()):
            peer = self._peer(word.endpoint)
            if peer is not None:
                peer.word = word
                await self._keep(peer, word)
            else:
                del self._former[word.endpoint]
                self._empty.add(word.endpoint)
            extra = {"action": "worker_dropped", "endpoint": word.endpoint}
            logger.info("worker %s: its report counts no more", word.endpoint, extra=extra)
        self._refresh()

    def _refresh(self) -> None:
        self.known = KnownHandlers.of(self._known, self._former.values())
        if self._ready_listeners and self.known.unhealthy_reason is None:
            listeners, self._ready_listeners = self._ready_listeners, []
            for listener in listeners:
                _call(listener)

    def _peer(self, endpoint: str) -> KnownWorker | None:
        return next((peer for peer in self._known if peer.endpoint == endpoint), None)

    # The file of reports, which other processes write too.

    async def _keep(self, peer: KnownWorker, word: KeptReport) -> None:
        peer.kept = await self._change(lambda entries: entries.update({word.endpoint: word}))

    async def _change(self, change: Callable[[Entries], object]) -> bool:
        if self._words is None:
            return True
        try:
            await asyncio.to_thread(self._words.edit, change)
        except (BadPlace, OSError) as error:
            text = "what workers handle cannot be written down: %s"
            logger.error(text, error, extra={"action": "workers_not_kept"})
            return False
        return True

    async def _look_around(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            self._tell()
            if self._words is not None and self._words.changed:
                await self._read(self._words)
            await self._tidy()

    async def _tidy(self) -> None:
        """Take out entries of workers that are configured no more and count no more."""
        if self._empty:
            empty, self._empty = self._empty, set()
            await self._change(lambda entries: [entries.pop(name, None) for name in empty])

    async def _read(self, words: ReportFile) -> None:
        try:
            entries = await asyncio.to_thread(words.read)
        except BadPlace as error:
            logger.error("%s", error, extra={"action": "workers_not_read"})
            return
        self._adopt(entries)
        for peer in self._known:
            if peer.healthy and peer.endpoint in entries:
                await self._assert(peer, entries[peer.endpoint])
        await self._settle()
        self._notify()

    async def _assert(self, peer: KnownWorker, entry: KeptReport) -> None:
        """A worker that answers cannot be forgotten: its report is the truth."""
        if peer.word is not None and entry.dropped and not peer.word.dropped:
            await self._keep(peer, peer.word)

    def _adopt(self, entries: Entries) -> None:
        """Take over what is kept of workers that do not answer us."""
        names = {peer.endpoint for peer in self._known}
        for peer in self._known:
            if not peer.healthy and peer.kept and peer.endpoint in entries:
                peer.word = entries[peer.endpoint]
        others = {name: word for name, word in entries.items() if name not in names}
        self._former = {name: word for name, word in others.items() if not word.dropped}
        self._empty = set(others) - set(self._former)

    def _tell(self) -> None:
        wrong = [*([self.unhealthy_reason] if self.unhealthy_reason else []), *self.warnings]
        for line in self._complaints.due(wrong, _now()):
            logger.warning("%s", line, extra={"action": "workers_wrong"})


def _now() -> float:
    return asyncio.get_running_loop().time()


def _is_silent(error: BaseException) -> bool:
    """Whether nothing answered, not even to refuse or to hang up."""
    return isinstance(error, WorkerSilent) or (isinstance(error, WorkerAway) and error.silent)


def _mark_away(entries: Entries, word: KeptReport) -> None:
    """Note that a worker does not answer; another process may know a later report of it."""
    found = entries.setdefault(word.endpoint, word)
    if found.state is State.LIVE:
        entries[word.endpoint] = replace(found, state=word.state, since=word.since)


def _call(listener: Callable[[], None]) -> None:
    try:
        listener()
    except Exception:
        logger.exception("not told of a worker", extra={"action": "listener_failed"})
