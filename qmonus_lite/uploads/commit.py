"""The commit: the order in which a staged file becomes a stored one, and its event a promise.

So for uploads whose event somebody handles; the others go the shorter way of `uploads.publish`.

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

Uploads that are whole at the same time take each step together (`uploads.batching` says how many):
one row after the other in one commit of the outbox, and one sync for all names in a directory.
"""

import contextlib
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Protocol

from qmonus_lite.errors import Unavailable
from qmonus_lite.events.database import DatabaseFailed
from qmonus_lite.events.outbox import InDoubt, Outbox, PendingEvent
from qmonus_lite.uploads.batching import BatchingExecutor
from qmonus_lite.uploads.publish import KeyedLock, ReceivedUpload, for_each_upload
from qmonus_lite.uploads.root_dir import DirCache, RootDir
from qmonus_lite.uploads.staging import DirectorySync, StagedFile
from qmonus_lite.uploads.staging_dirs import StagingDirs

logger = logging.getLogger(__name__)


class EventSink(Protocol):
    """Who takes events away (`events.dispatcher`)."""

    def take(self, seq: int, event: PendingEvent) -> bool:
        """Deliver straight from the commit; False for an event that has to wait in the outbox."""

    def wake(self) -> None:
        """There is something in the outbox."""


@dataclass(eq=False, kw_only=True)
class UploadWithEvent(ReceivedUpload):
    """An upload whose event somebody handles."""

    event: PendingEvent
    #: Place of its event among all; 0 until it is promised.
    seq: int = 0


class Commits(Protocol):
    """Who stores uploads and promises their events."""

    async def commit(self, upload: UploadWithEvent) -> bool:
        """Store the file and promise its event; whether it replaced another. Raises Problem."""


