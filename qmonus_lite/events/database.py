"""SQLite database with group commit: many changes share one transaction.

Changes submitted while a commit runs are batched into the next transaction, so a hundred
concurrent changes cost one fsync. Event loops submit jobs to the database thread and get a future,
which is done when the change is committed. A thread that may block inserts rows itself, at once:
the first thread to get the lock commits the rows of all waiting threads.
"""

import contextlib
import logging
import queue
import re
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from qmonus_lite.errors import BadPlace, QmonusLiteError

logger = logging.getLogger(__name__)

#: Durability of a commit (PRAGMA synchronous): `FULL` survives a power failure, `NORMAL` only a
#: crash of the process.
Synchronous = Literal["FULL", "NORMAL"]

#: Maximum number of jobs in one transaction.
MAX_BATCH = 512
#: Maximum delay of a lazy job in seconds, so that several share a commit.
BATCH_DELAY_SECONDS = 0.02
#: SQLite busy timeout in seconds: how long to wait for another process that holds the write lock.
BUSY_TIMEOUT_SECONDS = 10.0
#: Minimum seconds between two write probes of a failing database, and bytes that a probe writes:
#: larger than a typical change, so that changes succeed after a successful probe.
PROBING, PROBE = 1.0, 64 << 10

#: Errors of a single row (text that is not valid UTF-8, for example); the other rows of the
#: transaction are still committed.
_ROW_ERRORS = (sqlite3.IntegrityError, ValueError, OverflowError)


class DatabaseFailed(QmonusLiteError):
    """A change was not committed, or it is unknown whether it was."""


@dataclass(frozen=True)
class _Job:
    """A unit of work for the database thread."""

    work: Callable[[sqlite3.Connection], Any]
    result: "Future[Any]"
    #: No caller waits for the result: the commit may be delayed by BATCH_DELAY_SECONDS.
    lazy: bool


@dataclass(eq=False)
class _Addition:
    """A row to insert, for which a thread waits."""

    sql: str
    row: Mapping[str, Any]
    #: Its rowid once it is committed, or the error; None while it is pending.
    ended: int | DatabaseFailed | None = None


