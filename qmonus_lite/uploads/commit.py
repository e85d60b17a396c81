"""Commit protocol: crash-safe publishing of an upload together with its pending event.

For uploads whose event has a handler; all others are stored by `uploads.publish`.

    seal -> outbox row PREPARED, with the token -> publish -> response, event released

After a crash, the next start asks the store for the outcome of the token of each PREPARED row:

    outcome           row
    ------------------------------------------------------------------
    not published     withdrawn, then the pending upload is removed
    published         made READY
    unknown           left for the next start
    no row            no event was prepared: the pending upload is removed

The same is asked, while the process runs, for a publication whose end the store cannot tell.

Uploads that are complete at the same time are processed as a batch (sized by `uploads.batching`):
their rows share one commit of the outbox, and the store takes each step for all of them together.
"""

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from qmonus_lite.errors import EventLogUnavailable, PublicationInDoubt
from qmonus_lite.events.log import EventLog, EventLogFailed
from qmonus_lite.events.stored_event import PendingEvent
from qmonus_lite.uploads.batching import BatchingExecutor
from qmonus_lite.uploads.keyed_lock import KeyedLock
from qmonus_lite.uploads.moved_event import moved_event
from qmonus_lite.uploads.publish import ReceivedUpload, keep_sealed
from qmonus_lite.uploads.renaming import store_renamed
from qmonus_lite.uploads.store import (
    PendingUpload,
    Publication,
    PublicationState,
    StoredFile,
    UploadStore,
)

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

    async def commit(self, upload: UploadWithEvent) -> StoredFile:
        """Store file and pending event; raises Problem."""


