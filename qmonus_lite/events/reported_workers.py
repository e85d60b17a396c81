"""State of a worker registry: the last report of each worker, and the snapshot made of them.

A transport's registry feeds it with reports and failures. A report is valid until the next one,
also over restarts (`events.report_file`).
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from qmonus_lite.events.known_handlers import (
    KnownHandlers,
    KnownWorker,
    Problems,
    superseded,
    warnings,
)
from qmonus_lite.events.outcome import Report
from qmonus_lite.events.report_file import Entries, ReportFile, State, StoredReport
from qmonus_lite.events.stored_reports import StoredReports
from qmonus_lite.events.workers import Handled
from qmonus_lite.values import changed

logger = logging.getLogger(__name__)

#: Seconds between two checks of the report file, and of the problems to log.
CHECK_SECONDS = 0.5


class ReportedWorkers:
    """The part of `events.workers.WorkerRegistry` that all implementations share."""

    def __init__(self, endpoints: Sequence[str], reports: ReportFile | None = None) -> None:
        """Raises BadResource if the report file cannot be read."""
        self.workers = [KnownWorker(endpoint=endpoint) for endpoint in endpoints]
        #: Reports of workers that are no longer configured, by endpoint.
        self._former: Entries = {}
        #: Endpoints of obsolete entries, to be removed from the report file.
        self._obsolete: set[str] = set()
        self._stored = StoredReports(reports)
        self._listeners: list[Callable[[], None]] = []
        self._ready_listeners: list[Callable[[], None]] = []
        self._problems = Problems()
        #: Snapshot for uploads and deliveries, recomputed at each change.
        self.known = KnownHandlers()
        self._adopt(self._stored.load())
        self._refresh()

    @property
    def ready(self) -> bool:
        """Whether any worker is up."""
        return bool(self.known.live)

    @property
    def has_reported(self) -> bool:
        """Whether any worker has answered since the start."""
        return any(worker.has_reported for worker in self.workers)

    @property
    def unhealthy_reason(self) -> str | None:
        """Reason why no upload can be accepted, or None."""
        return self.known.unhealthy_reason

    @property
    def warnings(self) -> list[str]:
        """Problems of workers that do not block uploads."""
        return warnings(self.workers, self.known)

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

    async def reported(self, worker: KnownWorker, report: Report) -> None:
        """Take over the report of a worker that is up or stops."""
        came_up, before = not worker.healthy, worker.last
        last = self._kept(worker, report)
        changed = not last.is_equivalent(before)
        if changed or not worker.stored:
            # Write-ahead: a report takes effect only after it is on disk.
            await self._store(worker, last)
        worker.last, worker.has_reported, worker.healthy = last, True, not report.stopping
        worker.aborted, worker.protocol = 0, report.protocol
        if report.stopping:
            stops = {"action": "worker_stopping"}
            logger.info("worker %s says that it stops", worker.endpoint, extra=stops)
        elif came_up:
            up = {"action": "worker_up", "handles": sorted(report.handles)}
            logger.info("worker %s answers", worker.endpoint, extra=up)
        await self._settle()
        if not report.stopping and (came_up or changed):
            self._notify()

    async def unreachable(
        self, worker: KnownWorker, error: object, *, aborted: int = 0, log: bool = False
    ) -> None:
        """A worker does not answer; `aborted` exchanges with it were aborted.

        `log`: also if it was down before.
        """
        was_up, worker.healthy = worker.healthy, False
        worker.aborted += aborted
        if was_up or aborted or log:
            extra = {"action": "worker_away", "ended": aborted}
            text = "worker %s: %s; %d questions and deliveries under way there are ended"
            logger.warning(text, worker.endpoint, error, aborted, extra=extra)
        if worker.last and worker.last.state is State.LIVE:
            away = worker.last = changed(worker.last, state=State.AWAY, since=time.time())
            self._refresh()
            worker.stored &= await self._stored.edit(lambda entries: _mark_away(entries, away))
        elif was_up:
            self._refresh()

    async def watch_reports(self) -> None:
        """Take over what other processes write to the report file; log problems that last."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            self._log_problems()
            if self._stored.changed:
                await self._read()
            if self._obsolete:
                await self._remove_obsolete()

    async def _remove_obsolete(self) -> None:
        names, self._obsolete = self._obsolete, set()
        await self._stored.edit(lambda entries: [entries.pop(name, None) for name in names])

    def _kept(self, worker: KnownWorker, report: Report) -> StoredReport:
        now = time.time()
        state = State.STOPPED if report.stopping else State.LIVE
        same = worker.last is not None and worker.last.state is state
        return StoredReport(
            endpoint=worker.endpoint,
            handles=report.handles,
            generation=report.generation,
            heard_at=now,
            state=state,
            since=worker.last.since if same and worker.last else now,
            own=self._stored.own,
        )

    async def _store(self, worker: KnownWorker, report: StoredReport) -> None:
        worker.stored = await self._stored.edit(
            lambda entries: entries.update({report.endpoint: report})
        )

    async def _settle(self) -> None:
        """Drop the superseded reports and recompute the snapshot."""
        for report in superseded(self.workers, self._former.values()):
            worker = self._worker(report.endpoint)
            if worker is not None:
                worker.last = report
                await self._store(worker, report)
            else:
                del self._former[report.endpoint]
                self._obsolete.add(report.endpoint)
            extra = {"action": "worker_dropped", "endpoint": report.endpoint}
            logger.info("worker %s: its report counts no more", report.endpoint, extra=extra)
        self._refresh()

    def _refresh(self) -> None:
        self.known = KnownHandlers.of(self.workers, self._former.values())
        if self._ready_listeners and self.known.unhealthy_reason is None:
            listeners, self._ready_listeners = self._ready_listeners, []
            for listener in listeners:
                _call(listener)

    def _notify(self) -> None:
        for listener in list(self._listeners):
            _call(listener)

    def _worker(self, endpoint: str) -> KnownWorker | None:
        return next((worker for worker in self.workers if worker.endpoint == endpoint), None)

    async def _read(self) -> None:
        entries = await self._stored.read()
        if entries is None:
            return
        self._adopt(entries)
        for worker in self.workers:
            if worker.healthy and worker.endpoint in entries:
                await self._assert(worker, entries[worker.endpoint])
        await self._settle()
        self._notify()

    async def _assert(self, worker: KnownWorker, entry: StoredReport) -> None:
        """Undo an external drop of a worker that is up: its live report has precedence."""
        if worker.last is not None and entry.dropped and not worker.last.dropped:
            await self._store(worker, worker.last)

    def _adopt(self, entries: Entries) -> None:
        """Load the stored reports of workers that are not up."""
        names = {worker.endpoint for worker in self.workers}
        for worker in self.workers:
            if not worker.healthy and worker.stored and worker.endpoint in entries:
                worker.last = entries[worker.endpoint]
        others = {name: report for name, report in entries.items() if name not in names}
        self._former = {name: report for name, report in others.items() if not report.dropped}
        self._obsolete = set(others) - set(self._former)

    def _log_problems(self) -> None:
        wrong = [*([self.unhealthy_reason] if self.unhealthy_reason else []), *self.warnings]
        for line in self._problems.due(wrong, asyncio.get_running_loop().time()):
            logger.warning("%s", line, extra={"action": "workers_wrong"})


def _mark_away(entries: Entries, report: StoredReport) -> None:
    """Set the state to away; keeps `handles`, which another process may have updated."""
    found = entries.setdefault(report.endpoint, report)
    if found.state is State.LIVE:
        entries[report.endpoint] = changed(found, state=report.state, since=report.since)


def _call(listener: Callable[[], None]) -> None:
    try:
        listener()
    except Exception:
        extra = {"action": "listener_failed"}
        logger.exception("a listener of the worker registry failed", extra=extra)
