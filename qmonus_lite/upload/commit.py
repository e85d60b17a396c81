"""The commit: the order in which a staged file becomes a stored one, and its event a promise.

    sync(staged) -> outbox row PREPARED -> rename -> sync(directory) -> row READY -> answer

What a crash leaves is decided at the next start by this table, and nothing else:

    staged file is   and is the same file as the final one   so the rename        row
    ------------------------------------------------------------------------------------------
    there            no                                      did not happen       withdrawn
    there            yes (its old name was not yet gone)     happened             made READY
    gone             -                                       happened             made READY
    there, no row    -                                       was never promised   (file swept)
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field

from qmonus_lite.errors import Unavailable
from qmonus_lite.events.ledger import LedgerFailed
from qmonus_lite.events.outbox import Outbox, Promise, Undecided
from qmonus_lite.upload.ground import Ground
from qmonus_lite.upload.staging import StagedFile, Staging

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class _Turn:
    """Who commits to one path."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A received upload that is to be stored."""

    staged: StagedFile
    #: Bytes that are not yet in the staged file.
    rest: bytes | bytearray
    parts: tuple[str, ...]
    promise: Promise
    #: Refuse to take the place of another file.
    create_only: bool = False


@dataclass(frozen=True, kw_only=True)
class Committer:
    """Commits uploads of one APIGW."""

    ground: Ground
    outbox: Outbox
    threads: Executor
    #: Called when an event may go out.
    wake: Callable[[], None]
    #: Mode of stored files.
    mode: int
    _turns: dict[tuple[str, ...], _Turn] = field(default_factory=dict)
    #: Files whose rows the outbox could not forget, by event id.
    _owed: dict[str, StagedFile] = field(default_factory=dict)
    #: Events of files in place that the outbox could not let go.
    _unreleased: set[str] = field(default_factory=set)
    _settling: threading.Lock = field(default_factory=threading.Lock)

    async def commit(self, upload: Upload) -> bool:
        """Store the file and promise its event; whether it replaced another. Raises Problem.

        One path at a time, so that the events of a path stand in the order of its contents. All of
        it is one piece of work for a disk thread: for a small file, hops cost more than the disk.
        """
        loop = asyncio.get_running_loop()
        turn = self._turns.setdefault(upload.parts, _Turn())
        turn.waiting += 1
        try:
            async with turn.lock:
                return await loop.run_in_executor(self.threads, self._commit, upload)
        finally:
            turn.waiting -= 1
            if not turn.waiting:
                del self._turns[upload.parts]

    def _commit(self, upload: Upload) -> bool:
        staged, event_id = upload.staged, upload.promise.id
        if upload.rest:
            staged.write(upload.rest)
        staged.digests.check()
        staged.finish(self.mode)
        self._settle()
        self._prepare(upload)
        try:
            replaced = staged.place(self.ground, upload.parts, create_only=upload.create_only)
        except BaseException:
            if staged.placed:
                # Only the last sync failed: the file is there to be seen, so its event goes out.
                self._release(event_id)
            else:
                self._withdraw(staged, event_id)
            raise
        self._release(event_id)
        return replaced

    def _prepare(self, upload: Upload) -> None:
        try:
            self.outbox.prepare(upload.promise).result()
        except LedgerFailed as error:
            # The row may be there after all: the file stays until the outbox has forgotten it.
            self._withdraw(upload.staged, upload.promise.id)
            extra = {"action": "promise_failed", "event_id": upload.promise.id}
            logger.error("the outbox failed: %s", error, extra=extra)
            raise Unavailable("the event of this upload cannot be promised now") from error

    def _release(self, event_id: str) -> None:
        """Let the event go; not waited for, since a restart would find the same out."""
        released = self.outbox.ready(event_id)
        released.add_done_callback(lambda done: self._released(event_id, done))

    def _released(self, event_id: str, done: "Future[int]") -> None:
        if done.exception() is None:
            self.wake()
        else:
            self._unreleased.add(event_id)

    def _withdraw(self, staged: StagedFile, event_id: str) -> None:
        """Take the promise back; while that fails, the staged file says that nothing happened."""
        try:
            self.outbox.withdraw(event_id).result()
        except LedgerFailed:
            staged.owed = True
            self._owed[event_id] = staged

    def _settle(self) -> None:
        """Do what the outbox refused before; raises Unavailable if it still refuses."""
        if not self._owed and not self._unreleased:
            return
        with self._settling:
            try:
                for event_id, staged in list(self._owed.items()):
                    self.outbox.withdraw(event_id).result()
                    del self._owed[event_id]
                    staged.owed = False
                    staged.discard()
                for event_id in list(self._unreleased):
                    self.outbox.ready(event_id).result()
                    self._unreleased.discard(event_id)
                    self.wake()
            except LedgerFailed as error:
                raise Unavailable("the outbox takes no events now") from error


def recover(outbox: Outbox, staging: Staging) -> None:
    """Decide what a crash left undecided; called before the first upload."""
    outbox.release()
    for promise in outbox.prepared():
        if _happened(promise):
            outbox.ready(promise.id).result()
        else:
            outbox.withdraw(promise.id).result()
    if swept := staging.sweep():
        logger.info("removed %d staged files", swept, extra={"action": "staging_swept"})


def _happened(promise: Undecided) -> bool:
    if not promise.staged.exists():
        return True
    return promise.final.exists() and promise.final.samefile(promise.staged)