class Committer:
    """Commits uploads to one store and one event log."""

    def __init__(
        self, store: UploadStore, log: EventLog, sink: EventSink, *, threads: Executor
    ) -> None:
        self._store = store
        self._log = log
        self._sink = sink
        self._executor: BatchingExecutor[UploadWithEvent] = BatchingExecutor(self._commit, threads)
        self._path_lock = KeyedLock()
        #: Uploads whose outbox rows could not be withdrawn, by event id; the store keeps them.
        self._pending_withdrawal: dict[str, PendingUpload] = {}
        #: Uploads of which the store could not tell whether they were published, by event id.
        self._in_doubt: dict[str, PendingUpload] = {}
        #: Ids of events of published files whose rows could not be made READY.
        self._unreleased: set[str] = set()
        self._settling = threading.Lock()

    async def commit(self, upload: UploadWithEvent) -> StoredFile:
        """Store file and pending event; raises Problem.

        Serialized per path, so that the events of a path have the order of its contents.
        """
        if upload.renames:
            return await store_renamed(upload, self._store, self._path_lock, self._commit_moved)
        return await self._commit_at(upload)

    async def _commit_at(self, upload: UploadWithEvent) -> StoredFile:
        async with self._path_lock.at(upload.pending.where):
            await self._executor.do(upload)
        return upload.stored()

    async def _commit_moved(self, upload: UploadWithEvent) -> StoredFile:
        upload.event = moved_event(upload.event, upload.pending)
        return await self._commit_at(upload)

    def _commit(self, uploads: Sequence[UploadWithEvent]) -> float:
        """Run all steps for a batch of uploads to different paths; results are set in each upload.

        Returns the duration of the shortest fsync in seconds.
        """
        sealed = self._store.seal([upload.pending for upload in uploads], recorded=True)
        keep_sealed(uploads, sealed.errors)
        self._settle_before([upload for upload in uploads if upload.result is None])
        self._prepare_events([upload for upload in uploads if upload.result is None])
        self._publish([upload for upload in uploads if upload.result is None])
        return sealed.seconds

    def _prepare_events(self, uploads: Sequence[UploadWithEvent]) -> None:
        if not uploads:
            return
        ends = self._log.prepare([upload.event for upload in uploads])
        for upload, end in zip(uploads, ends, strict=True):
            if isinstance(end, int):
                upload.seq = end
                continue
            # The row may have been committed: keep the file until the row is withdrawn.
            self._withdraw(upload)
            extra = {"action": "promise_failed", "event_id": upload.event.id}
            logger.error("the outbox failed: %s", end, extra=extra)
            upload.result = EventLogUnavailable("the event of this upload cannot be promised now")

    def _publish(self, uploads: Sequence[UploadWithEvent]) -> None:
        if not uploads:
            return
        publications = [
            Publication(
                upload=upload.pending,
                condition=upload.condition,
                token_changed=partial(self._update_token, upload.event.id),
            )
            for upload in uploads
        ]
        for upload, result in zip(uploads, self._store.publish(publications), strict=True):
            upload.result = result
            if isinstance(result, StoredFile):
                # Also after a failure: the file is visible at its path.
                self._release(upload)
            elif isinstance(result, PublicationInDoubt):
                upload.pending.keep = True
                self._in_doubt[upload.event.id] = upload.pending
            else:
                self._withdraw(upload)

    def _update_token(self, event_id: str, token: str) -> None:
        """Update the row to the token by which the outcome will be asked for."""
        try:
            self._log.restage(event_id, token).result()
        except EventLogFailed as error:
            raise EventLogUnavailable("the event of this upload cannot be promised now") from error

    def _release(self, upload: UploadWithEvent) -> None:
        """Release the event; not awaited, since recovery would make the row READY as well."""
        event = upload.event
        if not self._sink.take(upload.seq, event):
            released = self._log.commit(event.id)
            released.add_done_callback(lambda done: self._released(event.id, done))

    def _released(self, event_id: str, done: "Future[int]") -> None:
        if done.exception() is None:
            self._sink.wake()
        else:
            self._unreleased.add(event_id)

    def _withdraw(self, upload: UploadWithEvent) -> None:
        """Withdraw the pending event; if that fails, keep the upload as proof."""
        try:
            self._log.withdraw(upload.event.id).result()
        except EventLogFailed:
            upload.pending.keep = True
            self._pending_withdrawal[upload.event.id] = upload.pending

    def _settle_before(self, uploads: Sequence[UploadWithEvent]) -> None:
        """Retry outbox operations that failed; refuses these uploads if they fail again."""
        if not (self._pending_withdrawal or self._unreleased or self._in_doubt):
            return
        for upload in uploads:
            try:
                self._settle()
            except EventLogFailed as error:
                upload.result = EventLogUnavailable("the outbox takes no events now")
                upload.result.__cause__ = error

    def _settle(self) -> None:
        with self._settling:
            for event_id, pending in list(self._in_doubt.items()):
                self._decide(event_id, pending)
            for event_id, pending in list(self._pending_withdrawal.items()):
                self._log.withdraw(event_id).result()
                del self._pending_withdrawal[event_id]
                pending.keep = False
                self._store.discard(pending)
            for event_id in list(self._unreleased):
                self._log.commit(event_id).result()
                self._unreleased.discard(event_id)
                self._sink.wake()

    def _decide(self, event_id: str, pending: PendingUpload) -> None:
        """Ask again whether an upload in doubt was published."""
        outcome = self._store.outcome(pending.token)
        if outcome is not PublicationState.UNKNOWN:
            del self._in_doubt[event_id]
        if outcome is PublicationState.PUBLISHED:
            pending.keep = False
            self._unreleased.add(event_id)
        elif outcome is PublicationState.NOT_PUBLISHED:
            self._pending_withdrawal[event_id] = pending


def recover(log: EventLog, store: UploadStore) -> None:
    """Resolve in-doubt events after a crash; called before the first upload."""
    log.release()
    for event in log.in_doubt():
        outcome = store.outcome(event.token)
        if outcome is PublicationState.PUBLISHED:
            # A delivery may have begun before the crash, so the next attempt counts as a retry.
            log.commit(event.id, attempt=1).result()
        elif outcome is PublicationState.NOT_PUBLISHED:
            log.withdraw(event.id).result()
        else:
            extra = {"action": "event_undecided", "event_id": event.id}
            message = "cannot tell whether %s was stored: the event waits for the next start"
            logger.error(message, event.token, extra=extra)
    if swept := store.sweep():
        logger.info("removed %d staged files", swept, extra={"action": "staging_swept"})
