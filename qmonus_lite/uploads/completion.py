"""Completion: a received upload is stored, with a pending event if that has a handler."""

from collections.abc import Callable

from qmonus_lite.auth.own import OwnCredentials
from qmonus_lite.clock import Clock
from qmonus_lite.events.envelope import UPLOADED
from qmonus_lite.events.stored_event import PendingEvent
from qmonus_lite.events.workers import WorkerRegistry
from qmonus_lite.uploads.accepted import AcceptedUpload
from qmonus_lite.uploads.commit import Commits, UploadWithEvent
from qmonus_lite.uploads.event_data import stored_event_data
from qmonus_lite.uploads.keyed_lock import KeyedLock
from qmonus_lite.uploads.publish import DirectPublisher, ReceivedUpload
from qmonus_lite.uploads.renaming import store_renamed
from qmonus_lite.uploads.store import StoredFile
from qmonus_lite.values import Value, field


class Completion(Value, frozen=True, kw_only=True):
    """Stores the received uploads of one APIGW."""

    registry: WorkerRegistry
    #: Store uploads whose event has a handler, and all others.
    committer: Commits
    publisher: DirectPublisher
    #: The credentials of this gateway, which are masked in events.
    own: Callable[[], OwnCredentials]
    clock: Clock
    #: Id of this gateway in its events, and name of the store.
    gateway: str
    store: str
    #: Headers that a handler of pending events needs unmasked, in lower case.
    kept_headers: Callable[[], frozenset[str]] = frozenset
    #: One upload at a time per path, for committer and publisher.
    path_lock: KeyedLock = field(default_factory=KeyedLock)

    async def complete(self, upload: AcceptedUpload) -> StoredFile:
        """Store the upload; raises Problem."""
        pending, condition = upload.pending, upload.condition
        if upload.renames:
            return await self._complete_renamed(upload)
        where, publisher = pending.where, self.publisher
        if (
            self.registry.has_no_handler_for(UPLOADED)
            and where not in self.path_lock
            and publisher.can_publish_inline(pending)
        ):
            return publisher.publish_inline(pending, condition)
        async with self.path_lock.at(where):
            # Checked under the lock: otherwise a handler registered meanwhile could get the event
            # of an upload that was stored before this one, but not the event of this one.
            if self.registry.has_no_handler_for(UPLOADED):
                return await publisher.store(ReceivedUpload(pending=pending, condition=condition))
            return await self.committer.commit(
                UploadWithEvent(
                    pending=pending, condition=condition, event=self._pending_event(upload)
                )
            )

    async def _complete_renamed(self, upload: AcceptedUpload) -> StoredFile:
        """Store the upload at its path, or under another name if a file is there."""
        pending, condition = upload.pending, upload.condition
        if self.registry.has_no_handler_for(UPLOADED):
            received = ReceivedUpload(pending=pending, condition=condition)
            return await store_renamed(
                received, self.publisher.upload_store, self.path_lock, self._publish_at
            )
        return await self.committer.commit(
            UploadWithEvent(
                pending=pending,
                condition=condition,
                renames=True,
                event=self._pending_event(upload),
            )
        )

    async def _publish_at(self, upload: ReceivedUpload) -> StoredFile:
        async with self.path_lock.at(upload.pending.where):
            return await self.publisher.store(upload)

    def _pending_event(self, upload: AcceptedUpload) -> PendingEvent:
        path, pending, record = upload.path, upload.pending, upload.head.record
        fields = {"path": path, "account": upload.account, "length": upload.head.length}
        stored = {"mime": upload.head.mime, "bytes": pending.received}
        return PendingEvent(
            id=upload.upload_id,
            type=UPLOADED,
            path=path,
            time=self.clock.moment(),
            data=stored_event_data(upload.event, fields, stored, self.kept_headers(), self.own()),
            store=self.store,
            store_path=path[1:],
            gateway=self.gateway,
            token=pending.token,
            request_id=record.request_id,
            upload_id=upload.upload_id,
            account=record.account or "",
            traceparent=record.traceparent,
        )
