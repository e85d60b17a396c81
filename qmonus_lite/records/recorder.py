"""The recorder: a listener that writes records in batches, on a thread of its own.

A listener only appends to a queue. What a process that is killed had not written yet, the requests
of the last BATCH_SECONDS, is lost; so is what does not fit the queue while the database is broken
or slow, which is counted and logged. No request waits for a record, and none fails with one.
"""

import logging
import threading
import time
from collections import deque
from pathlib import Path

from qmonus_lite.clock import Clock, SteadyClock
from qmonus_lite.errors import BadResource
from qmonus_lite.observations import DeliveryTried, Listener, RequestAnswered, RequestCut
from qmonus_lite.rate_limited_log import RateLimitedLog
from qmonus_lite.records.rows import Statement, attempt_row, record_row
from qmonus_lite.records.store import MAX_ATTEMPTS, Bounds, RecordsFailed, RecordStore

logger = logging.getLogger(__name__)

#: Seconds that records wait for others, to be written together.
BATCH_SECONDS = 0.2
#: Maximum records that wait in a process, and that one transaction writes.
MAX_QUEUED, MAX_BATCH = 10_000, 500
#: Seconds between two deletions of old records, and two attempts to open a broken database.
EXPIRE_SECONDS, REOPEN_SECONDS = 60.0, 30.0
#: Maximum seconds that the end of a process waits for the last batch.
MAX_CLOSE_SECONDS = 5.0
#: Requests that ask for health, at short intervals.
_PROBES = frozenset({"/-/live", "/-/ready"})

_Ended = RequestAnswered | RequestCut


class Recorder:
    """Records the requests and delivery attempts of one process."""

    def __init__(self, path: Path, clock: Clock, bounds: Bounds, *, everything: bool) -> None:
        """`everything`: also uploads that were stored without any handler."""
        self._path = path
        self._clock = clock
        # Never moved: a wall clock that is set forward must not delete all records.
        self._age_clock = SteadyClock(clock)
        self._bounds = bounds
        self._everything = everything
        self._queue: deque[tuple[_Ended | DeliveryTried, float]] = deque()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._log = RateLimitedLog(logger)
        #: Records of this process that could not be written.
        self.lost = 0
        self._told = 0
        #: None until it could be opened.
        self.store: RecordStore | None = None
        self._reopens_at = 0.0
        self._expires_at = 0.0
        self._thread = threading.Thread(target=self._run, name="records", daemon=True)

    def listeners(self) -> list[tuple[type, Listener]]:
        """For `Observers`."""
        return [
            (RequestAnswered, self._answered),
            (RequestCut, self._put),
            (DeliveryTried, self._put),
        ]

    def start(self) -> None:
        """Start to write; nothing is raised, a database that cannot be opened is tried again."""
        self._thread.start()

    def close(self) -> None:
        """Write what waits, for MAX_CLOSE_SECONDS, and close the database."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(MAX_CLOSE_SECONDS)

    def _answered(self, request: RequestAnswered) -> None:
        if (
            request.refusal is None
            and request.status < 400
            and not request.event_id
            and not request.handlers
            and not (self._everything and request.upload_id)
        ):
            return
        if request.path not in _PROBES:
            self._put(request)

    def _put(self, observation: _Ended | DeliveryTried) -> None:
        if len(self._queue) >= MAX_QUEUED:
            self.lost += 1
            return
        self._queue.append((observation, self._clock.now()))
        if not self._wake.is_set():
            self._wake.set()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._work()
            self._wake.wait(EXPIRE_SECONDS)
            self._wake.clear()
            self._closing.wait(BATCH_SECONDS)
        self._work()
        if self.store is not None:
            self.store.close()

    def _work(self) -> None:
        try:
            store = self._open()
            if store is not None:
                self._flush(store)
                self._expire(store)
        except RecordsFailed as error:
            self._log.warn(f"records fail: {error}", action="records_failed", lost=self.lost)
        except Exception:
            # A bug; the thread has to go on.
            logger.exception("records were not written", extra={"action": "records_failed"})
        if self.lost > self._told:
            text = f"{self.lost - self._told} records were lost"
            self._log.warn(text, kind="lost", action="records_lost", lost=self.lost)
            self._told = self.lost

    def _open(self) -> RecordStore | None:
        if self.store is not None and self.store.is_replaced():
            # Rows in a deleted file are found by no command; and a broken one is mended like that.
            self._log.warn("the file of the records is another", action="records_reopened")
            replaced, self.store = self.store, None
            replaced.close()
        if self.store is None and time.monotonic() >= self._reopens_at:
            self._reopens_at = time.monotonic() + REOPEN_SECONDS
            try:
                self.store = RecordStore(self._path, self._clock, migrates=True)
            except BadResource as error:
                self._log.warn(f"no records are written: {error}", action="records_failed")
        return self.store

    def _flush(self, store: RecordStore) -> None:
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(MAX_BATCH, len(self._queue)))]
            try:
                store.write(_statements(batch), self._bounds)
            except BaseException:
                self.lost += len(batch)
                raise

    def _expire(self, store: RecordStore) -> None:
        if time.monotonic() >= self._expires_at:
            self._expires_at = time.monotonic() + EXPIRE_SECONDS
            store.expire(self._age_clock.now() - self._bounds.max_age_seconds)


def _statements(batch: list[tuple[_Ended | DeliveryTried, float]]) -> list[Statement]:
    statements: list[Statement] = []
    for observation, at in batch:
        if isinstance(observation, DeliveryTried):
            statements += _of_attempt(observation, at)
        else:
            statements.append(("record", record_row(observation, at)))
    return statements


def _of_attempt(tried: DeliveryTried, at: float) -> list[Statement]:
    state = "retrying" if tried.outcome == "retry" else tried.outcome
    event: dict[str, object] = {"event_id": tried.event_id}
    statements: list[Statement] = [
        ("attempt", attempt_row(tried, at)),
        ("set_state", {**event, "state": state}),
    ]
    if tried.attempt > MAX_ATTEMPTS:
        statements.append(("trim_attempts", {**event, "most": MAX_ATTEMPTS}))
    return statements
