"""The commit: the order in which a staged file becomes a stored one, and its event a promise.

    sync(staged) -> outbox row PREPARED -> rename -> sync(directory) -> answer, event goes

What a crash leaves is decided at the next start by this table, and nothing else:

    staged file is   and is the same file as the final one   so the rename        row
    ------------------------------------------------------------------------------------------
    there            no                                      did not happen       withdrawn
    there            yes (its old name was not yet gone)     happened             made READY
    gone             -                                       happened             made READY
    there, no row    -                                       was never promised   (file swept)

Uploads that are whole at the same time take each step together (`upload.crew` says how many): one
row after the other in one commit of the outbox, and one sync for all names in a directory.
"""

import asyncio
import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from qmonus_lite.errors import InternalFault, Unavailable
from qmonus_lite.events.ledger import LedgerFailed
from qmonus_lite.events.outbox import Outbox, Promise, Undecided
from qmonus_lite.upload.crew import Crew
from qmonus_lite.upload.ground import Ground, Parents
from qmonus_lite.upload.staging import Names, Placed, StagedFile, Staging

logger = logging.getLogger(__name__)


class Post(Protocol):
    """Who takes events away (`events.dispatcher`)."""

    def take(self, seq: int, promise: Promise) -> bool:
        """Deliver straight from the commit; False for an event that has to wait in the outbox."""

    def wake(self) -> None:
        """There is something in the outbox."""


