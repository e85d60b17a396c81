"""Snapshot of which workers are up and which events they handle, computed at each change."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from qmonus_lite.events.envelope import PROTOCOL, UPLOADING
from qmonus_lite.events.outcome import Report
from qmonus_lite.events.report_file import KeptReport, State

#: Seconds that a problem has to last before it is logged: a change of plugins reaches the workers
#: one after the other.
LASTING = 3.0


@dataclass(kw_only=True)
class KnownWorker:
    """State of a configured worker."""

    endpoint: str
    #: Its last report, possibly to an earlier APIGW process; None if there was never one.
    word: KeptReport | None = None
    #: Whether it has answered since this APIGW started.
    has_reported: bool = False
    #: Whether its last long poll was answered, and not with `stopping`.
    healthy: bool = False
    #: Whether its current report is written to the report file.
    kept: bool = True
    #: Queries and deliveries that were aborted when it was lost.
    ended: int = 0
    #: Version of the protocol that it speaks.
    protocol: int = PROTOCOL
    #: When its last long poll was answered, by the clock of the event loop.
    answered_at: float = -math.inf


@dataclass(frozen=True, kw_only=True)
class KnownHandlers:
    """Which workers are up and which events are handled; immutable, so thread-safe to read."""

    #: Endpoints of the workers that are up; and per event those of them that have a handler.
    live: tuple[str, ...] = ()
    takers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: Events with a handler in any report that counts.
    handled: frozenset[str] = frozenset()
    #: All known reports, including those of workers that are no longer configured.
    words: tuple[KeptReport, ...] = ()
    #: Reason why events outside `handled` may have a handler all the same; None if they have none.
    unknown: str | None = "no Lambda worker has answered yet"
    #: Endpoints of configured workers that never reported.
    unheard: tuple[str, ...] = ()

    @classmethod
    def of(cls, peers: Sequence[KnownWorker], former: Collection[KeptReport]) -> "KnownHandlers":
        """Compute the snapshot from the configured workers and the reports of former ones."""
        words = (*(peer.word for peer in peers if peer.word), *former)
        live = [peer for peer in peers if peer.healthy and peer.word]
        takers: dict[str, tuple[str, ...]] = {}
        for peer in live:
            for event in peer.word.handles if peer.word else ():
                takers[event] = (*takers.get(event, ()), peer.endpoint)
        unheard = tuple(peer.endpoint for peer in peers if peer.word is None)
        return cls(
            live=tuple(peer.endpoint for peer in live),
            takers=takers,
            handled=frozenset().union(*(word.counted for word in words)),
            words=words,
            unknown=_unknown(peers, unheard),
            unheard=unheard,
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
        return any(event in word.counted for word in self.words if word.endpoint != endpoint)

    @property
    def unhealthy_reason(self) -> str | None:
        """Reason why no upload can be accepted, or None; for operators."""
        if not self.live:
            return "no Lambda worker answers"
        if UPLOADING in self.takers:
            return None
        if UPLOADING in self.handled:
            needed = [word for word in self.words if UPLOADING in word.counted]
            away = " and ".join(f"{one.endpoint} ({told(one)})" for one in needed)
            return (
                f"{UPLOADING} is handled by {away}: no upload is let in without it;"
                f" start it, or drop its report: qmonus-lite nodes forget {needed[0].endpoint}"
            )
        if self.unheard:
            name = self.unheard[0]
            return (
                f"the Lambda worker {name} has never answered, so nobody knows what it handles;"
                f" start it, take it out of --lambda_endpoints, or: qmonus-lite nodes forget {name}"
            )
        return self.unknown


def _unknown(peers: Sequence[KnownWorker], unheard: Sequence[str]) -> str | None:
    # Stored reports can only prove that an event is handled. That no other event is handled needs
    # a worker that is up: plugins may have been added while none ran.
    if not any(peer.has_reported for peer in peers):
        return "no Lambda worker has answered yet"
    return "not every Lambda worker has answered yet" if unheard else None


def superseded(peers: Sequence[KnownWorker], former: Collection[KeptReport]) -> list[KeptReport]:
    """Reports that no longer count, with `dropped` set, as they are to be stored.

    Reports of stopped workers and of workers no longer configured, if a live worker has the same
    plugin set; and reports of workers of a former `up`, if a worker of this `up` is live.
    """
    live = {peer.word.generation: peer.word for peer in peers if peer.healthy and peer.word}
    own = any(word.own for word in live.values())
    stopped = [peer.word for peer in peers if peer.word and peer.word.state is State.STOPPED]
    gone = [word for word in stopped if word.generation in live]
    gone += [word for word in former if word.generation in live or (word.own and own)]
    return [replace(word, dropped=True) for word in gone if not word.dropped]


def warnings(peers: Sequence[KnownWorker], known: KnownHandlers) -> list[str]:
    """Problems of workers that do not block uploads; for operators."""
    said = []
    for peer in peers:
        if peer.word and not peer.healthy and not peer.word.dropped:
            ended = f"; {peer.ended} questions and deliveries there were ended" * bool(peer.ended)
            said.append(f"the Lambda worker {peer.endpoint} is {told(peer.word)}{ended}")
    for event in sorted(known.handled - set(known.takers)) if known.live else ():
        names = ", ".join(word.endpoint for word in known.words if event in word.counted)
        said.append(f"{event} waits for {names}: no worker that answers has a handler of it")
    said += [_other_protocol(peer) for peer in peers if peer.healthy and peer.protocol != PROTOCOL]
    sets: dict[str, list[str]] = {}
    for word in (peer.word for peer in peers if peer.healthy and peer.word):
        sets.setdefault(word.generation, []).append(word.endpoint)
    if len(sets) > 1:
        listed = "; ".join(f"{name[:12]} at {', '.join(sets[name])}" for name in sorted(sets))
        said.append(f"Lambda workers have different plugins: {listed}")
    return said


def _other_protocol(peer: KnownWorker) -> str:
    return (
        f"the Lambda worker {peer.endpoint} speaks version {peer.protocol} of the protocol between"
        f" APIGW and workers, this APIGW version {PROTOCOL}: upgrade the older of them"
    )


class Complaints:
    """Rate limit for logged problems: each is logged once, after it has lasted LASTING seconds."""

    def __init__(self) -> None:
        #: When each problem was first seen.
        self._seen: dict[str, float] = {}
        self._logged: set[str] = set()

    def due(self, wrong: Sequence[str], now: float) -> list[str]:
        """The problems to log now."""
        self._seen = {line: self._seen.get(line, now) for line in wrong}
        self._logged &= set(wrong)
        lasting = [line for line in wrong if now - self._seen[line] >= LASTING]
        due = [line for line in lasting if line not in self._logged]
        self._logged |= set(due)
        return due


def told(word: KeptReport) -> str:
    """The state of a worker as text, with the time since when."""
    since = datetime.fromtimestamp(word.since, UTC).isoformat(timespec="seconds")
    return f"{word.state} since {since}"
