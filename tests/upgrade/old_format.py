"""Data directories of older versions, made from the SQL of their tables.

The code of those versions is not part of this one, so their schema stands as text in `sql/`, and
rows are filled in as those versions wrote them.
"""

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SQL = Path(__file__).parent / "sql"
#: Schemas of the outbox of older versions: 4fa5363 is version 0.1, the other one came between.
OLD_SCHEMAS = ("outbox_0_1", "outbox_unnumbered")
#: Time of all events: ISO 8601, and seconds since the epoch of the same moment.
TIME, SINCE = "2026-11-22T10:00:00+00:00", 1795341600.0


@dataclass(frozen=True, kw_only=True)
class OldRow:
    """A row of an old outbox."""

    id: str
    path: str
    staged: str
    final: str
    data: str
    type: str = "APIGW.OnFileUploaded"
    state: str = "ready"
    time: str = TIME
    since: float = SINCE
    attempt: int = 0
    reason: str = ""
    next_at: float = 0.0
    leased: int = 0


def old_data(path: str, final: str, **more: Any) -> dict[str, Any]:
    """The event of an upload in the order of keys in which version 0.1 stored it."""
    name = path.rpartition("/")[2]
    return {
        "path": path,
        "resources": {"filepath": name},
        "params": {},
        "headers": {"Host": "127.0.0.1:9099", "X-Name": '名 "quoted" \u2028'},
        "address": "127.0.0.1",
        "port": 9099,
        "filepath": final,
        "mime": "application/octet-stream",
        "bytes": 1,
        **more,
    }


def compact(data: Any) -> str:
    """JSON as those versions wrote it."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def old_row(base: Path, event_id: str, path: str, **more: Any) -> OldRow:
    """A row of an event whose file is below the launch directory `base`."""
    final = f"{base}{path}"
    row = {
        "id": event_id,
        "path": path,
        "staged": f"{base}/.qmonus-lite/staging/{event_id}",
        "final": final,
        "data": compact(old_data(path, final)),
    }
    return OldRow(**(row | more))


def write_outbox(place: Path, schema: str, rows: Iterable[OldRow]) -> None:
    """Make an outbox of an older version."""
    _make(place, schema)
    with closing(sqlite3.connect(place)) as database, database:
        for row in map(asdict, rows):
            names = ", ".join(row)
            values = ", ".join(f":{name}" for name in row)
            database.execute(f"INSERT INTO event ({names}) VALUES ({values})", row)


def write_inbox(place: Path, handled: Iterable[tuple[str, float, str]]) -> None:
    """Make an inbox of version 0.1: id, time and JSON of the outcome of each handled event."""
    _make(place, "inbox_0_1")
    with closing(sqlite3.connect(place)) as database, database:
        database.executemany("INSERT INTO handled VALUES (?, ?, ?)", handled)


def _make(place: Path, schema: str) -> None:
    place.touch(mode=0o600)
    with closing(sqlite3.connect(place)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript((SQL / f"{schema}.sql").read_text())
