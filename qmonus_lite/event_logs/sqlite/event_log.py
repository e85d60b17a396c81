"""Event log in an SQLite database; the statements are in `event_log.sql`."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from typing import Any

from qmonus_lite import strictjson
from qmonus_lite.clock import ClockStep
from qmonus_lite.database.database import Database, Row, Synchronous
from qmonus_lite.database.schema import read_schema
from qmonus_lite.events.log import DELIVERED, MAX_DELIVERED, EventLogFailed
from qmonus_lite.events.stored_event import (
    EVERY_TYPE,
    ClaimedEvent,
    EventEntry,
    InDoubt,
    PendingEvent,
    ShownEvent,
    Types,
)

#: File name in the data directory.
FILE = "outbox.sqlite3"
SCHEMA = read_schema("qmonus_lite.event_logs.sqlite", "event_log")


def migration_values(*, root: Path, gateway: str) -> dict[str, str]:
    """Parameters of the migrations: the launch directory, and the id of the gateway."""
    return {"root": os.path.join(root, ""), "gateway": gateway}


class SqliteEventLog:
    """The pending events and dead letters of one gateway (`events.log.EventLog`)."""

    def __init__(
        self,
        path: Path,
        synchronous: Synchronous = "FULL",
        *,
        migration_values: Mapping[str, str] | None = None,
    ) -> None:
        """Open or create the database; raises BadResource.

        `migration_values` (of the function of this name): migrate a database of an older format,
        which is refused without them.
        """
        self._database = Database(
            path, SCHEMA, synchronous, EventLogFailed, migration_values=migration_values
        )

    def prepare(self, events: Sequence[PendingEvent]) -> list[int | EventLogFailed]:
        """Store pending events; blocks until committed. The seq or the error of each."""
        return self._database.insert("prepare", [_row(event) for event in events])

    def commit(self, event_id: str, *, attempt: int = 0) -> "Future[int]":
        """Make a prepared event deliverable, lazily."""
        return self._database.change("commit", {"id": event_id, "attempt": attempt}, lazy=True)

    def withdraw(self, event_id: str) -> "Future[int]":
        """Delete a prepared event whose file was not published."""
        return self._database.change("withdraw", {"id": event_id})

    def restage(self, event_id: str, token: str) -> "Future[int]":
        """Replace the token of a prepared event."""
        return self._database.change("restage", {"id": event_id, "token": token})

    def in_doubt(self) -> list[InDoubt]:
        """The prepared events that a crash left, oldest first."""
        return self._database.rows("in_doubt", {}, _in_doubt).result()

    def release(self) -> None:
        """Release the leases of an earlier process."""
        self._database.change("release", {}).result()

    def waiting(self, limit: int) -> tuple[list[tuple[str, str]], int]:
        """Path and id of the first `limit` events to be delivered, and the number of others."""
        first: list[Any] = self._database.rows("waiting", {"limit": limit}, list).result()
        count: int = self._database.rows("count_waiting", {}, _single).result()
        return first, count - len(first)

    def follow_clock(self, step: ClockStep, max_wait: float) -> "Future[int]":
        """Move due times, leases and ages after the wall clock was set."""
        row = {
            "step": step.seconds,
            "now": step.now,
            "earliest": step.earliest,
            "max_wait": max_wait,
        }
        return self._database.change("follow_clock", row)

    def claim(
        self, now: float, *, lease: float, limit: int, types: Types = EVERY_TYPE
    ) -> "Future[list[ClaimedEvent]]":
        """Lease due events until `lease`, at most one per path."""
        return self._database.rows("claim", _claim(now, lease, limit, types), _claimed)

    def claim_following(
        self, event: ClaimedEvent, now: float, *, lease: float, limit: int, types: Types
    ) -> "Future[list[ClaimedEvent]]":
        """Lease the next events of the path of a claimed event."""
        row = {**_claim(now, lease, limit, types), "path": event.path, "seq": event.seq}
        return self._database.rows("claim_following", row, _claimed)

    def unclaim(self, event_ids: Sequence[str]) -> "Future[int]":
        """End the leases of claimed events that were not sent."""
        return self._database.change("unclaim", {"ids": strictjson.write(event_ids)})

    def extend(self, event_id: str, lease: float) -> "Future[int]":
        """Lease an event in direct delivery, or extend a lease; lazily."""
        return self._database.change("extend", {"id": event_id, "lease": lease}, lazy=True)

    def next_due(self, now: float) -> "Future[float | None]":
        """Due time of the next event, or None."""
        return self._database.rows("next_due", {"now": now}, _single)

    def done(self, event_ids: Sequence[str], kept_at: float | None = None) -> "Future[int]":
        """Delete or keep delivered events, lazily."""
        return self._database.changes(_ends(event_ids, kept_at), lazy=True)

    def publish(
        self,
        events: Sequence[PendingEvent],
        *,
        delivered: str = "",
        kept_at: float | None = None,
    ) -> "Future[int]":
        """Store events that are to be delivered, and end the delivered one."""
        changes = [("publish", _row(event)) for event in events]
        if delivered:
            changes += _ends([delivered], kept_at)
        return self._database.changes(changes)

    def expire(self, before: float) -> "Future[int]":
        """Delete delivered events that are older, lazily."""
        return self._database.change("expire", {"before": before}, lazy=True)

    def expire_dead(self, before: float, most: int) -> "Future[int]":
        """Delete old and excess dead letters, lazily."""
        return self._database.change("expire_dead", {"before": before, "most": most}, lazy=True)

    def retry(self, event_id: str, attempt: int, next_at: float, reason: str) -> "Future[int]":
        """Schedule the next attempt, lazily."""
        row = {"id": event_id, "attempt": attempt, "next_at": next_at, "reason": reason}
        return self._database.change("retry", row, lazy=True)

    def dead(self, event_id: str, attempt: int, reason: str) -> "Future[int]":
        """Make an event a dead letter, lazily."""
        row = {"id": event_id, "attempt": attempt, "reason": reason}
        return self._database.change("dead", row, lazy=True)

    def list_events(self, state: str, limit: int) -> "Future[list[EventEntry]]":
        """Events, oldest first; an empty `state` means all that are not delivered."""
        row = {"state": state, "limit": limit}
        statement = "list_delivered" if state == DELIVERED else "list_events"
        return self._database.rows(statement, row, lambda rows: list(map(_entry, rows)))

    def show(self, event_id: str) -> "Future[ShownEvent | None]":
        """The event of this id, or None."""
        return self._database.rows("show", {"id": event_id}, _detail)

    def counts(self) -> "Future[dict[str, int]]":
        """Number of events by state."""
        return self._database.rows("counts", {}, lambda rows: dict(rows))

    def retry_now(self, event_id: str, now: float) -> "Future[int]":
        """Make a waiting event due at `now`."""
        return self._database.change("retry_now", {"id": event_id, "now": now})

    def replay(self, event_id: str, now: float) -> "Future[int]":
        """Requeue a dead letter for delivery."""
        return self._database.change("replay", {"id": event_id, "now": now})

    def replay_delivered(self, event_id: str, copy_id: str, now: float) -> "Future[int]":
        """Deliver a copy of a delivered event."""
        row = {"id": event_id, "copy": copy_id, "now": now}
        return self._database.change("replay_delivered", row)

    def drop(self, event_id: str) -> "Future[int]":
        """Delete a dead letter."""
        return self._database.change("drop", {"id": event_id})

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


def _ends(event_ids: Sequence[str], kept_at: float | None) -> list[tuple[str, dict[str, Any]]]:
    """Statements that delete delivered events, or keep them as delivered at this time."""
    row: dict[str, Any] = {"ids": strictjson.write(event_ids)}
    if kept_at is None:
        return [("done", row)]
    trim = {"most": MAX_DELIVERED}
    return [("keep", {**row, "now": kept_at}), ("trim", trim), ("done", row)]


def _row(event: PendingEvent) -> dict[str, Any]:
    return {
        "id": event.id,
        "type": event.type,
        "path": event.path,
        "time": event.time.isoformat(),
        "data": event.data,
        "store": event.store,
        "store_path": event.store_path,
        "gateway": event.gateway,
        "token": event.token,
        "since": event.time.timestamp(),
        "request_id": event.request_id,
        "upload_id": event.upload_id,
        "account": event.account,
        "traceparent": event.traceparent,
    }


def _claim(now: float, lease: float, limit: int, types: Types) -> dict[str, Any]:
    return {
        "now": now,
        "lease": lease,
        "limit": limit,
        "types": strictjson.write(sorted(types.names)),
        "listed": int(types.only),
    }


def _single(rows: list[Row]) -> Any:
    return rows[0][0]


def _in_doubt(rows: list[Row]) -> list[InDoubt]:
    return [InDoubt(id=id_, store=store, token=token) for id_, store, token in rows]


def _claimed(rows: list[Row]) -> list[ClaimedEvent]:
    """Rows of `claim`, by ascending seq."""
    return [
        ClaimedEvent(
            seq=row[0],
            id=row[1],
            type=row[2],
            path=row[3],
            time=datetime.fromisoformat(row[4]),
            data=row[5],
            store=row[6],
            store_path=row[7],
            gateway=row[8],
            attempt=row[9],
            since=row[10],
            request_id=row[11],
            upload_id=row[12],
            account=row[13],
            traceparent=row[14],
        )
        for row in sorted(rows)
    ]


def _entry(row: Row) -> EventEntry:
    seq, id_, type_, path, time, state, attempt, next_at, leased, reason, at = row[:11]
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
        delivered_at=at,
    )


def _detail(rows: list[Row]) -> ShownEvent | None:
    if not rows:
        return None
    row = rows[0]
    return ShownEvent(
        entry=_entry(row), data=row[11], store=row[12], store_path=row[13], gateway=row[14]
    )
