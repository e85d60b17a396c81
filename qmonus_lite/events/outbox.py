"""Transactional outbox: pending events, committed before the client gets its response.

States of a row: `prepared` (the file may or may not be in place, or its event is in direct
delivery), `ready` (to be delivered), `dead` (dead letter, kept); a delivered event has no row. The
statements are in `outbox.sql`.
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
    """An event that is to be delivered once the file of its upload is in place."""

    id: str
    type: str
    #: Stored path; events of one path are delivered in order.
    path: str
    time: datetime
    #: The event that handlers get, as JSON.
    data: str
    #: Token of the pending upload, for `UploadStore.outcome`, and where the file will be.
    token: str
    final: str
    #: Id of the request that stored the file; empty for events of an older version.
    request_id: str = ""


@dataclass(frozen=True, kw_only=True)
class InDoubt:
    """An in-doubt event: a crash happened between the commit of its row and the publication."""

    id: str
    #: Token of the pending upload, for `UploadStore.outcome`.
    token: str


@dataclass(frozen=True, kw_only=True)
class ClaimedEvent:
    """An event that is leased for delivery, or in direct delivery."""

    #: Sequence number in this outbox, in commit order.
    seq: int
    id: str
    type: str
    path: str
    time: datetime
    #: The event that handlers get, as JSON.
    data: str
    #: Number of this delivery attempt, from 1.
    attempt: int
    #: Start of its age, in seconds since the epoch.
    since: float
    #: Id of the request that stored the file, or empty.
    request_id: str = ""
    #: Whether it is in direct delivery, without having been claimed.
    direct: bool = False


@dataclass(frozen=True, kw_only=True)
class Types:
    """Filter by event name: include only these (`only`), or exclude them."""

    names: frozenset[str] = frozenset()
    only: bool = False


EVERY_TYPE = Types()


@dataclass(frozen=True, kw_only=True)
class EventEntry:
    """One event of the outbox, for display."""

    seq: int
    id: str
    type: str
    path: str
    time: str
    #: `prepared`, `ready`, `sending` or `dead`.
    state: str
    attempt: int
    #: Earliest time of the next attempt, in seconds since the epoch.
    next_at: float
    #: Why the last delivery failed.
    reason: str


class Outbox:
    """The pending events and dead letters of one APIGW."""

    def __init__(self, path: Path, synchronous: Synchronous = "FULL") -> None:
        """Open or create the database; raises BadPlace."""
        self._database = Database(path, statements("outbox.sql"), synchronous)

    def prepare(self, promises: Sequence[PendingEvent]) -> list[int | DatabaseFailed]:
        """Insert pending events; blocks until committed. The seq or the error of each."""
        return self._database.add("prepare", [_row(event) for event in promises])

    def ready(self, event_id: str, *, attempt: int = 0) -> "Future[int]":
        """Make an event deliverable after its file is in place; `attempt` counts past deliveries.

        Lazy: after a crash, recovery finds the file in place and does the same.
        """
        return self._database.change("ready", {"id": event_id, "attempt": attempt}, lazy=True)

    def withdraw(self, event_id: str) -> "Future[int]":
        """Delete a prepared event whose file was not put in place."""
        return self._database.change("withdraw", {"id": event_id})

    def restage(self, event_id: str, token: str) -> "Future[int]":
        """Record a new token of the upload, which is going to be published under it."""
        return self._database.change("restage", {"id": event_id, "staged": token})

    def prepared(self) -> list[InDoubt]:
        """The in-doubt events that a crash left."""
        rows = self._database.rows("prepared", {}).result()
        return [InDoubt(id=row[0], token=_token(*row[1:])) for row in rows]

    def waiting(self, most: int) -> tuple[list[tuple[str, str]], int]:
        """Path and id of the first `most` events to be delivered, and the number of others."""
        rows = self._database.rows("waiting", {"limit": most}).result()
        [(count,)] = self._database.rows("count_waiting", {}).result()
        return [(path, id_) for path, id_ in rows], count - len(rows)

    def release(self) -> None:
        """Release the leases of an earlier APIGW process."""
        self._database.change("release", {}).result()

    def claim(
        self, now: float, *, lease: float, limit: int, types: Types = EVERY_TYPE
    ) -> "Future[list[tuple[Any, ...]]]":
        """Lease due events until `lease`, at most one per path; rows for `claimed_events`."""
        row = {
            "now": now,
            "lease": lease,
            "limit": limit,
            "types": strictjson.write(sorted(types.names)),
            "listed": int(types.only),
        }
        return self._database.rows("claim", row)

    def lease(self, event_id: str, lease: float) -> "Future[int]":
        """Lease an event that is in direct delivery, so that it is listed as `sending`."""
        return self._database.change("lease", {"id": event_id, "lease": lease}, lazy=True)

    def next_due(self, now: float) -> "Future[list[tuple[Any, ...]]]":
        """One row: due time of the next event in seconds since the epoch, or None."""
        return self._database.rows("next_due", {"now": now})

    def done(self, event_ids: Sequence[str]) -> "Future[int]":
        """Delete delivered events. Lazy: after a crash they are redelivered with the same ids."""
        return self._database.change("done", {"ids": strictjson.write(event_ids)}, lazy=True)

    def retry(self, event_id: str, attempt: int, next_at: float, reason: str) -> "Future[int]":
        """Schedule the next attempt at `next_at`, after `attempt` attempts so far."""
        row = {"id": event_id, "attempt": attempt, "next_at": next_at, "reason": reason}
        return self._database.change("retry", row, lazy=True)

    def dead(self, event_id: str, attempt: int, reason: str) -> "Future[int]":
        """Make an event a dead letter after `attempt` attempts; it is not retried."""
        row = {"id": event_id, "attempt": attempt, "reason": reason}
        return self._database.change("dead", row, lazy=True)

    def replay(self, event_id: str, now: float) -> "Future[int]":
        """Requeue a dead letter for delivery; gives 0 if there is none with that id."""
        return self._database.change("replay", {"id": event_id, "now": now})

    def listing(self, state: str, limit: int) -> "Future[list[tuple[Any, ...]]]":
        """Rows for `entry`, oldest first; an empty `state` means all."""
        return self._database.rows("listing", {"state": state, "limit": limit})

    def one(self, event_id: str) -> "Future[list[tuple[Any, ...]]]":
        """The row for `detail` of this id, with the data as last column, or no row."""
        return self._database.rows("one", {"id": event_id})

    def counts(self) -> "Future[list[tuple[Any, ...]]]":
        """Rows of state and number of events."""
        return self._database.rows("counts", {})

    @property
    def unhealthy_reason(self) -> str | None:
        """Reason why no event can be committed now, or None.

        If the last write failed, this requests a write probe, so that recovery is noticed.
        """
        if self._database.failing:
            self._database.probe()
            return "the outbox cannot write; see the log"
        return None

    def close(self) -> None:
        """Run the submitted jobs and close the database."""
        self._database.close()


def direct(seq: int, event: PendingEvent) -> ClaimedEvent:
    """A pending event for direct delivery, without being claimed from the database."""
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
    """Rows of `claim` as values, by ascending seq."""
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
    """A row of `one` as JSON values, with the redacted event."""
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


def _token(staged: str, path: str) -> str:
    """The token in a row; one of an older version has only the path of the staged file."""
    return staged if "//" in staged else f"{staged}/{path}"


def _row(event: PendingEvent) -> dict[str, Any]:
    return {
        "id": event.id,
        "type": event.type,
        "path": event.path,
        "time": event.time.isoformat(),
        "data": event.data,
        "staged": event.token,
        "final": event.final,
        "since": event.time.timestamp(),
        "request_id": event.request_id,
    }
