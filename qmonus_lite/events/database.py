"""A ledger: one SQLite database, and many changes in one commit.

What is asked while a commit runs goes into the next one together (group commit), so a hundred
changes at once cost one sync of the disk. Event loops ask the ledger's own thread and get a future,
which is done when the change is committed. A thread that may block adds rows itself, at once: the
first to come commits for all who wait with it.
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

#: What a commit promises: `FULL` survives a loss of power, `NORMAL` only the end of the process.
Synchronous = Literal["FULL", "NORMAL"]

#: Changes in one commit at most.
MAX_BATCH = 512
#: Seconds that changes which nobody waits for may wait for company.
BATCH_DELAY_SECONDS = 0.02
#: Seconds to wait for another process that writes to the same database.
BUSY_TIMEOUT_SECONDS = 10.0
#: Seconds between two probes of a database that could not be written to, and bytes of one: more
#: than a usual change has, so that a change works after a probe has.
PROBING, PROBE = 1.0, 64 << 10

#: Faults of one row alone (text that is no UTF-8, for one), while the others go on.
_ROW_ERRORS = (sqlite3.IntegrityError, ValueError, OverflowError)


class DatabaseFailed(QmonusLiteError):
    """The database could not take a change, or did and could not say so."""


@dataclass(frozen=True)
class _Job:
    """One piece of work with the database."""

    work: Callable[[sqlite3.Connection], Any]
    result: "Future[Any]"
    #: Nobody waits for it: it may be committed a little later.
    lazy: bool


@dataclass(eq=False)
class _Addition:
    """A row that a thread waits for."""

    sql: str
    row: Mapping[str, Any]
    #: Its number once it is committed, or why it is not.
    ended: int | DatabaseFailed | None = None


def statements(file: str) -> dict[str, str]:
    """The named statements of an `.sql` file beside this module."""
    text = files("qmonus_lite.events").joinpath(file).read_text()
    parts = re.split(r"^-- name: (\w+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


class Database:
    """A database that is asked from any thread."""

    def __init__(self, path: Path, sql: Mapping[str, str], synchronous: Synchronous) -> None:
        """Open or make it, with the statement `schema`; raises BadPlace."""
        self._path = path
        self._sql = sql
        self._synchronous = synchronous
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._additions: deque[_Addition] = deque()
        #: Held for one transaction.
        self._turn = threading.Lock()
        #: Whether the last transaction that had to write failed.
        self.failing = False
        #: Moment before which no further probe is made, by the monotonic clock.
        self._probed = 0.0
        #: Whether one is wanted.
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
        """Run a statement that changes; the future gives the number of rows changed."""
        return self._ask(lambda db: db.execute(self._sql[statement], row).rowcount, lazy)

    def rows(
        self, statement: str, row: Mapping[str, Any], *, lazy: bool = False
    ) -> "Future[list[tuple[Any, ...]]]":
        """The rows that a statement gives, in the order of all that was asked before."""
        return self._ask(lambda db: db.execute(self._sql[statement], row).fetchall(), lazy)

    def add(self, statement: str, rows: Sequence[Mapping[str, Any]]) -> list[int | DatabaseFailed]:
        """Insert rows now, on the thread that asks; the number of each, or why it is not there."""
        mine = [_Addition(self._sql[statement], row) for row in rows]
        self._additions.extend(mine)
        with self._turn:
            # Whoever had the turn before may have taken ours along.
            if mine[-1].ended is None:
                together = [self._additions.popleft() for _ in range(len(self._additions))]
                self.failing = not _add(self._database, together)
        return [one.ended or DatabaseFailed("not reached") for one in mine]

    def probe(self) -> None:
        """Find out, a little later, whether a failing database can be written to again."""
        now = time.monotonic()
        if now >= self._probed:
            self._probed = now + PROBING
            self._probing = True
            # So that its thread wakes up.
            self._ask(lambda _database: None, lazy=False)

    def close(self) -> None:
        """Finish what was asked and close the database."""
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
                # What only reads ends well on a full disk too.
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
        """The next jobs to commit together, and whether there will be more."""
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
    """Add what a database of an older version lacks: statements named `column_NAME`."""
    for statement, text in sql.items():
        _, _, column = statement.partition("column_")
        if column:
            try:
                database.execute(text)
            except sqlite3.OperationalError as error:
                # Whoever else opened it now was first, or it never lacked the column.
                if "duplicate column" not in str(error):
                    raise


def _commit(database: sqlite3.Connection, jobs: list[_Job]) -> bool:
    """Do the jobs in one transaction, then say how each ended; whether it was committed."""
    # From here on nobody can cancel them any more.
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
        # Whatever it is: this thread serves all who ask, now and later.
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
    """Insert in one transaction, and write down how each ended; whether it was committed."""
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
    """Whether a transaction of its own that writes is committed; it leaves nothing behind."""
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
    """The disk is full or broken: nothing of this transaction happened."""
    if database.in_transaction:
        # One that fails leaves the transaction open, so that the next begins with this again.
        with contextlib.suppress(sqlite3.Error):
            database.execute("ROLLBACK")
