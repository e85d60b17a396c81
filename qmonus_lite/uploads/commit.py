"""Commit protocol: crash-safe publishing of a staged file together with its pending event.

For uploads whose event has a handler; all others are stored by `uploads.publish`.

    sync(staged) -> outbox row PREPARED -> rename -> sync(directory) -> response, event released

After a crash, the next start resolves each in-doubt row by this table alone:

    staged file is   and is the same file as the final one   so the rename        row
    ------------------------------------------------------------------------------------------
    there            no                                      did not happen       withdrawn
    there            yes (its old name was not yet gone)     happened             made READY
    gone             -                                       happened             made READY
    there, no row    -                                       was never promised   (file swept)

If the file is staged on another mount than its path (the rename fails with EXDEV), it is copied to
a staging directory on the right mount, and its row is updated to name the copy, before the copy is
renamed. The table is valid for either name in the row: nothing is renamed before the update is
committed, and the first file is removed only after the rename.

    rename: EXDEV -> copy, sync(copy), sync(its name) -> row names the copy -> rename -> ...

Uploads that are complete at the same time are processed as a batch (sized by `uploads.batching`):
their rows share one commit of the outbox, and the names in a directory share one sync.
"""

import contextlib
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Protocol

from qmonus_lite.errors import (
    EventLogUnavailable,
)
from qmonus_lite.events.database import DatabaseFailed
from qmonus_lite.events.outbox import InDoubt, Outbox, PendingEvent
from qmonus_lite.uploads.batching import BatchingExecutor
from qmonus_lite.uploads.publish import KeyedLock, ReceivedUpload, for_each_upload
from qmonus_lite.uploads.root_dir import DirCache, RootDir
from qmonus_lite.uploads.staging import DirectorySync, StagedFile
from qmonus_lite.uploads.staging_dirs import StagingDirs

logger = logging.getLogger(__name__)


class EventSink(Protocol):
    """Receiver of committed events (`events.dispatcher`)."""

    def take(self, seq: int, event: PendingEvent) -> bool:
        """Direct delivery from the commit; False if the event has to wait in the outbox."""

    def wake(self) -> None:
        """Notify the sink that the outbox has a READY event."""


@dataclass(eq=False, kw_only=True)
class UploadWithEvent(ReceivedUpload):
    """An upload whose event has a handler."""

    event: PendingEvent
    #: Sequence number of its event in the outbox; 0 until the row is committed.
    seq: int = 0


class Commits(Protocol):
    """Interface that stores uploads together with their pending events."""

    async def commit(self, upload: UploadWithEvent) -> bool:
        """Store file and pending event; True if a file was replaced. Raises Problem."""


class Committer:
    """Commits uploads below one launch directory."""

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
        #: Staged files whose outbox rows could not be withdrawn, by event id.
        self._pending_withdrawal: dict[str, StagedFile] = {}
        #: Ids of events of published files whose rows could not be made READY.
        self._unreleased: set[str] = set()
        self._settling = threading.Lock()

    @property
    def pending_withdrawal(self) -> set[str]:
        """Staged files to keep: they prove "no rename" until the row is withdrawn."""
        pending_withdrawal = self._pending_withdrawal.values()
        return {
            str(path)
            for staged in pending_withdrawal
            for path in (staged.path, staged.former)
            if path
        }

    async def commit(self, upload: UploadWithEvent) -> bool:
        """Store file and pending event; True if a file was replaced. Raises Problem.

        Serialized per path, so that the events of a path have the order of its contents.
        """
        async with self._path_lock.at(upload.parts):
            await self._executor.do(upload)
        return upload.replaced

    def _commit(self, uploads: Sequence[UploadWithEvent]) -> float:
        """Run all steps for a batch of uploads to different paths; results are set in each upload.

        Returns the duration of the shortest fsync in seconds.
        """
        disk = self._root_dir.disk
        # Write all files before the first fsync, which also starts write-back of the others.
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
            # Also when only the last sync failed: the file is visible at its path.
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
            # The row may have been committed: keep the file until the row is withdrawn.
            self._withdraw(one)
            extra = {"action": "promise_failed", "event_id": one.event.id}
            logger.error("the outbox failed: %s", end, extra=extra)
            one.error = EventLogUnavailable("the event of this upload cannot be promised now")

    def _place(self, upload: UploadWithEvent, parents: DirCache) -> None:
        try:
            upload.place(parents, self._staging, lambda: self._restage(upload))
        except BaseException:
            self._withdraw(upload)
            raise

    def _restage(self, upload: UploadWithEvent) -> None:
        """Update the row to name the copy, whose absence will prove the rename."""
        try:
            self._outbox.restage(upload.event.id, str(upload.staged.path)).result()
        except DatabaseFailed as error:
            raise EventLogUnavailable("the event of this upload cannot be promised now") from error

    def _release(self, upload: UploadWithEvent) -> None:
        """Release the event; not awaited, since recovery would make the row READY as well."""
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
        """Withdraw the pending event; if that fails, keep the staged file as proof of no rename."""
        try:
            self._outbox.withdraw(upload.event.id).result()
        except DatabaseFailed:
            upload.staged.pending_withdrawal = True
            self._pending_withdrawal[upload.event.id] = upload.staged

    def _settle(self) -> None:
        """Retry outbox operations that failed; raises Unavailable if they fail again."""
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
                raise EventLogUnavailable("the outbox takes no events now") from error


def recover(outbox: Outbox, staging: StagingDirs) -> None:
    """Resolve in-doubt events after a crash; called before the first upload."""
    outbox.release()
    for event in outbox.prepared():
        if _is_hidden(event):
            extra = {"action": "event_undecided", "event_id": event.id}
            message = "%s is not there, a mount may be missing: the event waits for the next start"
            logger.error(message, event.staged.parent, extra=extra)
        elif _was_renamed(event):
            # A delivery may have begun before the crash, so the next attempt counts as a retry.
            outbox.ready(event.id, attempt=1).result()
        else:
            outbox.withdraw(event.id).result()
    if swept := staging.sweep():
        logger.info("removed %d staged files", swept, extra={"action": "staging_swept"})


def _is_hidden(event: InDoubt) -> bool:
    """Whether the staging directory is missing, so that a missing file proves nothing."""
    return not (event.staged.parent.exists() or event.final.exists())


def _was_renamed(event: InDoubt) -> bool:
    if not event.staged.exists():
        return True
    return event.final.exists() and event.final.samefile(event.staged)
