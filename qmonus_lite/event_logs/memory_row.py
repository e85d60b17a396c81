"""A row of the event log in memory."""

from dataclasses import dataclass

from qmonus_lite.clock import ClockStep
from qmonus_lite.events.stored_event import (
    ClaimedEvent,
    EventEntry,
    PendingEvent,
    ShownEvent,
    Types,
    direct,
)
from qmonus_lite.values import changed


@dataclass(kw_only=True)
class MemoryRow:
    """An event and how far its delivery is."""

    seq: int
    event: PendingEvent
    since: float
    state: str = "prepared"
    attempt: int = 0
    reason: str = ""
    next_at: float = 0.0
    leased: bool = False
    #: When it was delivered; 0 if it is not.
    delivered_at: float = 0.0

    @property
    def shown_state(self) -> str:
        """The state, `sending` instead of `ready` while the event is leased."""
        return "sending" if self.leased and self.state == "ready" else self.state

    @property
    def entry(self) -> EventEntry:
        """What a listing shows."""
        return EventEntry(
            seq=self.seq,
            id=self.event.id,
            type=self.event.type,
            path=self.event.path,
            time=self.event.time.isoformat(),
            state=self.shown_state,
            attempt=self.attempt,
            next_at=self.next_at,
            reason=self.reason,
            delivered_at=self.delivered_at,
        )

    @property
    def shown(self) -> ShownEvent:
        """The event with its data."""
        event = self.event
        return ShownEvent(
            entry=self.entry,
            data=event.data,
            store=event.store,
            store_path=event.store_path,
            gateway=event.gateway,
        )

    def is_due(self, now: float, types: Types) -> bool:
        """Whether it may be claimed, as far as it depends on itself."""
        return self.state == "ready" and self.next_at <= now and types.includes(self.event.type)

    def claim(self, lease: float) -> ClaimedEvent:
        """Lease the event for its next attempt."""
        self.leased, self.next_at, self.attempt = True, lease, self.attempt + 1
        claimed = direct(self.seq, self.event)
        return changed(claimed, attempt=self.attempt, since=self.since, direct=False)

    def follow_clock(self, step: ClockStep, max_wait: float) -> None:
        """Move its times after the wall clock was set."""
        if self.leased:
            self.next_at += step.seconds
        elif self.next_at > 0:
            self.next_at = min(self.next_at + step.seconds, step.now + max_wait)
        if not step.earliest <= self.since <= step.now:
            self.since = min(self.since + step.seconds, step.now)
