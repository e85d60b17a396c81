"""The commit: the order in which a staged file becomes a stored one, and its event a promise.

So for uploads whose event somebody handles; the others go the shorter way of `upload.storing`.

    sync(staged) -> outbox row PREPARED -> rename -> sync(directory) -> answer, event goes

What a crash leaves is decided at the next start by this table, and nothing else:

    staged file is   and is the same file as the final one   so the rename        row
    ------------------------------------------------------------------------------------------
    there            no                                      did not happen       withdrawn
    there            yes (its old name was not yet gone)     happened             made READY
    gone             -                                       happened             made READY
    there, no row    -                                       was never promised   (file swept)

A file that turns out to be staged on another mount than its path (the rename fails with EXDEV) is
copied to a staging directory on the right one, and its row is changed to name the copy, before that
is renamed. Whichever of the two names the row has, the table holds: nothing is renamed before the
change is committed, and the first file is removed after the rename alone.

    rename: EXDEV -> copy, sync(copy), sync(its name) -> row names the copy -> rename -> ...

Uploads that are whole at the same time take each step together (`upload.crew` says how many): one
row after the other in one commit of the outbox, and one sync for all names in a directory.
"""

import contextlib
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Protocol

from qmonus_lite.errors import Unavailable
from qmonus_lite.events.ledger import LedgerFailed
from qmonus_lite.events.outbox import Outbox, Promise, Undecided
from qmonus_lite.upload.crew import Crew
from qmonus_lite.upload.ground import Ground, Parents
from qmonus_lite.upload.staging import Names, StagedFile
from qmonus_lite.upload.staging_places import Staging
from qmonus_lite.upload.storing import PathTurns, Upload, each

logger = logging.getLogger(__name__)


class Post(Protocol):
    """Who takes events away (`events.dispatcher`)."""

    def take(self, seq: int, promise: Promise) -> bool:
        """Deliver straight from the commit; False for an event that has to wait in the outbox."""

    def wake(self) -> None:
        """There is something in the outbox."""


@dataclass(eq=False, kw_only=True)
class Announced(Upload):
    """An upload whose event somebody handles."""

    promise: Promise
    #: Place of its event among all; 0 until it is promised.
    seq: int = 0


class Commits(Protocol):
    """Who stores uploads and promises their events."""

    async def commit(self, upload: Announced) -> bool:
        """Store the file and promise its event; whether it replaced another. Raises Problem."""


class Committer:
    """Commits uploads to one launch directory."""

    def __init__(
        self, ground: Ground, staging: Staging, outbox: Outbox, post: Post, *, threads: Executor
    ) -> None:
        self._ground = ground
        self._staging = staging
        self._outbox = outbox
        self._post = post
        self._crew: Crew[Announced] = Crew(self._commit, threads)
        self._turns = PathTurns()
        #: Files whose rows the outbox could not forget, by event id.
        self._owed: dict[str, StagedFile] = {}
        #: Events of files in place that the outbox could not let go.
        self._unreleased: set[str] = set()
        self._settling = threading.Lock()

    @property
    def owed(self) -> set[str]:
        """Staged files that prove that nothing happened, while the outbox cannot forget."""
        owed = self._owed.values()
        return {str(path) for staged in owed for path in (staged.path, staged.former) if path}

    async def commit(self, upload: Announced) -> bool:
        """Store the file and promise its event; whether it replaced another. Raises Problem.

        One path at a time, so that the events of a path stand in the order of its contents.
        """
        async with self._turns.at(upload.parts):
            await self._crew.do(upload)
        return upload.replaced

    def _commit(self, uploads: Sequence[Announced]) -> float:
        """All steps, for uploads to different paths; how each ended stands in it.

        Gives the seconds of the shortest sync.
        """
        disk = self._ground.disk
        # All bytes before the first sync, which puts much of the others on its way too.
        each(uploads, Announced.write)
        each(uploads, Announced.sync)
        staged = Names(disk)
        each(uploads, lambda one: one.staged.keep_name(staged))
        each(uploads, lambda _one: self._settle())
        self._promise([one for one in uploads if one.error is None])
        with contextlib.closing(Parents(self._ground)) as parents:
            each(uploads, lambda one: self._place(one, parents))
            final = Names(disk)
            each(uploads, lambda one: one.keep(final))
        for one in uploads:
            # Also when only the last sync failed: the file is there to be seen.
            if one.placed is not None:
                self._release(one)
        return min(one.waited for one in uploads)

    def _promise(self, uploads: Sequence[Announced]) -> None:
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

    def _place(self, upload: Announced, parents: Parents) -> None:
        try:
            upload.place(parents, self._staging, lambda: self._restage(upload))
        except BaseException:
            self._withdraw(upload)
            raise

    def _restage(self, upload: Announced) -> None:
        """Let the row name the copy that is going to be renamed: its absence is the proof."""
        try:
            self._outbox.restage(upload.promise.id, str(upload.staged.path)).result()
        except LedgerFailed as error:
            raise Unavailable("the event of this upload cannot be promised now") from error

    def _release(self, upload: Announced) -> None:
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

    def _withdraw(self, upload: Announced) -> None:
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


def recover(outbox: Outbox, staging: Staging) -> None:
    """Decide what a crash left undecided; called before the first upload."""
    outbox.release()
    for promise in outbox.prepared():
        if _is_hidden(promise):
            extra = {"action": "event_undecided", "event_id": promise.id}
            message = "%s is not there, a mount may be missing: the event waits for the next start"
            logger.error(message, promise.staged.parent, extra=extra)
        elif _happened(promise):
            # Whether a delivery had begun nobody knows, so the next one counts as a repeat.
            outbox.ready(promise.id, attempt=1).result()
        else:
            outbox.withdraw(promise.id).result()
    if swept := staging.sweep():
        logger.info("removed %d staged files", swept, extra={"action": "staging_swept"})


def _is_hidden(promise: Undecided) -> bool:
    """Whether the staging directory is away, so that a file that is gone from there is no proof."""
    return not (promise.staged.parent.exists() or promise.final.exists())


def _happened(promise: Undecided) -> bool:
    if not promise.staged.exists():
        return True
    return promise.final.exists() and promise.final.samefile(promise.staged)
