"""The database of records: write, list, find and forget; its methods block, on any thread."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from qmonus_lite import strictjson
from qmonus_lite.clock import Clock
from qmonus_lite.database.database import Database
from qmonus_lite.database.database import Row as SqlRow
from qmonus_lite.database.schema import DatabaseSchema, read_schema
from qmonus_lite.errors import QmonusLiteError
from qmonus_lite.observations import RanHandler
from qmonus_lite.records.record import (
    AttemptRecord,
    Cause,
    Durations,
    Record,
    RecordDetail,
    RecordPage,
)
from qmonus_lite.records.rows import Row, Statement
from qmonus_lite.values import Value, as_dict, changed

#: File name in the data directory.
FILE = "records.db"
#: Maximum records that one id finds: a proxy may give requests the same id.
MAX_FOUND = 10
#: Maximum attempts kept of an event, and shown with a record.
MAX_ATTEMPTS, MAX_ATTEMPTS_SHOWN = 100, 200
#: Maximum rows that one transaction prunes from a table; above what it inserts.
MAX_PRUNED = 5000
#: Attempts kept for each record.
ATTEMPTS_PER_RECORD = 2
#: Above every id, and above every text that begins with a path.
_NO_CURSOR, _HIGHEST = 2**62, "\U0010ffff"

#: Condition of a listing by filter.
_FILTERS: Mapping[str, str] = {
    "account": "account = :account",
    "code": "code = :code",
    "state": "state = :state",
    "path": "path >= :path AND path < :beyond",
    "since": "at >= :since",
}


class RecordsFailed(QmonusLiteError):
    """The records could not be read or written."""


class RecordFilter(Value, frozen=True, kw_only=True):
    """Which records to list; None lists all."""

    account: str | None = None
    code: str | None = None
    state: str | None = None
    #: Beginning of the path.
    path: str | None = None
    #: Seconds since the epoch.
    since: float | None = None
    #: `RecordPage.next` of the page before.
    before: int = _NO_CURSOR


class Bounds(Value, frozen=True, kw_only=True):
    """What is kept."""

    max_age_seconds: float
    max_rows: int


def _listing(shown: str, names: Sequence[str]) -> str:
    """A listing with these filters, newest first."""
    conditions = " AND ".join(_FILTERS[name] for name in names)
    if set(names) in ({"path"}, {"path", "since"}):
        # The pluses keep SQLite from going through all rows by id; only ids are sorted.
        ids = f"SELECT id FROM record WHERE {conditions} AND +id < :before ORDER BY +id DESC"
        return f"{shown} WHERE id IN ({ids} LIMIT :limit) ORDER BY id DESC"
    where = " AND ".join(filter(None, ("id < :before", conditions)))
    return f"{shown} WHERE {where} ORDER BY id DESC LIMIT :limit"


def _listing_name(names: Sequence[str]) -> str:
    return "_".join(("list", *names))


def _schema() -> DatabaseSchema:
    found = read_schema("qmonus_lite.records", "records")
    made = dict(found.statements)
    shown, with_id = made.pop("shown"), made.pop("with_id")
    made["find"] = shown + with_id
    for count in range(len(_FILTERS) + 1):
        for names in combinations(_FILTERS, count):
            made[_listing_name(names)] = _listing(shown, names)
    return changed(found, statements=made)


SCHEMA = _schema()


class RecordStore:
    """The records of a machine; several processes may have it open."""

    def __init__(self, path: Path, clock: Clock, *, migrates: bool) -> None:
        """Open the database; raises BadResource.

        `migrates`: make it if there is none, and bring an older format up to date.
        """
        # NORMAL: a power failure may lose the last records, and damages nothing.
        self._database = Database(
            path, SCHEMA, "NORMAL", RecordsFailed, migration_values={} if migrates else None
        )
        self._clock = clock
        self._path = path
        self._file_id = _file_id(path)

    def is_replaced(self) -> bool:
        """Whether the file at its path is not the one that is open: deleted, or moved aside."""
        return _file_id(self._path) != self._file_id

    def write(self, rows: Sequence[Statement], bounds: Bounds) -> None:
        """Insert rows, and prune what is too much, in one transaction; raises RecordsFailed."""
        attempts = ATTEMPTS_PER_RECORD * bounds.max_rows
        prunes: list[Statement] = [
            ("prune_records", {"most": bounds.max_rows, "limit": MAX_PRUNED}),
            ("prune_attempts", {"most": attempts, "limit": MAX_PRUNED}),
        ]
        self._change([*rows, *prunes])

    def expire(self, before: float) -> None:
        """Delete rows that are older, at most MAX_PRUNED of a table; raises RecordsFailed."""
        row = {"before": before, "limit": MAX_PRUNED}
        self._change([("expire_records", row), ("expire_attempts", row)])

    def page(self, wanted: RecordFilter, limit: int) -> RecordPage:
        """A page of records, newest first; raises RecordsFailed."""
        names = [name for name in _FILTERS if getattr(wanted, name) is not None]
        row: Row = {name: getattr(wanted, name) for name in names}
        if wanted.path is not None:
            row["beyond"] = wanted.path + _HIGHEST
        # One more than wanted tells whether there is another page.
        rows = self._rows(
            _listing_name(names), {**row, "before": wanted.before, "limit": limit + 1}
        )
        more = str(rows[limit - 1][0]) if len(rows) > limit else None
        return RecordPage(uploads=tuple(map(self._record, rows[:limit])), next=more)

    def find(self, wanted: str) -> list[RecordDetail]:
        """The records of a request, upload or event id, newest first; raises RecordsFailed."""
        found = self._rows("find", {"id": wanted, "limit": MAX_FOUND})
        return [
            RecordDetail(
                **as_dict(self._record(row)),
                attempts=self.attempts(upload_id=row[4], request_id=row[2]),
            )
            for row in found
        ]

    def attempts(
        self, *, upload_id: str = "", request_id: str = "", event_id: str = ""
    ) -> tuple[AttemptRecord, ...]:
        """Attempts with one of these ids, oldest first; raises RecordsFailed."""
        row = {"upload_id": upload_id, "request_id": request_id, "event_id": event_id}
        rows = self._rows("attempts", {**row, "limit": MAX_ATTEMPTS_SHOWN})
        return tuple(map(self._attempt, reversed(rows)))

    def forget_account(self, account: str) -> int:
        """Delete all records of an account; gives their number. Raises RecordsFailed."""
        row = {"account": account}
        return self._change(
            [
                ("overwrite_deleted", {}),
                ("forget_attempts_of_account", row),
                ("forget_account", row),
            ]
        )

    def forget_path(self, path: str) -> int:
        """Delete all records of a path, and of all below it; as `forget_account`."""
        folder = path.rstrip("/") + "/"
        row = {"path": path, "below": folder, "beyond": folder + _HIGHEST}
        return self._change(
            [("overwrite_deleted", {}), ("forget_attempts_of_path", row), ("forget_path", row)]
        )

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _change(self, statements: Sequence[Statement]) -> int:
        return self._database.changes(statements).result()

    def _rows(self, statement: str, row: Mapping[str, Any]) -> tuple[SqlRow, ...]:
        return self._database.rows(statement, row, _all_rows).result()

    def _time(self, at: float) -> str:
        return self._clock.at(at).isoformat(timespec="milliseconds")

    def _record(self, row: SqlRow) -> Record:
        (_, at, request_id, trace_id, upload_id, event_id, method, asked, path, account) = row[:10]
        (peer, status, state, *cause, handlers, size, digest, total, opened, sealed) = row[10:]
        return Record(
            time=self._time(at),
            state=state,
            status=status,
            method=method,
            asked=asked,
            path=path,
            account=account,
            peer=peer,
            request_id=request_id,
            trace_id=trace_id or None,
            upload_id=upload_id or None,
            event_id=event_id or None,
            cause=_cause(cause),
            handlers=_ran(handlers),
            bytes=size,
            digest=digest or None,
            seconds=_durations(total, opened, sealed, is_upload=bool(upload_id)),
        )

    def _attempt(self, row: SqlRow) -> AttemptRecord:
        at, event_id, event, number, outcome, status, worker, seconds, delay, *cause, ran = row
        return AttemptRecord(
            time=self._time(at),
            event=event,
            event_id=event_id,
            number=number,
            outcome=outcome,
            status=status,
            seconds=_rounded(seconds),
            next_after=_rounded(delay) if outcome == "retry" else None,
            worker=worker or None,
            handlers=_ran(ran),
            cause=_cause(cause),
        )


def _file_id(path: Path) -> tuple[int, int] | None:
    """Device and inode of a file; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _all_rows(rows: Sequence[SqlRow]) -> tuple[SqlRow, ...]:
    return tuple(rows)


def _cause(row: Sequence[Any]) -> Cause | None:
    code, reason, plugin, file, line, content_hash = row
    if code is None:
        return None
    return Cause(
        code=code,
        reason=reason,
        plugin=plugin,
        file=file or None,
        line=line or None,
        content_hash=content_hash or None,
    )


def _ran(text: str) -> tuple[RanHandler, ...] | None:
    if not text:
        return None
    found = [RanHandler(**entry) for entry in strictjson.read(text.encode())]
    return tuple(changed(handler, seconds=_rounded(handler.seconds)) for handler in found)


def _durations(total: float, opened: float, sealed: float, *, is_upload: bool) -> Durations:
    """The steps that were begun: the last one of them ended with the request."""
    if not is_upload:
        return Durations(total=_rounded(total))
    return Durations(
        total=_rounded(total),
        decision=_rounded(opened or total),
        body=_rounded((sealed or total) - opened) if opened else None,
        publication=_rounded(total - sealed) if sealed else None,
    )


def _rounded(seconds: float) -> float:
    return round(seconds, 6)
