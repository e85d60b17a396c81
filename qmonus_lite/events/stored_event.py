"""Values of an event log: events as they are stored, claimed and shown."""

from datetime import datetime

from qmonus_lite.trace_context import log_fields
from qmonus_lite.values import Value


class PendingEvent(Value, frozen=True, kw_only=True):
    """An event that is to be delivered once the file of its upload is published."""

    id: str
    type: str
    #: Stored path; events of one path are delivered in order.
    path: str
    time: datetime
    #: JSON of the event, without the fields that are made at delivery (`events.gateway`).
    data: str
    #: Name of the store, and path in it, relative; absolute for a file of a version before 0.2 that
    #: was outside of the launch directory at the upgrade.
    store: str
    store_path: str
    #: Id of the gateway that stored the file.
    gateway: str
    #: What the store needs to tell whether the file was published.
    token: str
    #: Id of the request that stored the file; empty for events of an older version.
    request_id: str = ""
    #: Id of the related upload, or empty.
    upload_id: str = ""
    #: Name of the account of that request, and its span (`trace_context`); empty for none.
    account: str = ""
    traceparent: str = ""


class InDoubt(Value, frozen=True, kw_only=True):
    """An event of which it is not known whether its file was published before a crash."""

    id: str
    store: str
    token: str


class ClaimedEvent(Value, frozen=True, kw_only=True):
    """An event that is leased for delivery, or in direct delivery."""

    #: Sequence number in this log, in commit order.
    seq: int
    id: str
    type: str
    path: str
    time: datetime
    #: As in PendingEvent.
    data: str
    store: str
    store_path: str
    gateway: str
    #: Number of this delivery attempt, from 1.
    attempt: int
    #: Start of its age, in seconds since the epoch.
    since: float
    #: Id of the request that stored the file, or empty.
    request_id: str = ""
    #: Id of the related upload, or empty.
    upload_id: str = ""
    #: Name of the account of that request, and its span (`trace_context`); empty for none.
    account: str = ""
    traceparent: str = ""
    #: Whether it is in direct delivery, without having been claimed.
    direct: bool = False

    @property
    def log_fields(self) -> dict[str, str]:
        """The ids that are not empty, for `log.bound`."""
        fields = {
            "event_id": self.id,
            "request_id": self.request_id,
            "upload_id": self.upload_id,
            "account": self.account,
        }
        known = {name: value for name, value in fields.items() if value}
        return {**known, **log_fields(self.traceparent)} if self.traceparent else known


class Types(Value, frozen=True, kw_only=True):
    """Filter by event name: include only these (`only`), or exclude them."""

    names: frozenset[str] = frozenset()
    only: bool = False

    def includes(self, name: str) -> bool:
        """Whether events of this name pass the filter."""
        return (name in self.names) is self.only


EVERY_TYPE = Types()


class EventEntry(Value, frozen=True, kw_only=True):
    """One event of the log, for display."""

    seq: int
    id: str
    type: str
    path: str
    time: str
    #: `prepared`, `ready`, `sending`, `dead` or `delivered`.
    state: str
    attempt: int
    #: Earliest time of the next attempt, in seconds since the epoch.
    next_at: float
    #: Why the last delivery failed.
    reason: str
    #: When it was delivered, in seconds since the epoch; 0 if it is not delivered.
    delivered_at: float = 0.0


class ShownEvent(Value, frozen=True, kw_only=True):
    """One event with its data, for display."""

    entry: EventEntry
    #: As in PendingEvent.
    data: str
    store: str
    store_path: str
    gateway: str


def direct(seq: int, event: PendingEvent) -> ClaimedEvent:
    """A pending event for direct delivery, without being claimed from the log."""
    return ClaimedEvent(
        seq=seq,
        id=event.id,
        type=event.type,
        path=event.path,
        time=event.time,
        data=event.data,
        store=event.store,
        store_path=event.store_path,
        gateway=event.gateway,
        attempt=1,
        since=event.time.timestamp(),
        request_id=event.request_id,
        upload_id=event.upload_id,
        account=event.account,
        traceparent=event.traceparent,
        direct=True,
    )
