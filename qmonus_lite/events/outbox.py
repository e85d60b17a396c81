"""The outbox: promised events in SQLite, written before the client gets its answer.

One thread owns the database. WAL with synchronous=FULL: a committed row survives a loss of power.
Every call gives a concurrent future, so that any event loop can wait for it.
"""

import json
import re
import sqlite3
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from qmonus_lite.errors import BadPlace


@dataclass(frozen=True, kw_only=True)
class Promise:
    """An event to be delivered once the file of its upload is in place."""

    id: str
    type: str
    #: Stored path; events of one path keep their order.
    path: str
    time: datetime
    data: Mapping[str, Any]
    #: Where the file is staged.
    staged: str


@dataclass(frozen=True, kw_only=True)
class Due:
    """An event whose delivery is due."""

    seq: int
    id: str
    type: str
    path: str
    time: datetime
    data: dict[str, Any]
    #: Deliveries tried so far.
    attempt: int


def _statements() -> dict[str, str]:
    text = files("qmonus_lite.events").joinpath("outbox.sql").read_text()
    parts = re.split(r"^-- name: (\w+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


class Outbox:
    """The promised events of one APIGW."""

    def __init__(self, path: Path) -> None:
        """Open or make the database; raises BadPlace."""
        self._path = path
        self._sql = _statements()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="outbox")
        try:
            self._db = self._thread.submit(self._open).result()
        except sqlite3.Error as error:
            self._thread.shutdown()
            raise BadPlace(f"{path}: not a usable outbox: {error}") from None

    def prepare(self, promise: Promise) -> "Future[None]":
        """Write the promise down; when the future is done it is on stable storage."""
        row = {
            "id": promise.id,
            "type": promise.type,
            "path": promise.path,
            "time": promise.time.isoformat(),
            "data": json.dumps(promise.data, ensure_ascii=False),
            "staged": promise.staged,
        }
        return self._change("prepare", row)

    def ready(self, event_id: str) -> "Future[None]":
        """The file is in place: let the event go."""
        return self._change("ready", {"id": event_id})

    def withdraw(self, event_id: str) -> "Future[None]":
        """The file did not come into place: forget the event."""
        return self._change("withdraw", {"id": event_id})

    def prepared(self) -> "Future[list[tuple[str, str]]]":
        """(id, staged path) of the promises that a crash left undecided."""
        return self._thread.submit(self._rows, "prepared", {})

    def due(self, now: float, limit: int) -> "Future[list[Due]]":
        """Events to deliver now, at most one a path, in order."""
        return self._thread.submit(self._due, now, limit)

    def next_due(self, now: float) -> "Future[float | None]":
        """Seconds since the epoch at which the next event falls due, or None."""
        return self._thread.submit(lambda: self._rows("next_due", {"now": now})[0][0])

    def done(self, event_id: str) -> "Future[None]":
        """Delivered."""
        return self._change("done", {"id": event_id})

    def retry(self, event_id: str, attempt: int, next_at: float, reason: str) -> "Future[None]":
        """Not delivered: try again at `next_at`."""
        row = {"id": event_id, "attempt": attempt, "next_at": next_at, "reason": reason}
        return self._change("retry", row)

    def dead(self, event_id: str, attempt: int, reason: str) -> "Future[None]":
        """Not delivered, and not to be tried again: keep it as a dead letter."""
        return self._change("dead", {"id": event_id, "attempt": attempt, "reason": reason})

    def counts(self) -> "Future[dict[str, int]]":
        """Events by state."""
        return self._thread.submit(lambda: dict(self._rows("counts", {})))

    def close(self) -> None:
        """Finish what was asked and close the database."""
        self._thread.submit(self._db.close).result()
        self._thread.shutdown()

    def _open(self) -> sqlite3.Connection:
        self._path.touch(mode=0o600)
        database = sqlite3.connect(self._path, isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.executescript(self._sql["schema"])
        return database

    def _change(self, statement: str, row: Mapping[str, Any]) -> "Future[None]":
        def change() -> None:
            self._db.execute(self._sql[statement], row)

        return self._thread.submit(change)

    def _rows(self, statement: str, row: Mapping[str, Any]) -> list[Any]:
        return self._db.execute(self._sql[statement], row).fetchall()

    def _due(self, now: float, limit: int) -> list[Due]:
        rows = self._rows("due", {"now": now, "limit": limit})
        return [
            Due(
                seq=seq,
                id=id_,
                type=type_,
                path=path,
                time=datetime.fromisoformat(time),
                data=json.loads(data),
                attempt=attempt,
            )
            for seq, id_, type_, path, time, data, attempt in rows
        ]
