"""What is known of the workers, summed up once for all the uploads that ask for it."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from qmonus_lite.events.envelope import UPLOADING
from qmonus_lite.events.outcome import Report
from qmonus_lite.events.report_file import KeptReport, State

#: Seconds for which something is wrong before it is logged: a change of plugins reaches the workers
#: one after the other.
LASTING = 3.0


@dataclass(kw_only=True)
class KnownWorker:
    """One worker that is configured."""

    endpoint: str
    #: Its last report, maybe to an APIGW before this one; None when there was never one.
    word: KeptReport | None = None
    #: Whether it answered since this APIGW started.
    has_reported: bool = False
    #: Whether its last long poll was answered, and not by the word that it stops.
    healthy: bool = False
    #: Whether its report stands in the data directory as it is here.
    kept: bool = True
    #: Questions and deliveries that were ended when it was lost.
    ended: int = 0
    #: When its last long poll was answered, on the clock of the loop.
    answered_at: float = -math.inf


@dataclass(frozen=True, kw_only=True)
class KnownHandlers:
    """Whom to ask, and what may be taken for granted; frozen, so any thread may read it."""

    #: Endpoints of workers that answer, and of those by event that have a handler of it.
    live: tuple[str, ...] = ()
    takers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: Events that any known report handles.
    handled: frozenset[str] = frozenset()
    #: All reports that count, also of workers that are configured no more.
    words: tuple[KeptReport, ...] = ()
    #: Why an event that no report handles may be handled all the same; None when it is not.
    unknown: str | None = "no Lambda worker has answered yet"
    #: Configured workers that never reported.
    unheard: tuple[str, ...] = ()

    @classmethod
    def of(cls, peers: Sequence[KnownWorker], former: Collection[KeptReport]) -> "KnownHandlers":
        """Sum up."""
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

    def is_open(self, event: str, endpoint: str, report: Report) -> bool:
        """Whether a worker may handle an event that `endpoint` ran no handler of.

        Its answer says what it handles now; for the others the last report of each counts.
        """
        if event in report.handles or self.unknown is not None:
            return True
        return any(event in word.counted for word in self.words if word.endpoint != endpoint)

    @property
    def unhealthy_reason(self) -> str | None:
        """Why no upload can be taken, or None; for operators."""
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
    # What was kept may add to what is handled. That nothing else is needs somebody who says so
    # now: plugins may have been added while nothing ran.
    if not any(peer.has_reported for peer in peers):
        return "no Lambda worker has answered yet"
    return "not every Lambda worker has answered yet" if unheard else None


def superseded(peers: Sequence[KnownWorker], former: Collection[KeptReport]) -> list[KeptReport]:
    """Reports that count no more, as they are to be kept.

    Of a worker that said that it stops, and of one that is configured no more, when a live worker
    has the same plugin set; of one that a former `up` started elsewhere, when one of ours answers.
    """
    live = {peer.word.generation: peer.word for peer in peers if peer.healthy and peer.word}
    own = any(word.own for word in live.values())
    stopped = [peer.word for peer in peers if peer.word and peer.word.state is State.STOPPED]
    gone = [word for word in stopped if word.generation in live]
    gone += [word for word in former if word.generation in live or (word.own and own)]
    return [replace(word, dropped=True) for word in gone if not word.dropped]


def warnings(peers: Sequence[KnownWorker], known: KnownHandlers) -> list[str]:
    """What is wrong with workers, although uploads may go on; for operators."""
    said = []
    for peer in peers:
        if peer.word and not peer.healthy and not peer.word.dropped:
            ended = f"; {peer.ended} questions and deliveries there were ended" * bool(peer.ended)
            said.append(f"the Lambda worker {peer.endpoint} is {told(peer.word)}{ended}")
    for event in sorted(known.handled - set(known.takers)) if known.live else ():
        names = ", ".join(word.endpoint for word in known.words if event in word.counted)
        said.append(f"{event} waits for {names}: no worker that answers has a handler of it")
    sets: dict[str, list[str]] = {}
    for word in (peer.word for peer in peers if peer.healthy and peer.word):
        sets.setdefault(word.generation, []).append(word.endpoint)
    if len(sets) > 1:
        listed = "; ".join(f"{name[:12]} at {', '.join(sets[name])}" for name in sorted(sets))
        said.append(f"Lambda workers have different plugins: {listed}")
    return said


class Complaints:
    """What is wrong and not yet logged: each once, when it lasts."""

    def __init__(self) -> None:
        #: When each was first seen.
        self._seen: dict[str, float] = {}
        self._logged: set[str] = set()

    def due(self, wrong: Sequence[str], now: float) -> list[str]:
        """Those of them that are to be logged now."""
        self._seen = {line: self._seen.get(line, now) for line in wrong}
        self._logged &= set(wrong)
        lasting = [line for line in wrong if now - self._seen[line] >= LASTING]
        due = [line for line in lasting if line not in self._logged]
        self._logged |= set(due)
        return due


def told(word: KeptReport) -> str:
    """The state of a worker in words."""
    since = datetime.fromtimestamp(word.since, UTC).isoformat(timespec="seconds")
    return f"{word.state} since {since}"
