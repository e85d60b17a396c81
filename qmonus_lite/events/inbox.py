"""The inbox of the workers: which events were handled well, so that a repeat is not run again.

One database for all workers on a machine. What failed is not remembered: its repeat is a new try.
"""

import asyncio
import json
from pathlib import Path

from qmonus_lite.clock import Clock
from qmonus_lite.events.database import Database, statements
from qmonus_lite.events.outcome import Outcome

#: Seconds that an event is remembered, and how many are at most.
RETENTION_SECONDS, MAX_ROWS = 7 * 86400.0, 1_000_000
#: Seconds between two rounds of forgetting.
PRUNE_INTERVAL_SECONDS = 3600.0


class Inbox:
    """Memory of handled events."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Open or make the database; raises BadPlace."""
        # NORMAL: forgotten in a loss of power, an event is run again, as at-least-once allows.
        self._database = Database(path, statements("inbox.sql"), "NORMAL")
        self._clock = clock

    async def find(self, event_id: str) -> Outcome | None:
        """How the event was handled, or None; the outcome's event is empty."""
        rows = await asyncio.wrap_future(self._database.rows("find", {"id": event_id}))
        return Outcome.from_json(json.loads(rows[0][0])) if rows else None

    def remember(self, event_id: str, outcome: Outcome) -> None:
        """Keep an outcome; not waited for."""
        kept = Outcome(
            code=outcome.code, output=outcome.output, event={}, handlers=outcome.handlers
        )
        row = {"id": event_id, "at": self._clock.now(), "outcome": json.dumps(kept.to_json())}
        self._database.change("remember", row, lazy=True)

    async def forget(self) -> None:
        """Forget what is old or too much, once an hour, until cancelled."""
        while True:
            row = {"before": self._clock.now() - RETENTION_SECONDS, "most": MAX_ROWS}
            await asyncio.wrap_future(self._database.change("forget", row, lazy=True))
            await asyncio.sleep(PRUNE_INTERVAL_SECONDS)

    def close(self) -> None:
        """Write down what was asked and close."""
        self._database.close()
