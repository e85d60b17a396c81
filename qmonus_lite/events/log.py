"""Event log (transactional outbox): where events are stored until they are delivered.

    prepare -> the file is published -> commit -> claim -> done | retry | dead
            -> it is not published   -> withdraw

States of an event: `prepared` (the file may or may not be published, or the event is in direct
delivery), `ready` (to be delivered), `dead` (dead letter, kept), `delivered` (kept for a while).
Implementations: `event_logs.sqlite`, `event_logs.memory`.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol

from qmonus_lite.clock import ClockStep
from qmonus_lite.errors import QmonusLiteError
from qmonus_lite.events.stored_event import (
    EVERY_TYPE,
    ClaimedEvent,
    EventEntry,
    InDoubt,
    PendingEvent,
    ShownEvent,
    Types,
)

#: States of an event that can be listed.
DELIVERED = "delivered"
STATES = ("prepared", "ready", "sending", "dead", DELIVERED)
#: Maximum number of delivered events that are kept; the oldest are deleted.
MAX_DELIVERED = 10_000
#: Maximum number of dead letters, and days since the time of their events (or their last replay)
#: for which they are kept.
MAX_DEAD_LETTERS, MAX_DEAD_LETTER_DAYS = 100_000, 90


class EventLogFailed(QmonusLiteError):
    """A change was not made, or it is unknown whether it was."""


class EventLog(Protocol):
    """The pending events and dead letters of one gateway; its methods may be called by any thread.

    Changes are durable when their future is done, as far as the log is configured to be durable. A
    future that fails raises EventLogFailed. Futures of changes give the number of events changed.
    """

    # Around publishing.

    def prepare(self, events: Sequence[PendingEvent]) -> list[int | EventLogFailed]:
        """Store pending events; blocks until they are durable. The seq or the error of each."""

    def commit(self, event_id: str, *, attempt: int = 0) -> "Future[int]":
        """Make a prepared event deliverable; `attempt` counts deliveries that may have begun.

        May be lazy: after a crash, recovery finds the file published and does the same.
        """

    def withdraw(self, event_id: str) -> "Future[int]":
        """Delete a prepared event whose file was not published."""

    def restage(self, event_id: str, token: str) -> "Future[int]":
        """Replace the token of a prepared event, whose file is going to be published from there."""

    # At the start.

    def in_doubt(self) -> list[InDoubt]:
        """The prepared events that a crash left, oldest first; raises EventLogFailed."""

    def release(self) -> None:
        """Release the leases of an earlier process; raises EventLogFailed."""

    def waiting(self, limit: int) -> tuple[list[tuple[str, str]], int]:
        """Path and id of the first `limit` events to be delivered, and the number of others.

        Raises EventLogFailed.
        """

    # Delivery.

    def follow_clock(self, step: ClockStep, max_wait: float) -> "Future[int]":
        """Move due times, leases and the start of ages after the wall clock was set.

        So that each is as far away as before; but ages that began after the step are right already,
        no age begins after `step.now`, and no event that is not leased is due more than `max_wait`
        seconds after it. A step of 0 seconds applies these limits only.
        """

    def claim(
        self, now: float, *, lease: float, limit: int, types: Types = EVERY_TYPE
    ) -> "Future[list[ClaimedEvent]]":
        """Lease due events until `lease`, by ascending seq.

        At most one per path, its oldest that is not dead, and none while that one is leased. The
        attempt is counted by the claim, so that a redelivery after a crash has a higher number.
        """

    def claim_following(
        self, event: ClaimedEvent, now: float, *, lease: float, limit: int, types: Types
    ) -> "Future[list[ClaimedEvent]]":
        """Lease until `lease` the next events of the path of a claimed event, by ascending seq.

        To be delivered one after the other once that event is done or dead. As `claim` has it, but
        for the claimed event before them; ends before the first that is not due.
        """

    def unclaim(self, event_ids: Sequence[str]) -> "Future[int]":
        """End the leases of claimed events that were not sent; the attempts are not counted."""

    def extend(self, event_id: str, lease: float) -> "Future[int]":
        """Lease an event that is in direct delivery, or extend the lease of a claimed one."""

    def next_due(self, now: float) -> "Future[float | None]":
        """Due time of the next event after `now` in seconds since the epoch, or None."""

    def done(self, event_ids: Sequence[str], kept_at: float | None = None) -> "Future[int]":
        """Delete delivered events, or keep MAX_DELIVERED of them, as delivered at `kept_at`.

        May be lazy: after a crash they are redelivered, with the same ids.
        """

    def publish(
        self,
        events: Sequence[PendingEvent],
        *,
        delivered: str = "",
        kept_at: float | None = None,
    ) -> "Future[int]":
        """Store events that are to be delivered; those whose id is there already stay as they are.

        In one transaction with the end of the event `delivered`, by whose handlers they were
        published, as `done` has it.
        """

    def retry(self, event_id: str, attempt: int, next_at: float, reason: str) -> "Future[int]":
        """Schedule the next attempt at `next_at`, after `attempt` attempts so far."""

    def dead(self, event_id: str, attempt: int, reason: str) -> "Future[int]":
        """Make an event a dead letter after `attempt` attempts; it is not retried."""

    # Operators.

    def list_events(self, state: str, limit: int) -> "Future[list[EventEntry]]":
        """Events, oldest first; of one of STATES, or if empty all that are not delivered."""

    def show(self, event_id: str) -> "Future[ShownEvent | None]":
        """The event of this id, or None."""

    def counts(self) -> "Future[dict[str, int]]":
        """Number of events by state."""

    def retry_now(self, event_id: str, now: float) -> "Future[int]":
        """Make a waiting event due at `now`; 0 unless it is `ready` and not leased."""

    def replay(self, event_id: str, now: float) -> "Future[int]":
        """Requeue a dead letter; its age begins at `now`. 0 if none has this id."""

    def replay_delivered(self, event_id: str, copy_id: str, now: float) -> "Future[int]":
        """Deliver a copy of a delivered event, with the id `copy_id`; 0 if none has this id."""

    def expire(self, before: float) -> "Future[int]":
        """Delete events that were delivered before this time; may be lazy."""

    def expire_dead(self, before: float, most: int) -> "Future[int]":
        """Delete dead letters whose age began before this time, and the oldest beyond `most`."""

    def drop(self, event_id: str) -> "Future[int]":
        """Delete a dead letter; 0 if none has this id."""

    @property
    def unhealthy_reason(self) -> str | None:
        """Reason why no event can be stored now, or None."""

    def close(self) -> None:
        """Make the submitted changes and close; no other method may be called afterwards."""
