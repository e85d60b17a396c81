"""Worker registry: which workers are up, and for which events they report handlers.

APIGW keeps a long poll open at every worker: the response is sent when the worker's plugins change
or after `POLL_SECONDS`, and a broken connection shows at once that the worker is down. A report is
valid until the next one, also over restarts (`events.report_file`).
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from qmonus_lite.background import ends_the_task
from qmonus_lite.errors import BadPlace
from qmonus_lite.events.envelope import PROTOCOL
from qmonus_lite.events.known_handlers import (
    Complaints,
    KnownHandlers,
    KnownWorker,
    superseded,
    warnings,
)
from qmonus_lite.events.outcome import Report
from qmonus_lite.events.report_file import Entries, KeptReport, ReportFile, State
from qmonus_lite.events.workers import Handled
from qmonus_lite.ids import new_id
from qmonus_lite.transports.http.client import ConnectFailed, ExchangeFailed, InvalidReply
from qmonus_lite.transports.http.signed_client import (
    HANDLES,
    ExchangeTimedOut,
    SignedClient,
    SignedMessage,
)

logger = logging.getLogger(__name__)

#: Seconds that a worker holds the long poll, and additional grace period: a worker that does not
#: respond within their sum is considered lost, and exchanges in progress with it are aborted.
POLL_SECONDS, POLL_GRACE_SECONDS = 10.0, 5.0
#: Seconds between two attempts to reach a worker that is down.
RECONNECT_SECONDS = 0.25
#: Seconds between two checks of the report file.
LOOK = 0.5
#: Seconds to wait after an unexpected exception, which is logged each time.
AFTER_FAULT = 5.0


class HttpWorkerRegistry:
    """Implements `events.workers.WorkerRegistry`: all workers of one APIGW, by long polls."""

    def __init__(
        self,
        endpoints: Sequence[str],
        sender: SignedClient,
        source: str,
        words: ReportFile | None = None,
    ) -> None:
        """Raises BadPlace if the report file cannot be read."""
        self._known = [KnownWorker(endpoint=endpoint) for endpoint in endpoints]
        #: Reports of workers that are no longer configured, by endpoint.
        self._former: Entries = {}
        self._sender = sender
        self._source = source
        self._words = words
        self._listeners: list[Callable[[], None]] = []
        self._ready_listeners: list[Callable[[], None]] = []
        self._losing: list[Callable[[str], int]] = []
        #: Endpoints of obsolete entries, to be removed from the report file.
        self._empty: set[str] = set()
        self._complaints = Complaints()
        #: Snapshot for uploads and deliveries, recomputed at each change.
        self.known = KnownHandlers()
        if words is not None:
            self._adopt(words.read())
        self._refresh()

    @property
    def ready(self) -> bool:
        """Whether any worker is up."""
        return bool(self.known.live)

    @property
    def has_reported(self) -> bool:
        """Whether any worker has answered since the start."""
        return any(peer.has_reported for peer in self._known)

    @property
    def unhealthy_reason(self) -> str | None:
        """Reason why no upload can be accepted, or None."""
        return self.known.unhealthy_reason

    @property
    def warnings(self) -> list[str]:
        """Problems of workers that do not block uploads."""
        return warnings(self._known, self.known)

    def handled(self, event: str) -> Handled:
        """Whether any worker has a handler, according to the last report of each."""
        known = self.known
        if event in known.handled:
            return Handled.HANDLED
        return Handled.NOT_HANDLED if known.unknown is None else Handled.UNKNOWN

    def has_no_handler_for(self, event: str) -> bool:
        """Whether at least one worker is up and it is certain that none has a handler."""
        known = self.known
        return event not in known.handled and bool(known.live) and known.unknown is None

    def takes(self, event: str) -> bool:
        """Whether the event can be delivered now."""
        return event in self.known.takers or self.has_no_handler_for(event)

    def on_ready(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever a worker comes up or its plugin set changes."""
        self._listeners.append(listener)

    def on_first_ready(self, listener: Callable[[], None]) -> None:
        """Call `listener` once, when uploads can be accepted for the first time."""
        self._ready_listeners.append(listener)

    def on_lost(self, losing: Callable[[str], int]) -> None:
        """Call `losing` with the endpoint of a lost worker, to abort exchanges in progress.

        It returns the number of aborted exchanges.
        """
        self._losing.append(losing)

    async def follow(self) -> None:
        """Poll all workers and the report file until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_around())
            for peer in self._known:
                group.create_task(self._follow(peer))

    async def close(self) -> None:
        """Close the connections to the workers."""
        await self._sender.close()

    async def _follow(self, peer: KnownWorker) -> None:
        while True:
            try:
                await self._poll(peer)
            except BaseException as error:
                if ends_the_task(error):
                    raise
                # A bug: it must not end the polling of the other workers.
                extra = {"action": "worker_poll_failed"}
                logger.exception("worker %s: not followed", peer.endpoint, extra=extra)
                await self._on_unreachable(peer, error)
                await asyncio.sleep(AFTER_FAULT)

    async def _poll(self, peer: KnownWorker) -> None:
        try:
            report = await self._sender.send(peer.endpoint, self._question(peer))
        except (ConnectFailed, ExchangeFailed, InvalidReply) as error:
            await self._on_unreachable(peer, error)
            await asyncio.sleep(RECONNECT_SECONDS)
            return
        await self._on_report(peer, report)
        if report.stopping:
            await asyncio.sleep(RECONNECT_SECONDS)

    def _question(self, peer: KnownWorker) -> SignedMessage:
        # Without a known generation, the worker responds at once instead of at the next change.
        known = peer.word.generation if peer.word and peer.healthy else ""
        body = json.dumps(
            {"source": self._source, "known": known, "wait": POLL_SECONDS, "protocol": PROTOCOL}
        ).encode()
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
            # Write-ahead: a report takes effect only after it is on disk.
            await self._keep(peer, word)
        peer.word, peer.has_reported, peer.healthy = word, True, not report.stopping
        peer.ended, peer.answered_at, peer.protocol = 0, _now(), report.protocol
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
            # Its host is down or its event loop hangs: exchanges in progress would never end.
            ended = self._sender.abandon(peer.endpoint)
            ended += sum(losing(peer.endpoint) for losing in self._losing)
            peer.ended += ended
        if was or ended or isinstance(error, InvalidReply):
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
        """Drop the superseded reports and recompute the snapshot."""
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

    # The report file, which other processes write too.

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
        """Remove obsolete entries of workers that are no longer configured."""
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
        """Undo an external drop of a worker that is up: its live report has precedence."""
        if peer.word is not None and entry.dropped and not peer.word.dropped:
            await self._keep(peer, peer.word)

    def _adopt(self, entries: Entries) -> None:
        """Load the stored reports of workers that are not up."""
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
    """Whether there was no reply at all, not even a refused or closed connection."""
    return isinstance(error, ExchangeTimedOut) or (
        isinstance(error, ConnectFailed) and error.silent
    )


def _mark_away(entries: Entries, word: KeptReport) -> None:
    """Set the state to away; keeps `handles`, which another process may have updated."""
    found = entries.setdefault(word.endpoint, word)
    if found.state is State.LIVE:
        entries[word.endpoint] = replace(found, state=word.state, since=word.since)


def _call(listener: Callable[[], None]) -> None:
    try:
        listener()
    except Exception:
        logger.exception("not told of a worker", extra={"action": "listener_failed"})
