"""Transactions that change many things at once, where each change succeeds or fails alone."""

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from qmonus_lite.errors import QmonusLiteError

logger = logging.getLogger(__name__)

#: Bytes that a write probe writes: larger than a typical change, so that changes succeed after a
#: successful probe.
PROBE_BYTES = 64 << 10

#: Errors of a single row (text that is not valid UTF-8, for example); the other rows of the
#: transaction are still committed.
_ROW_ERRORS = (sqlite3.IntegrityError, ValueError, OverflowError)


class DatabaseFailed(QmonusLiteError):
    """A change was not committed, or it is unknown whether it was."""


#: Class of the errors that callers of a database get: DatabaseFailed, or one of theirs.
Failure = type[QmonusLiteError]


@dataclass(frozen=True)
class Job:
    """A unit of work for the database thread."""

    work: Callable[[sqlite3.Connection], Any]
    result: "Future[Any]"
    #: No caller waits for the result: the commit may be delayed.
    lazy: bool


@dataclass(eq=False)
class Insert:
    """A row to insert, for which a thread waits."""

    sql: str
    row: Mapping[str, Any]
    #: Its rowid once it is committed, or the error; None while it is pending.
    result: int | QmonusLiteError | None = None


def run_jobs(database: sqlite3.Connection, jobs: Sequence[Job], failed: Failure) -> bool:
    """Run the jobs in one transaction, then set their futures; whether it was committed."""
    # From here on the futures cannot be cancelled.
    jobs = [job for job in jobs if job.result.set_running_or_notify_cancel()]
    results: list[tuple[Job, Any, Exception | None]] = []
    committed = False
    try:
        database.execute("BEGIN IMMEDIATE")
        for job in jobs:
            results.append(_run(database, job))
        database.execute("COMMIT")
        committed = True
    except Exception as error:
        # Catch everything: an uncaught error would end the thread that serves all callers.
        if not isinstance(error, sqlite3.Error):
            logger.exception("a change failed", extra={"action": "database_failed"})
        _roll_back(database)
        results = [(job, None, error) for job in jobs]
    for job, value, failure in results:
        if failure is None:
            job.result.set_result(value)
        else:
            job.result.set_exception(failed(str(failure)))
    return committed


def insert_rows(database: sqlite3.Connection, inserts: Sequence[Insert], failed: Failure) -> bool:
    """Insert rows in one transaction and set the result of each; whether it was committed."""
    results: list[int | QmonusLiteError] = []
    committed = False
    try:
        database.execute("BEGIN IMMEDIATE")
        for insert in inserts:
            try:
                results.append(database.execute(insert.sql, insert.row).lastrowid or 0)
            except _ROW_ERRORS as error:
                results.append(failed(str(error)))
        database.execute("COMMIT")
        committed = True
    except sqlite3.Error as error:
        _roll_back(database)
        results = [failed(str(error)) for _ in inserts]
    for insert, result in zip(inserts, results, strict=True):
        insert.result = result
    return committed


def can_write(database: sqlite3.Connection) -> bool:
    """Write probe: whether a transaction with PROBE_BYTES commits; its table is dropped again."""
    try:
        database.execute("BEGIN IMMEDIATE")
        database.execute("CREATE TABLE IF NOT EXISTS probe (filler BLOB)")
        database.execute("INSERT INTO probe VALUES (randomblob(?))", (PROBE_BYTES,))
        database.execute("COMMIT")
        database.execute("DROP TABLE probe")
    except sqlite3.Error:
        _roll_back(database)
        return False
    return True


def _run(database: sqlite3.Connection, job: Job) -> tuple[Job, Any, Exception | None]:
    try:
        return job, job.work(database), None
    except _ROW_ERRORS as error:
        return job, None, error


def _roll_back(database: sqlite3.Connection) -> None:
    """Undo the transaction after an error (disk full or failing)."""
    if database.in_transaction:
        # A failed ROLLBACK leaves the transaction open; the next BEGIN then fails and retries it.
        with contextlib.suppress(sqlite3.Error):
            database.execute("ROLLBACK")
