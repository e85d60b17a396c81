"""Inbox of the workers: outcomes of handled events, to deduplicate repeated deliveries.

One database for all workers on a machine. Failures are not stored: a repeat runs the handlers.
"""

import asyncio
import json
from pathlib import Path

from qmonus_lite.clock import Clock, SteadyClock
from qmonus_lite.database.database import Database
from qmonus_lite.database.schema import read_schema
from qmonus_lite.database.transaction import DatabaseFailed
from qmonus_lite.events.outcome import Outcome

#: Retention time of an event in seconds, and maximum number of rows.
RETENTION_SECONDS, MAX_ROWS = 7 * 86400.0, 1_000_000
#: Seconds between two deletions of old rows.
PRUNE_INTERVAL_SECONDS = 3600.0

SCHEMA = read_schema("qmonus_lite.events", "inbox")


class Inbox:
    """Store of handled events."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Open or create the database; raises BadResource."""
        # NORMAL: rows lost in a power failure let an event run again, as at-least-once permits.
        self._database = Database(path, SCHEMA, "NORMAL", DatabaseFailed, migration_values={})
        # Never moved: a wall clock that is set forward must not end the retention of all rows.
        self._clock = SteadyClock(clock)

    async def find(self, event_id: str) -> Outcome | None:
        """The stored outcome of the event, or None; its `event` is empty."""
        rows = await asyncio.wrap_future(self._database.rows("find", {"id": event_id}, list))
        return Outcome.from_json(json.loads(rows[0][0])) if rows else None

    def remember(self, event_id: str, outcome: Outcome) -> None:
        """Store an outcome, without waiting for the commit."""
        kept = Outcome(
            code=outcome.code,
            output=outcome.output,
            event={},
            handlers=outcome.handlers,
            # A repeat is answered with the same events, which the log stores once.
            published=outcome.published,
        )
        row = {"id": event_id, "at": self._clock.now(), "outcome": json.dumps(kept.to_json())}
        self._database.change("remember", row, lazy=True)

    async def forget(self) -> None:
        """Delete expired and excess rows, once an hour, until cancelled."""
        while True:
            row = {"before": self._clock.now() - RETENTION_SECONDS, "most": MAX_ROWS}
            await asyncio.wrap_future(self._database.change("forget", row, lazy=True))
            await asyncio.sleep(PRUNE_INTERVAL_SECONDS)

    def close(self) -> None:
        """Commit what was submitted and close the database."""
        self._database.close()
