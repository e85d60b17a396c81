"""The outbox: promised events, written down before the client gets its answer.

States of a row: `prepared` (the file may or may not be in place, or its event went straight from
its commit to a worker), `ready` (to be delivered), `dead` (given up, kept); a delivered event has
no row. The statements stand in `outbox.sql`.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from qmonus_lite import strictjson
from qmonus_lite.events.database import Database, DatabaseFailed, Synchronous, statements
from qmonus_lite.events.event_redaction import redact_event


@dataclass(frozen=True, kw_only=True)
class PendingEvent:
    """An event to be delivered once the file of its upload is in place."""

    id: str
    type: str
    #: Stored path; events of one path keep their order.
    path: str
    time: datetime
    #: JSON of what handlers see.
    data: str
    #: Where the file is staged, and where it goes.
    staged: str
    final: str
    #: Of the request that stored the file; empty for one of an older version.
    request_id: str = ""


@dataclass(frozen=True, kw_only=True)
class InDoubt:
    """A promise that a crash left between its row and its file."""

    id: str
    staged: Path
    final: Path


@dataclass(frozen=True, kw_only=True)
class ClaimedEvent:
    """An event whose delivery is due."""

    #: Counts the promises of this outbox, in the order of their commits.
    seq: int
    id: str
    type: str
    path: str
    time: datetime
    #: JSON of what handlers see.
    data: str
    #: Number of this delivery, from 1.
    attempt: int
    #: Seconds since the epoch from which its age counts.
    since: float
    #: Of the request that stored the file, or empty.
    request_id: str = ""
    #: Whether it came straight from its commit, without being claimed.
    direct: bool = False


@dataclass(frozen=True, kw_only=True)
class Types:
    """Names of events that can be delivered now, or (not `only`) that cannot."""

    names: frozenset[str] = frozenset()
    only: bool = False


EVERY_TYPE = Types()


@dataclass(frozen=True, kw_only=True)
class EventEntry:
    """One event of the outbox, for people."""

    seq: int
    id: str
    type: str
    path: str
    time: str
    #: `prepared`, `ready`, `sending` or `dead`.
    state: str
    attempt: int
    #: Seconds since the epoch before which it is left alone.
    next_at: float
    #: Why the last delivery failed.
    reason: str


class Outbox:
    """The promised events of one APIGW."""

    def __init__(self, path: Path, synchronous: Synchronous = "FULL") -> None:
        """Open or make the database; raises BadPlace."""
        self._database = Database(path, statements("outbox.sql"), synchronous)

    def prepare(self, promises: Sequence[PendingEvent]) -> list[int | DatabaseFailed]:
        """Write promises down; blocks until they are. The seq of each, or why it is not there."""
        return self._database.add("prepare", [_row(event) for event in promises])

    def ready(self, event_id: str, *, attempt: int = 0) -> "Future[int]":
        """The file is in place: let the event go, with `attempt` deliveries that it may have had.

        Lazy: a restart finds the same out by itself.
        """
        return self._database.change("ready", {"id": event_id, "attempt": attempt}, lazy=True)

    def withdraw(self, event_id: str) -> "Future[int]":
        """The file did not come into place: forget the event."""
        return self._database.change("withdraw", {"id": event_id})

    def restage(self, event_id: str, staged: str) -> "Future[int]":
        """The file is staged in another place now, from which it is going to be renamed."""
        return self._database.change("restage", {"id": event_id, "staged": staged})

    def prepared(self) -> list[InDoubt]:
        """The promises that a crash left undecided."""
        rows = self._database.rows("prepared", {}).result()
        return [InDoubt(id=row[0], staged=Path(row[1]), final=Path(row[2])) for row in rows]

    def waiting(self, most: int) -> tuple[list[tuple[str, str]], int]:
        """Path and id of the first `most` events that are to be delivered, and how many more."""
        rows = self._database.rows("waiting", {"limit": most}).result()
        [(count,)] = self._database.rows("count_waiting", {}).result()
        return [(path, id_) for path, id_ in rows], count - len(rows)

    def release(self) -> None:
        """Take back the leases of an APIGW that is no more."""
        self._database.change("release", {}).result()

    def claim(
        self, now: float, *, lease: float, limit: int, types: Types = EVERY_TYPE
    ) -> "Future[list[tuple[Any, ...]]]":
        """Lease due events until `lease`, at most one a path; `due_events` reads the rows."""
        row = {
            "now": now,
            "lease": lease,
            "limit": limit,
            "types": strictjson.write(sorted(types.names)),
            "listed": int(types.only),
        }
        return self._database.rows("claim", row)

    def lease(self, event_id: str, lease: float) -> "Future[int]":
        """An event that went straight to a worker is still there: show it as any other."""
        return self._database.change("lease", {"id": event_id, "lease": lease}, lazy=True)

    def next_due(self, now: float) -> "Future[list[tuple[Any, ...]]]":
        """One row: seconds since the epoch at which the next event falls due, or None."""
        return self._database.rows("next_due", {"now": now})

    def done(self, event_ids: Sequence[str]) -> "Future[int]":
        """Delivered. Lazy: forgotten in a crash, they are delivered again under the same ids."""
        return self._database.change("done", {"ids": strictjson.write(event_ids)}, lazy=True)

    def retry(self, event_id: str, attempt: int, next_at: float, reason: str) -> "Future[int]":
        """Not delivered: try again at `next_at`; `attempt` deliveries count so far."""
        row = {"id": event_id, "attempt": attempt, "next_at": next_at, "reason": reason}
        return self._database.change("retry", row, lazy=True)

    def dead(self, event_id: str, attempt: int, reason: str) -> "Future[int]":
        """Not delivered in `attempt` deliveries, and not to be tried again: a dead letter."""
        row = {"id": event_id, "attempt": attempt, "reason": reason}
        return self._database.change("dead", row, lazy=True)

    def replay(self, event_id: str, now: float) -> "Future[int]":
        """Deliver a dead letter after all; gives 0 when there is none of that id."""
        return self._database.change("replay", {"id": event_id, "now": now})

    def listing(self, state: str, limit: int) -> "Future[list[tuple[Any, ...]]]":
        """Rows for `entry`, oldest first; an empty `state` means all."""
        return self._database.rows("listing", {"state": state, "limit": limit})

    def one(self, event_id: str) -> "Future[list[tuple[Any, ...]]]":
        """The row for `entry` of this id, with its data behind, or none."""
        return self._database.rows("one", {"id": event_id})

    def counts(self) -> "Future[list[tuple[Any, ...]]]":
        """Rows of state and number."""
        return self._database.rows("counts", {})

    @property
    def unhealthy_reason(self) -> str | None:
        """Why no event can be promised now, or None.

        While the last write failed, asking tries another one, so that the end is noticed.
        """
        if self._database.failing:
            self._database.probe()
            return "the outbox cannot write; see the log"
        return None

    def close(self) -> None:
        """Finish what was asked and close the database."""
        self._database.close()


def direct(seq: int, event: PendingEvent) -> ClaimedEvent:
    """A promise that is kept without a way through the database."""
    return ClaimedEvent(
        seq=seq,
        id=event.id,
        type=event.type,
        path=event.path,
        time=event.time,
        data=event.data,
        attempt=1,
        since=event.time.timestamp(),
        request_id=event.request_id,
        direct=True,
    )


def claimed_events(rows: list[tuple[Any, ...]]) -> list[ClaimedEvent]:
    """Claimed rows as values, in the order of their promises."""
    return [
        ClaimedEvent(
            seq=seq,
            id=id_,
            type=type_,
            path=path,
            time=datetime.fromisoformat(time),
            data=data,
            attempt=attempt,
            since=since,
            request_id=request_id,
        )
        for seq, id_, type_, path, time, data, attempt, since, request_id in sorted(rows)
    ]


def detail(row: tuple[Any, ...]) -> dict[str, Any]:
    """A row of `one` with the event as people may see it."""
    return {**asdict(entry(row)), "event": redact_event(strictjson.read(row[10].encode()))}


def entry(row: tuple[Any, ...]) -> EventEntry:
    """A row of `listing` or `one` as a value."""
    seq, id_, type_, path, time, state, attempt, next_at, leased, reason = row[:10]
    return EventEntry(
        seq=seq,
        id=id_,
        type=type_,
        path=path,
        time=time,
        state="sending" if leased and state == "ready" else state,
        attempt=attempt,
        next_at=next_at,
        reason=reason,
    )


def _row(event: PendingEvent) -> dict[str, Any]:
    return {
        "id": event.id,
        "type": event.type,
        "path": event.path,
        "time": event.time.isoformat(),
        "data": event.data,
        "staged": event.staged,
        "final": event.final,
        "since": event.time.timestamp(),
        "request_id": event.request_id,
    }