def statements(file: str) -> dict[str, str]:
    """The statements of an `.sql` file in this package, by their `-- name:` line."""
    text = files("qmonus_lite.events").joinpath(file).read_text()
    parts = re.split(r"^-- name: (\w+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


class Database:
    """Database access from any thread."""

    def __init__(self, path: Path, sql: Mapping[str, str], synchronous: Synchronous) -> None:
        """Open or create the database, run the statement `schema`; raises BadPlace."""
        self._path = path
        self._sql = sql
        self._synchronous = synchronous
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._additions: deque[_Addition] = deque()
        #: Held during a transaction.
        self._turn = threading.Lock()
        #: Whether the last transaction that wrote failed.
        self.failing = False
        #: Earliest time of the next probe, by the monotonic clock.
        self._probed = 0.0
        #: Whether a probe is requested.
        self._probing = False
        try:
            self._database = self._open()
        except (sqlite3.Error, OSError) as error:
            raise BadPlace(
                f"{path}: not a usable database: {error};"
                " move it aside to begin with an empty one, its events are then lost"
            ) from None
        self._thread = threading.Thread(target=self._live, name=path.stem, daemon=True)
        self._thread.start()

    def change(
        self, statement: str, row: Mapping[str, Any], *, lazy: bool = False
    ) -> "Future[int]":
        """Run a statement that modifies data; the future gives the number of rows changed."""
        return self._ask(lambda db: db.execute(self._sql[statement], row).rowcount, lazy)

    def rows(
        self, statement: str, row: Mapping[str, Any], *, lazy: bool = False
    ) -> "Future[list[tuple[Any, ...]]]":
        """The rows that a statement returns; it runs after all jobs submitted before."""
        return self._ask(lambda db: db.execute(self._sql[statement], row).fetchall(), lazy)

    def add(self, statement: str, rows: Sequence[Mapping[str, Any]]) -> list[int | DatabaseFailed]:
        """Insert rows on the calling thread and commit; the rowid or the error of each row."""
        mine = [_Addition(self._sql[statement], row) for row in rows]
        self._additions.extend(mine)
        with self._turn:
            # The previous holder of the lock may have committed these rows too.
            if mine[-1].ended is None:
                together = [self._additions.popleft() for _ in range(len(self._additions))]
                self.failing = not _add(self._database, together)
        return [one.ended or DatabaseFailed("not reached") for one in mine]

    def probe(self) -> None:
        """Request an asynchronous write probe of a failing database; rate-limited to PROBING."""
        now = time.monotonic()
        if now >= self._probed:
            self._probed = now + PROBING
            self._probing = True
            # Wake the database thread.
            self._ask(lambda _database: None, lazy=False)

    def close(self) -> None:
        """Run the submitted jobs, then close the database."""
        self._jobs.put(None)
        self._thread.join()

    def _ask(self, work: Callable[[sqlite3.Connection], Any], lazy: bool) -> "Future[Any]":
        job = _Job(work, Future(), lazy)
        self._jobs.put(job)
        return job.result

    def _live(self) -> None:
        going = True
        while going:
            jobs, going = self._gather()
            with self._turn:
                # A read-only transaction succeeds on a full disk too, so success does not reset it.
                self.failing = not _commit(self._database, jobs) or self.failing
                if self._probing:
                    self._probing = False
                    self.failing = not _can_write(self._database)
        self._database.close()

    def _open(self) -> sqlite3.Connection:
        self._path.touch(mode=0o600)
        database = sqlite3.connect(
            self._path, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS, check_same_thread=False
        )
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(f"PRAGMA synchronous = {self._synchronous}")
        database.executescript(self._sql["schema"])
        _add_columns(database, self._sql)
        return database

    def _gather(self) -> tuple[list[_Job], bool]:
        """The next batch of jobs, and False if the database is to be closed after it."""
        jobs: list[_Job] = []
        deadline = None
        while len(jobs) < MAX_BATCH:
            hurry = any(not job.lazy for job in jobs)
            try:
                job = self._next(deadline, hurry)
            except queue.Empty:
                return jobs, True
            if job is None:
                return jobs, False
            jobs.append(job)
            deadline = deadline or time.monotonic() + BATCH_DELAY_SECONDS
        return jobs, True

    def _next(self, deadline: float | None, hurry: bool) -> _Job | None:
        if deadline is None:
            return self._jobs.get()
        wait = 0.0 if hurry else max(0.0, deadline - time.monotonic())
        return self._jobs.get(timeout=wait) if wait else self._jobs.get_nowait()


def _add_columns(database: sqlite3.Connection, sql: Mapping[str, str]) -> None:
    """Schema migration: run the statements named `column_NAME` unless the column exists."""
    for statement, text in sql.items():
        _, _, column = statement.partition("column_")
        if column:
            try:
                database.execute(text)
            except sqlite3.OperationalError as error:
                # The column exists already, or another process has just added it.
                if "duplicate column" not in str(error):
                    raise


def _commit(database: sqlite3.Connection, jobs: list[_Job]) -> bool:
    """Run the jobs in one transaction, then set their futures; whether it was committed."""
    # From here on the futures cannot be cancelled.
    jobs = [job for job in jobs if job.result.set_running_or_notify_cancel()]
    ended: list[tuple[_Job, Any, Exception | None]] = []
    committed = False
    try:
        database.execute("BEGIN IMMEDIATE")
        for job in jobs:
            ended.append(_do(database, job))
        database.execute("COMMIT")
        committed = True
    except Exception as error:
        # Catch everything: an uncaught error would end the thread that serves all callers.
        if not isinstance(error, sqlite3.Error):
            logger.exception("a change broke off", extra={"action": "ledger_failed"})
        _roll_back(database)
        ended = [(job, None, error) for job in jobs]
    for job, value, failure in ended:
        if failure is None:
            job.result.set_result(value)
        else:
            job.result.set_exception(DatabaseFailed(str(failure)))
    return committed


def _add(database: sqlite3.Connection, additions: list[_Addition]) -> bool:
    """Insert rows in one transaction and set `ended` of each; whether it was committed."""
    ended: list[int | DatabaseFailed] = []
    committed = False
    try:
        database.execute("BEGIN IMMEDIATE")
        for one in additions:
            try:
                ended.append(database.execute(one.sql, one.row).lastrowid or 0)
            except _ROW_ERRORS as error:
                ended.append(DatabaseFailed(str(error)))
        database.execute("COMMIT")
        committed = True
    except sqlite3.Error as error:
        _roll_back(database)
        ended = [DatabaseFailed(str(error)) for _ in additions]
    for one, end in zip(additions, ended, strict=True):
        one.ended = end
    return committed


def _can_write(database: sqlite3.Connection) -> bool:
    """Write probe: whether a transaction with PROBE bytes commits; its table is dropped again."""
    try:
        database.execute("BEGIN IMMEDIATE")
        database.execute("CREATE TABLE IF NOT EXISTS probe (filler BLOB)")
        database.execute("INSERT INTO probe VALUES (randomblob(?))", (PROBE,))
        database.execute("COMMIT")
        database.execute("DROP TABLE probe")
    except sqlite3.Error:
        _roll_back(database)
        return False
    return True


def _do(database: sqlite3.Connection, job: _Job) -> tuple[_Job, Any, Exception | None]:
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
