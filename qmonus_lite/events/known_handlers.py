"""Snapshot of which workers are up and which events they handle, computed at each change."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from qmonus_lite.events.envelope import PROTOCOL, UPLOADING
from qmonus_lite.events.outcome import Report
from qmonus_lite.events.report_file import State, StoredReport
from qmonus_lite.values import Value, changed

#: Seconds that a problem has to last before it is logged: a change of plugins reaches the workers
#: one after the other.
MIN_PROBLEM_SECONDS = 3.0


@dataclass(kw_only=True)
class KnownWorker:
    """State of a configured worker."""

    endpoint: str
    #: Its last report, possibly to an earlier APIGW process; None if there was never one.
    last: StoredReport | None = None
    #: Whether it has answered since this APIGW started.
    has_reported: bool = False
    #: Whether its last long poll was answered, and not with `stopping`.
    healthy: bool = False
    #: Whether its current report is written to the report file.
    stored: bool = True
    #: Queries and deliveries that were aborted when it was lost.
    aborted: int = 0
    #: Version of the protocol that it speaks.
    protocol: int = PROTOCOL


class KnownHandlers(Value, frozen=True, kw_only=True):
    """Which workers are up and which events are handled; immutable, so thread-safe to read."""

    #: Endpoints of the workers that are up; and per event those of them that have a handler.
    live: tuple[str, ...] = ()
    takers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: Events with a handler in any report that counts.
    handled: frozenset[str] = frozenset()
    #: All known reports, including those of workers that are no longer configured.
    reports: tuple[StoredReport, ...] = ()
    #: Reason why events outside `handled` may have a handler all the same; None if they have none.
    unknown: str | None = "no Lambda worker has answered yet"
    #: Endpoints of configured workers that never reported.
    never_reported: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, workers: Sequence[KnownWorker], former: Collection[StoredReport]
    ) -> "KnownHandlers":
        """Compute the snapshot from the configured workers and the reports of former ones."""
        reports = (*(worker.last for worker in workers if worker.last), *former)
        live = [worker for worker in workers if worker.healthy and worker.last]
        takers: dict[str, tuple[str, ...]] = {}
        for worker in live:
            for event in worker.last.handles if worker.last else ():
                takers[event] = (*takers.get(event, ()), worker.endpoint)
        never_reported = tuple(worker.endpoint for worker in workers if worker.last is None)
        return cls(
            live=tuple(worker.endpoint for worker in live),
            takers=takers,
            handled=frozenset().union(*(report.counted for report in reports)),
            reports=reports,
            unknown=_unknown(workers, never_reported),
            never_reported=never_reported,
        )

    def able(self, event: str) -> tuple[str, ...]:
        """Workers that are up and may be sent an event: for one that is handled, its takers."""
        return self.takers.get(event, ()) if event in self.handled else self.live

    def is_open(self, event: str, endpoint: str, report: Report) -> bool:
        """Whether a worker may have a handler of an event for which `endpoint` ran none.

        `report` is the answer of `endpoint`; for the other workers the last report counts.
        """
        if event in report.handles or self.unknown is not None:
            return True
        return any(event in other.counted for other in self.reports if other.endpoint != endpoint)

    @property
    def unhealthy_reason(self) -> str | None:
        """Reason why no upload can be accepted, or None; for operators."""
        if not self.live:
            return "no Lambda worker answers"
        if UPLOADING in self.takers:
            return None
        if UPLOADING in self.handled:
            needed = [report for report in self.reports if UPLOADING in report.counted]
            away = " and ".join(f"{report.endpoint} ({state_text(report)})" for report in needed)
            return (
                f"{UPLOADING} is handled by {away}: no upload is let in without it;"
                f" start it, or drop its report: qmonus-lite nodes forget {needed[0].endpoint}"
            )
        if self.never_reported:
            name = self.never_reported[0]
            return (
                f"the Lambda worker {name} has never answered, so nobody knows what it handles;"
                f" start it, take it out of --lambda_endpoints, or: qmonus-lite nodes forget {name}"
            )
        return self.unknown


def _unknown(workers: Sequence[KnownWorker], never_reported: Sequence[str]) -> str | None:
    # Stored reports can only prove that an event is handled. That no other event is handled needs
    # a worker that is up: plugins may have been added while none ran.
    if not any(worker.has_reported for worker in workers):
        return "no Lambda worker has answered yet"
    return "not every Lambda worker has answered yet" if never_reported else None


def superseded(
    workers: Sequence[KnownWorker], former: Collection[StoredReport]
) -> list[StoredReport]:
    """Reports that no longer count, with `dropped` set, as they are to be stored.

    Reports of stopped workers and of workers no longer configured, if a live worker has the same
    plugin set; and reports of workers of a former `up`, if a worker of this `up` is live.
    """
    live = {report.generation: report for report in _live_reports(workers)}
    own = any(report.own for report in live.values())
    last = [worker.last for worker in workers if worker.last]
    stopped = [report for report in last if report.state is State.STOPPED]
    gone = [report for report in stopped if report.generation in live]
    gone += [report for report in former if report.generation in live or (report.own and own)]
    return [changed(report, dropped=True) for report in gone if not report.dropped]


def warnings(workers: Sequence[KnownWorker], known: KnownHandlers) -> list[str]:
    """Problems of workers that do not block uploads; for operators."""
    found = []
    for worker in workers:
        if worker.last and not worker.healthy and not worker.last.dropped:
            aborted = f"; {worker.aborted} questions and deliveries there were ended"
            text = f"the Lambda worker {worker.endpoint} is {state_text(worker.last)}"
            found.append(text + aborted * bool(worker.aborted))
    for event in sorted(known.handled - set(known.takers)) if known.live else ():
        names = ", ".join(report.endpoint for report in known.reports if event in report.counted)
        found.append(f"{event} waits for {names}: no worker that answers has a handler of it")
    found += [_other_protocol(worker) for worker in workers if worker.protocol != PROTOCOL]
    sets: dict[str, list[str]] = {}
    for report in _live_reports(workers):
        sets.setdefault(report.generation, []).append(report.endpoint)
    if len(sets) > 1:
        listed = "; ".join(f"{name[:12]} at {', '.join(sets[name])}" for name in sorted(sets))
        found.append(f"Lambda workers have different plugins: {listed}")
    return found


def _live_reports(workers: Sequence[KnownWorker]) -> list[StoredReport]:
    return [worker.last for worker in workers if worker.healthy and worker.last]


def _other_protocol(worker: KnownWorker) -> str:
    return (
        f"the Lambda worker {worker.endpoint} speaks version {worker.protocol} of the protocol"
        f" between APIGW and workers, this APIGW version {PROTOCOL}: upgrade the older of them"
    )


class Problems:
    """Rate limit for logged problems: each is logged once, after MIN_PROBLEM_SECONDS."""

    def __init__(self) -> None:
        #: When each problem was first seen.
        self._seen: dict[str, float] = {}
        self._logged: set[str] = set()

    def due(self, wrong: Sequence[str], now: float) -> list[str]:
        """The problems to log now."""
        self._seen = {line: self._seen.get(line, now) for line in wrong}
        self._logged &= set(wrong)
        old = [line for line in wrong if now - self._seen[line] >= MIN_PROBLEM_SECONDS]
        due = [line for line in old if line not in self._logged]
        self._logged |= set(due)
        return due


def state_text(report: StoredReport) -> str:
    """The state of a worker as text, with the time since when."""
    since = datetime.fromtimestamp(report.since, UTC).isoformat(timespec="seconds")
    return f"{report.state} since {since}"