class Committer:
    """Commits uploads to one launch directory."""

    def __init__(
        self,
        root_dir: RootDir,
        staging: StagingDirs,
        outbox: Outbox,
        sink: EventSink,
        *,
        threads: Executor,
    ) -> None:
        self._root_dir = root_dir
        self._staging = staging
        self._outbox = outbox
        self._sink = sink
        self._executor: BatchingExecutor[UploadWithEvent] = BatchingExecutor(self._commit, threads)
        self._path_lock = KeyedLock()
        #: Files whose rows the outbox could not forget, by event id.
        self._pending_withdrawal: dict[str, StagedFile] = {}
        #: Events of files in place that the outbox could not let go.
        self._unreleased: set[str] = set()
        self._settling = threading.Lock()

    @property
    def pending_withdrawal(self) -> set[str]:
        """Staged files that prove that nothing happened, while the outbox cannot forget."""
        pending_withdrawal = self._pending_withdrawal.values()
        return {
            str(path)
            for staged in pending_withdrawal
            for path in (staged.path, staged.former)
            if path
        }

    async def commit(self, upload: UploadWithEvent) -> bool:
        """Store the file and promise its event; whether it replaced another. Raises Problem.

        One path at a time, so that the events of a path stand in the order of its contents.
        """
        async with self._path_lock.at(upload.parts):
            await self._executor.do(upload)
        return upload.replaced

    def _commit(self, uploads: Sequence[UploadWithEvent]) -> float:
        """All steps, for uploads to different paths; how each ended stands in it.

        Gives the seconds of the shortest sync.
        """
        disk = self._root_dir.disk
        # All bytes before the first sync, which puts much of the others on its way too.
        for_each_upload(uploads, UploadWithEvent.write)
        for_each_upload(uploads, UploadWithEvent.sync)
        staged = DirectorySync(disk)
        for_each_upload(uploads, lambda one: one.staged.sync_name(staged))
        for_each_upload(uploads, lambda _one: self._settle())
        self._prepare_events([one for one in uploads if one.error is None])
        with contextlib.closing(DirCache(self._root_dir)) as parents:
            for_each_upload(uploads, lambda one: self._place(one, parents))
            final = DirectorySync(disk)
            for_each_upload(uploads, lambda one: one.sync_name(final))
        for one in uploads:
            # Also when only the last sync failed: the file is there to be seen.
            if one.placed is not None:
                self._release(one)
        return min(one.waited for one in uploads)

    def _prepare_events(self, uploads: Sequence[UploadWithEvent]) -> None:
        if not uploads:
            return
        ends = self._outbox.prepare([one.event for one in uploads])
        for one, end in zip(uploads, ends, strict=True):
            if isinstance(end, int):
                one.seq = end
                continue
            # The row may be there after all: the file stays until the outbox has forgotten it.
            self._withdraw(one)
            extra = {"action": "promise_failed", "event_id": one.event.id}
            logger.error("the outbox failed: %s", end, extra=extra)
            one.error = Unavailable("the event of this upload cannot be promised now")

    def _place(self, upload: UploadWithEvent, parents: DirCache) -> None:
        try:
            upload.place(parents, self._staging, lambda: self._restage(upload))
        except BaseException:
            self._withdraw(upload)
            raise

    def _restage(self, upload: UploadWithEvent) -> None:
        """Let the row name the copy that is going to be renamed: its absence is the proof."""
        try:
            self._outbox.restage(upload.event.id, str(upload.staged.path)).result()
        except DatabaseFailed as error:
            raise Unavailable("the event of this upload cannot be promised now") from error

    def _release(self, upload: UploadWithEvent) -> None:
        """Let the event go; not waited for, since a restart would find the same out."""
        event = upload.event
        if not self._sink.take(upload.seq, event):
            released = self._outbox.ready(event.id)
            released.add_done_callback(lambda done: self._released(event.id, done))

    def _released(self, event_id: str, done: "Future[int]") -> None:
        if done.exception() is None:
            self._sink.wake()
        else:
            self._unreleased.add(event_id)

    def _withdraw(self, upload: UploadWithEvent) -> None:
        """Take the promise back; while that fails, the staged file says that nothing happened."""
        try:
            self._outbox.withdraw(upload.event.id).result()
        except DatabaseFailed:
            upload.staged.pending_withdrawal = True
            self._pending_withdrawal[upload.event.id] = upload.staged

    def _settle(self) -> None:
        """Do what the outbox refused before; raises Unavailable if it still refuses."""
        if not self._pending_withdrawal and not self._unreleased:
            return
        with self._settling:
            try:
                for event_id, staged in list(self._pending_withdrawal.items()):
                    self._outbox.withdraw(event_id).result()
                    del self._pending_withdrawal[event_id]
                    staged.pending_withdrawal = False
                    staged.discard()
                for event_id in list(self._unreleased):
                    self._outbox.ready(event_id).result()
                    self._unreleased.discard(event_id)
                    self._sink.wake()
            except DatabaseFailed as error:
                raise Unavailable("the outbox takes no events now") from error


def recover(outbox: Outbox, staging: StagingDirs) -> None:
    """Decide what a crash left undecided; called before the first upload."""
    outbox.release()
    for event in outbox.prepared():
        if _is_hidden(event):
            extra = {"action": "event_undecided", "event_id": event.id}
            message = "%s is not there, a mount may be missing: the event waits for the next start"
            logger.error(message, event.staged.parent, extra=extra)
        elif _was_renamed(event):
            # Whether a delivery had begun nobody knows, so the next one counts as a repeat.
            outbox.ready(event.id, attempt=1).result()
        else:
            outbox.withdraw(event.id).result()
    if swept := staging.sweep():
        logger.info("removed %d staged files", swept, extra={"action": "staging_swept"})


def _is_hidden(event: InDoubt) -> bool:
    """Whether the staging directory is away, so that a file that is gone from there is no proof."""
    return not (event.staged.parent.exists() or event.final.exists())


def _was_renamed(event: InDoubt) -> bool:
    if not event.staged.exists():
        return True
    return event.final.exists() and event.final.samefile(event.staged)
