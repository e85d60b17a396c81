"""Event log in memory, for tests and trials of plugins: its events end with the process."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from itertools import count, islice, takewhile
from typing import TypeVar

from qmonus_lite.clock import ClockStep
from qmonus_lite.event_logs.memory_row import MemoryRow
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
from qmonus_lite.values import changed

Value = TypeVar("Value")

#: States of an event that is not a dead letter.
_ALIVE = ("prepared", "ready", "sending")


class MemoryEventLog:
    """The pending events and dead letters of one gateway (`events.log.EventLog`)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = count(1)
        #: By id, in the order of their seq.
        self._rows: dict[str, MemoryRow] = {}
        #: Delivered events by id, in the order of their delivery.
        self._history: dict[str, MemoryRow] = {}

    def prepare(self, events: Sequence[PendingEvent]) -> list[int | EventLogFailed]:
        """Store pending events; the seq or the error of each."""
        with self._lock:
            return [self._prepare(event) for event in events]

    def _prepare(self, event: PendingEvent) -> int | EventLogFailed:
        if event.id in self._rows:
            return EventLogFailed(f"the id {event.id} is there already")
        row = MemoryRow(seq=next(self._numbers), event=event, since=event.time.timestamp())
        self._rows[event.id] = row
        return row.seq

    def commit(self, event_id: str, *, attempt: int = 0) -> "Future[int]":
        """Make a prepared event deliverable."""

        def change(row: MemoryRow) -> None:
            row.state, row.attempt = "ready", attempt

        return self._change(event_id, ("prepared",), change)

    def withdraw(self, event_id: str) -> "Future[int]":
        """Delete a prepared event whose file was not published."""
        return self._delete([event_id], ("prepared",))

    def restage(self, event_id: str, token: str) -> "Future[int]":
        """Replace the token of a prepared event."""

        def change(row: MemoryRow) -> None:
            row.event = changed(row.event, token=token)

        return self._change(event_id, ("prepared",), change)

    def in_doubt(self) -> list[InDoubt]:
        """The prepared events, oldest first."""
        with self._lock:
            events = [row.event for row in self._rows.values() if row.state == "prepared"]
        return [InDoubt(id=event.id, store=event.store, token=event.token) for event in events]

    def release(self) -> None:
        """Release all leases."""
        with self._lock:
            for row in self._rows.values():
                if row.leased:
                    row.leased, row.next_at = False, 0.0

    def waiting(self, limit: int) -> tuple[list[tuple[str, str]], int]:
        """Path and id of the first `limit` events to be delivered, and the number of others."""
        with self._lock:
            events = [row.event for row in self._rows.values() if row.state == "ready"]
        return [(event.path, event.id) for event in events[:limit]], max(0, len(events) - limit)

    def follow_clock(self, step: ClockStep, max_wait: float) -> "Future[int]":
        """Move due times, leases and ages after the wall clock was set."""
        with self._lock:
            rows = [row for row in self._rows.values() if row.state != "dead"]
            for row in rows:
                row.follow_clock(step, max_wait)
        return _completed(len(rows))

    def claim(
        self, now: float, *, lease: float, limit: int, types: Types = EVERY_TYPE
    ) -> "Future[list[ClaimedEvent]]":
        """Lease due events until `lease`, at most one per path."""
        with self._lock:
            oldest: dict[str, MemoryRow] = {}
            for row in self._rows.values():
                if row.state != "dead":
                    oldest.setdefault(row.event.path, row)
            due = [row for row in oldest.values() if row.is_due(now, types)]
            due.sort(key=lambda row: (row.next_at, row.seq))
            claimed = [row.claim(lease) for row in due[:limit]]
        return _completed(sorted(claimed, key=lambda event: event.seq))

    def claim_following(
        self, event: ClaimedEvent, now: float, *, lease: float, limit: int, types: Types
    ) -> "Future[list[ClaimedEvent]]":
        """Lease the next events of the path of a claimed event."""
        with self._lock:
            behind = (
                row
                for row in self._rows.values()
                if row.event.path == event.path and row.seq > event.seq and row.state != "dead"
            )
            due = takewhile(lambda row: not row.leased and row.is_due(now, types), behind)
            return _completed([row.claim(lease) for row in islice(due, limit)])

    def unclaim(self, event_ids: Sequence[str]) -> "Future[int]":
        """End the leases of claimed events that were not sent."""
        with self._lock:
            rows = [self._rows[each] for each in event_ids if each in self._rows]
            leased = [row for row in rows if row.shown_state == "sending"]
            for row in leased:
                row.leased, row.next_at, row.attempt = False, 0.0, row.attempt - 1
        return _completed(len(leased))

    def extend(self, event_id: str, lease: float) -> "Future[int]":
        """Lease an event in direct delivery, or extend a lease."""

        def change(row: MemoryRow) -> None:
            row.attempt = max(row.attempt, 1)
            row.state, row.leased, row.next_at = "ready", True, lease

        return self._change(event_id, ("prepared", "sending"), change)

    def next_due(self, now: float) -> "Future[float | None]":
        """Due time of the next event, or None."""
        with self._lock:
            times = [
                row.next_at
                for row in self._rows.values()
                if row.state == "ready" and row.next_at > now
            ]
        return _completed(min(times, default=None))

    def done(self, event_ids: Sequence[str], kept_at: float | None = None) -> "Future[int]":
        """Delete or keep delivered events."""
        if kept_at is not None:
            with self._lock:
                self._keep([self._rows[each] for each in event_ids if each in self._rows], kept_at)
        return self._delete(event_ids, _ALIVE)

    def publish(
        self,
        events: Sequence[PendingEvent],
        *,
        delivered: str = "",
        kept_at: float | None = None,
    ) -> "Future[int]":
        """Store events that are to be delivered, and end the delivered one."""
        with self._lock:
            for event in events:
                if event.id not in self._rows:
                    self._prepare(event)
                    self._rows[event.id].state = "ready"
        return self.done([delivered] if delivered else [], kept_at)

    def _keep(self, rows: Sequence[MemoryRow], at: float) -> None:
        for row in rows:
            if row.state != "dead":
                self._history.pop(row.event.id, None)
                row.attempt, row.leased = max(row.attempt, 1), False
                self._history[row.event.id] = replace(row, state=DELIVERED, delivered_at=at)
        for event_id in list(self._history)[:-MAX_DELIVERED]:
            del self._history[event_id]

    def expire(self, before: float) -> "Future[int]":
        """Delete delivered events that are older."""
        with self._lock:
            old = [key for key, row in self._history.items() if row.delivered_at < before]
            for event_id in old:
                del self._history[event_id]
        return _completed(len(old))

    def expire_dead(self, before: float, most: int) -> "Future[int]":
        """Delete old and excess dead letters."""
        with self._lock:
            dead = [row for row in self._rows.values() if row.state == "dead"]
            excess = dead[: max(0, len(dead) - most)]
            old = {row.event.id for row in dead if row.since < before or row in excess}
            for event_id in old:
                del self._rows[event_id]
        return _completed(len(old))

    def retry(self, event_id: str, attempt: int, next_at: float, reason: str) -> "Future[int]":
        """Schedule the next attempt."""

        def change(row: MemoryRow) -> None:
            row.state, row.attempt, row.next_at = "ready", attempt, next_at
            row.reason, row.leased = reason, False

        return self._change(event_id, _ALIVE, change)

    def dead(self, event_id: str, attempt: int, reason: str) -> "Future[int]":
        """Make an event a dead letter."""

        def change(row: MemoryRow) -> None:
            row.state, row.attempt, row.reason, row.leased = "dead", attempt, reason, False

        return self._change(event_id, _ALIVE, change)

    def list_events(self, state: str, limit: int) -> "Future[list[EventEntry]]":
        """Events, oldest first; an empty `state` means all that are not delivered."""
        with self._lock:
            kept = self._history if state == DELIVERED else self._rows
            rows = [row for row in kept.values() if state in ("", row.state, row.shown_state)]
            return _completed([row.entry for row in rows[:limit]])

    def show(self, event_id: str) -> "Future[ShownEvent | None]":
        """The event of this id, or None."""
        with self._lock:
            if (row := self._rows.get(event_id) or self._history.get(event_id)) is None:
                return _completed(None)
            event = row.event
            detail = ShownEvent(
                entry=row.entry,
                data=event.data,
                store=event.store,
                store_path=event.store_path,
                gateway=event.gateway,
            )
        return _completed(detail)

    def counts(self) -> "Future[dict[str, int]]":
        """Number of events by state."""
        counts: dict[str, int] = {}
        with self._lock:
            for row in (*self._rows.values(), *self._history.values()):
                counts[row.state] = counts.get(row.state, 0) + 1
        return _completed(counts)

    def retry_now(self, event_id: str, now: float) -> "Future[int]":
        """Make a waiting event due at `now`."""

        def change(row: MemoryRow) -> None:
            row.next_at = now

        return self._change(event_id, ("ready",), change)

    def replay(self, event_id: str, now: float) -> "Future[int]":
        """Requeue a dead letter for delivery."""

        def change(row: MemoryRow) -> None:
            row.state, row.next_at, row.since = "ready", 0.0, now

        return self._change(event_id, ("dead",), change)

    def replay_delivered(self, event_id: str, copy_id: str, now: float) -> "Future[int]":
        """Deliver a copy of a delivered event."""
        with self._lock:
            if (row := self._history.get(event_id)) is None:
                return _completed(0)
            event = changed(row.event, id=copy_id, token="")
            self._rows[copy_id] = MemoryRow(
                seq=next(self._numbers), event=event, since=now, state="ready"
            )
        return _completed(1)

    def drop(self, event_id: str) -> "Future[int]":
        """Delete a dead letter."""
        return self._delete([event_id], ("dead",))

    @property
    def unhealthy_reason(self) -> str | None:
        """None: memory can always be written."""
        return None

    def close(self) -> None:
        """Do nothing: every change is made at once."""

    def _change(
        self, event_id: str, states: Sequence[str], change: Callable[[MemoryRow], None]
    ) -> "Future[int]":
        """Change an event in one of these states; gives 0 if there is none."""
        with self._lock:
            row = self._rows.get(event_id)
            if row is None or row.shown_state not in states:
                return _completed(0)
            change(row)
            return _completed(1)

    def _delete(self, event_ids: Sequence[str], states: Sequence[str]) -> "Future[int]":
        with self._lock:
            found = [
                event_id
                for event_id in event_ids
                if event_id in self._rows and self._rows[event_id].shown_state in states
            ]
            for event_id in found:
                del self._rows[event_id]
        return _completed(len(found))


def _completed(value: Value) -> "Future[Value]":
    future: Future[Value] = Future()
    future.set_result(value)
    return future