@dataclass(kw_only=True)
class _Turn:
    """Who commits to one path."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


@dataclass(eq=False, kw_only=True)
class Upload:
    """A received upload that is to be stored."""

    staged: StagedFile
    #: Bytes that are not yet in the staged file.
    rest: bytes | bytearray
    parts: tuple[str, ...]
    promise: Promise
    #: Refuse to take the place of another file.
    create_only: bool = False
    #: Place of its event among all; 0 until it is promised.
    seq: int = 0
    placed: Placed | None = None
    #: Whether its name is on stable storage, as far as that is promised.
    kept: bool = False
    #: Seconds that its sync took.
    waited: float = math.inf
    #: Why it goes no further.
    error: BaseException | None = None

    def write(self) -> None:
        """Write what is not yet in the staged file; raises Problem, also for a wrong digest."""
        if self.rest:
            self.staged.write(self.rest)
        self.staged.digests.check()

    def finish(self) -> None:
        """Write it, and put all bytes on stable storage; raises Problem."""
        self.write()
        self.staged.finish()


class Commits(Protocol):
    """Who stores uploads."""

    async def commit(self, upload: Upload) -> bool:
        """Store the file and promise its event; whether it replaced another. Raises Problem."""


class Committer:
    """Commits uploads to one launch directory."""

    def __init__(self, ground: Ground, outbox: Outbox, post: Post, *, threads: Executor) -> None:
        self._ground = ground
        self._outbox = outbox
        self._post = post
        self._crew = Crew(self._commit, threads)
        self._turns: dict[tuple[str, ...], _Turn] = {}
        #: Files whose rows the outbox could not forget, by event id.
        self._owed: dict[str, StagedFile] = {}
        #: Events of files in place that the outbox could not let go.
        self._unreleased: set[str] = set()
        self._settling = threading.Lock()

    @property
    def owed(self) -> set[Path]:
        """Staged files that prove that nothing happened, while the outbox cannot forget."""
        return {staged.path for staged in self._owed.values()}

    async def commit(self, upload: Upload) -> bool:
        """Store the file and promise its event; whether it replaced another. Raises Problem.

        One path at a time, so that the events of a path stand in the order of its contents.
        """
        turn = self._turns.setdefault(upload.parts, _Turn())
        turn.waiting += 1
        try:
            async with turn.lock:
                await self._crew.do(upload)
        finally:
            turn.waiting -= 1
            if not turn.waiting:
                del self._turns[upload.parts]
        if upload.error is not None:
            raise upload.error
        if upload.placed is None or not upload.kept:
            # Only what went all the way is acknowledged, whatever broke off the way.
            raise InternalFault("the upload was not stored; the log of the server says why")
        return upload.placed.replaced

    def _commit(self, uploads: Sequence[Upload]) -> float:
        """All steps, for uploads to different paths; how each ended stands in it.

        Gives the seconds of the shortest sync.
        """
        disk = self._ground.disk
        # All bytes before the first sync, which puts much of the others on its way too.
        self._each(uploads, Upload.write)
        self._each(uploads, self._sync)
        staged = Names(disk)
        self._each(uploads, lambda one: one.staged.keep_name(staged))
        self._each(uploads, lambda _one: self._settle())
        self._promise([one for one in uploads if one.error is None])
        with contextlib.closing(Parents(self._ground)) as parents:
            self._each(uploads, lambda one: self._place(one, parents))
            final = Names(disk)
            self._each(uploads, lambda one: _keep(one, final))
        for one in uploads:
            # Also when only the last sync failed: the file is there to be seen.
            if one.placed is not None:
                self._release(one)
        return min(one.waited for one in uploads)

    def _each(self, uploads: Sequence[Upload], step: Callable[[Upload], object]) -> None:
        """Take a step with those that came so far; one that fails holds up no other."""
        for one in uploads:
            if one.error is None:
                try:
                    step(one)
                except BaseException as error:
                    one.error = error

    def _sync(self, upload: Upload) -> None:
        began = time.perf_counter()
        upload.staged.finish()
        upload.waited = time.perf_counter() - began

    def _promise(self, uploads: Sequence[Upload]) -> None:
        if not uploads:
            return
        ends = self._outbox.prepare([one.promise for one in uploads])
        for one, end in zip(uploads, ends, strict=True):
            if isinstance(end, int):
                one.seq = end
                continue
            # The row may be there after all: the file stays until the outbox has forgotten it.
            self._withdraw(one)
            extra = {"action": "promise_failed", "event_id": one.promise.id}
            logger.error("the outbox failed: %s", end, extra=extra)
            one.error = Unavailable("the event of this upload cannot be promised now")

    def _place(self, upload: Upload, parents: Parents) -> None:
        try:
            walk = parents.of(upload.parts)
            name = upload.parts[-1]
            upload.placed = upload.staged.place(walk, name, create_only=upload.create_only)
        except BaseException:
            self._withdraw(upload)
            raise

    def _release(self, upload: Upload) -> None:
        """Let the event go; not waited for, since a restart would find the same out."""
        promise = upload.promise
        if not self._post.take(upload.seq, promise):
            released = self._outbox.ready(promise.id)
            released.add_done_callback(lambda done: self._released(promise.id, done))

    def _released(self, event_id: str, done: "Future[int]") -> None:
        if done.exception() is None:
            self._post.wake()
        else:
            self._unreleased.add(event_id)

    def _withdraw(self, upload: Upload) -> None:
        """Take the promise back; while that fails, the staged file says that nothing happened."""
        try:
            self._outbox.withdraw(upload.promise.id).result()
        except LedgerFailed:
            upload.staged.owed = True
            self._owed[upload.promise.id] = upload.staged

    def _settle(self) -> None:
        """Do what the outbox refused before; raises Unavailable if it still refuses."""
        if not self._owed and not self._unreleased:
            return
        with self._settling:
            try:
                for event_id, staged in list(self._owed.items()):
                    self._outbox.withdraw(event_id).result()
                    del self._owed[event_id]
                    staged.owed = False
                    staged.discard()
                for event_id in list(self._unreleased):
                    self._outbox.ready(event_id).result()
                    self._unreleased.discard(event_id)
                    self._post.wake()
            except LedgerFailed as error:
                raise Unavailable("the outbox takes no events now") from error


def _keep(upload: Upload, names: Names) -> None:
    if upload.placed is not None:
        upload.placed.keep(names)
        upload.kept = True


def recover(outbox: Outbox, staging: Staging) -> None:
    """Decide what a crash left undecided; called before the first upload."""
    outbox.release()
    for promise in outbox.prepared():
        if _happened(promise):
            # Whether a delivery had begun nobody knows, so the next one counts as a repeat.
            outbox.ready(promise.id, attempt=1).result()
        else:
            outbox.withdraw(promise.id).result()
    if swept := staging.sweep():
        logger.info("removed %d staged files", swept, extra={"action": "staging_swept"})


def _happened(promise: Undecided) -> bool:
    if not promise.staged.exists():
        return True
    return promise.final.exists() and promise.final.samefile(promise.staged)
