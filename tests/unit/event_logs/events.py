"""Events for the tests of event logs."""

from datetime import UTC, datetime
from pathlib import Path

from qmonus_lite.database.database import Synchronous
from qmonus_lite.event_logs.sqlite.event_log import SqliteEventLog, migration_values
from qmonus_lite.events.log import EventLog
from qmonus_lite.events.stored_event import ClaimedEvent, PendingEvent

MOMENT = datetime(2026, 11, 22, 10, tzinfo=UTC)
NOW, LEASE = 1000.0, 2000.0
DATA = '{"名":[1,null]}'


def open_log(path: Path, synchronous: Synchronous = "FULL") -> SqliteEventLog:
    """A log of a gateway whose launch directory has its data directory, with this database."""
    values = migration_values(root=path.parent.parent, gateway="g1")
    return SqliteEventLog(path, synchronous, migration_values=values)


def pending(
    event_id: str, path: str = "/upload/a", type_: str = "APIGW.OnFileUploaded"
) -> PendingEvent:
    return PendingEvent(
        id=event_id,
        type=type_,
        path=path,
        time=MOMENT,
        data=DATA,
        store="file",
        store_path=path[1:],
        gateway="g1",
        token=f"data:staging/{event_id}/{path}",
        request_id=f"request of {event_id}",
        upload_id=f"upload of {event_id}",
    )


def put(
    log: EventLog, event_id: str, path: str = "/upload/a", type_: str = "APIGW.OnFileUploaded"
) -> None:
    """Prepare an event and commit it."""
    log.prepare([pending(event_id, path, type_)])
    log.commit(event_id).result(10)


def claim(log: EventLog, now: float = NOW, limit: int = 100) -> list[ClaimedEvent]:
    return log.claim(now, lease=now + LEASE, limit=limit).result(10)


def claimed(log: EventLog, now: float = NOW) -> list[str]:
    return [event.id for event in claim(log, now)]


def states(log: EventLog) -> dict[str, str]:
    return {entry.id: entry.state for entry in log.list_events("", 100).result(10)}
