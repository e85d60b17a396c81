"""SQLite database with group commit: many changes share one transaction.

Changes submitted while a commit runs are batched into the next transaction, so a hundred
concurrent changes cost one fsync. Event loops submit jobs to the database thread and get a future,
which is done when the change is committed. A thread that may block inserts rows itself, at once:
the first thread to get the lock commits the rows of all waiting threads.
"""

import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, cast

from qmonus_lite.database.migration import check_current, migrate
from qmonus_lite.database.schema import DatabaseSchema
from qmonus_lite.database.transaction import Insert, Job, can_write, insert_rows, run_jobs
from qmonus_lite.errors import BadResource, QmonusLiteError

#: Durability of a commit (PRAGMA synchronous): `FULL` survives a power failure, `NORMAL` only a
#: crash of the process.
Synchronous = Literal["FULL", "NORMAL"]

#: Maximum number of jobs in one transaction.
MAX_BATCH = 512
#: Maximum delay of a lazy job in seconds, so that several share a commit.
BATCH_DELAY_SECONDS = 0.02
#: SQLite busy timeout in seconds: how long to wait for another process that holds the write lock.
BUSY_TIMEOUT_SECONDS = 10.0
#: Minimum seconds between two write probes of a failing database.
PROBE_INTERVAL_SECONDS = 1.0

Row = tuple[Any, ...]
Value = TypeVar("Value")
Error = TypeVar("Error", bound=QmonusLiteError)


class Database(Generic[Error]):
    """Database access from any thread."""

    def __init__(
        self,
        path: Path,
        schema: DatabaseSchema,
        synchronous: Synchronous,
        failed: type[Error],
        *,
        migration_values: Mapping[str, Any] | None = None,
    ) -> None:
        """Open or create the database and migrate it with these parameters.

        `failed` is the class of error of changes that were not committed, or of which that is
        unknown. Without `migration_values` (None) a database of an older format is refused.
        Raises BadResource for a file that is no database, or has a format that cannot be used.
        """
        self._path = path
        self._sql = schema.statements
        self._synchronous = synchronous
        self._failed = failed
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._inserts: deque[Insert] = deque()
        #: Held during a transaction.
        self._transaction_lock = threading.Lock()
        #: Whether the last transaction that wrote failed.
        self.failing = False
        #: Earliest time of the next probe, by the monotonic clock.
        self._next_probe = 0.0
        #: Whether a probe is requested.
        self._probe_requested = False
        try:
            self._database = self._open(schema, migration_values)
        except (sqlite3.Error, OSError) as error:
            raise BadResource(
                f"{path}: not a usable database: {error};"
                " move it aside to begin with an empty one, what it holds is then lost"
            ) from None
        self._thread = threading.Thread(target=self._run, name=path.stem, daemon=True)
        self._thread.start()

    def change(
        self, statement: str, row: Mapping[str, Any], *, lazy: bool = False
    ) -> "Future[int]":
        """Run a statement that modifies data; the future gives the number of rows changed."""
        return self._submit(lambda db: db.execute(self._sql[statement], row).rowcount, lazy)

    def changes(
        self, statements: Sequence[tuple[str, Mapping[str, Any]]], *, lazy: bool = False
    ) -> "Future[int]":
        """Run statements in one transaction; the future gives the rows changed by the last one."""

        def run(database: sqlite3.Connection) -> int:
            count = 0
            for statement, row in statements:
                count = database.execute(self._sql[statement], row).rowcount
            return count

        return self._submit(run, lazy)

    def rows(
        self, statement: str, row: Mapping[str, Any], read: Callable[[list[Row]], Value]
    ) -> "Future[Value]":
        """What `read` makes of the rows of a statement; it runs after all jobs submitted before.

        `read` runs on the database thread; a ValueError fails the future.
        """
        return self._submit(lambda db: read(db.execute(self._sql[statement], row).fetchall()))

    def insert(self, statement: str, rows: Sequence[Mapping[str, Any]]) -> list[int | Error]:
        """Insert rows on the calling thread and commit; the rowid or the error of each row."""
        inserts = [Insert(self._sql[statement], row) for row in rows]
        self._inserts.extend(inserts)
        with self._transaction_lock:
            # The previous holder of the lock may have committed these rows too.
            if inserts[-1].result is None:
                batch = [self._inserts.popleft() for _ in range(len(self._inserts))]
                self.failing = not insert_rows(self._database, batch, self._failed)
        results = [insert.result or self._failed("not reached") for insert in inserts]
        return cast("list[int | Error]", results)

    def probe(self) -> None:
        """Request an asynchronous write probe of a failing database; its rate is limited."""
        now = time.monotonic()
        if now >= self._next_probe:
            self._next_probe = now + PROBE_INTERVAL_SECONDS
            self._probe_requested = True
            # Wake the database thread.
            self._submit(lambda _database: None)

    def close(self) -> None:
        """Run the submitted jobs, then close the database."""
        self._jobs.put(None)
        self._thread.join()

    def _submit(
        self, work: Callable[[sqlite3.Connection], Any], lazy: bool = False
    ) -> "Future[Any]":
        job = Job(work, Future(), lazy)
        self._jobs.put(job)
        return job.result

    def _run(self) -> None:
        running = True
        while running:
            jobs, running = self._gather()
            with self._transaction_lock:
                # A read-only transaction succeeds on a full disk too, so success does not reset it.
                self.failing = not run_jobs(self._database, jobs, self._failed) or self.failing
                if self._probe_requested:
                    self._probe_requested = False
                    self.failing = not can_write(self._database)
        self._database.close()

    def _open(
        self, schema: DatabaseSchema, migration_values: Mapping[str, Any] | None
    ) -> sqlite3.Connection:
        self._path.touch(mode=0o600)
        database = sqlite3.connect(
            self._path, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS, check_same_thread=False
        )
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(f"PRAGMA synchronous = {self._synchronous}")
            if migration_values is None:
                check_current(database, self._path, schema)
            else:
                migrate(database, self._path, schema, migration_values)
        except BaseException:
            database.close()
            raise
        return database

    def _gather(self) -> tuple[list[Job], bool]:
        """The next batch of jobs, and False if the database is to be closed after it."""
        jobs: list[Job] = []
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

    def _next(self, deadline: float | None, hurry: bool) -> Job | None:
        if deadline is None:
            return self._jobs.get()
        wait = 0.0 if hurry else max(0.0, deadline - time.monotonic())
        return self._jobs.get(timeout=wait) if wait else self._jobs.get_nowait()
