"""An active upload: it receives bytes, and is committed, suspended or aborted."""

import time
from collections.abc import Callable

from qmonus_lite.byte_source import ByteSource
from qmonus_lite.errors import Problem, PublicationInDoubt
from qmonus_lite.observations import Observers, UploadStored
from qmonus_lite.uploads.accepted import AcceptedUpload
from qmonus_lite.uploads.body_rules import check_body, check_seal
from qmonus_lite.uploads.completion import Completion
from qmonus_lite.uploads.digest import Digests
from qmonus_lite.uploads.failure_log import log_store_failure
from qmonus_lite.uploads.lifecycle import (
    TRANSITIONS,
    OnDisconnect,
    UploadState,
    UploadTransition,
)
from qmonus_lite.uploads.quota import Quota
from qmonus_lite.uploads.receipt import Receipt
from qmonus_lite.uploads.store import StoredFile, path_text
from qmonus_lite.values import Value, field

# Looked up once: that of an attribute of an enumeration is slow.
_RECEIVING, _ABORTED = UploadState.RECEIVING, UploadState.ABORTED
_RECEIVE, _SEAL, _PUBLISH = (
    UploadTransition.RECEIVE,
    UploadTransition.SEAL,
    UploadTransition.PUBLISH,
)
_CREATED = UploadState.CREATED


class ActiveUploads(Value, frozen=True, kw_only=True):
    """What the active uploads of one APIGW share, and which there are."""

    completion: Completion
    quota: Quota
    observers: Observers = field(default_factory=Observers)
    #: Uploads that are neither stored nor aborted.
    under_way: set["ActiveUpload"] = field(default_factory=set)
    #: Seconds of the monotonic clock.
    now: Callable[[], float] = time.monotonic


class ActiveUpload:
    """One accepted upload; the connection calls its methods sequentially."""

    def __init__(
        self, uploads: ActiveUploads, accepted: AcceptedUpload, digests: Digests, began: float
    ) -> None:
        """`began`: when its head was read, by the monotonic clock."""
        self._uploads = uploads
        self._accepted = accepted
        self._pending = accepted.pending
        self._record = accepted.head.record
        self._quota = accepted.quota
        self._digests = digests
        self._began = began
        self.state = _CREATED
        uploads.under_way.add(self)

    @property
    def digest(self) -> str | None:
        """The value of Repr-Digest once the file is stored, if the client wanted one."""
        return self._digests.field

    async def write(self, chunk: bytes) -> None:
        """Append bytes of the body; waits for the store as backpressure. Raises Problem."""
        if not self._accepts_bytes():
            return
        check_body(self._quota, self._pending.received + len(chunk))
        try:
            await self._pending.append(chunk)
        except Problem as error:
            self._log(error)
            raise
        self._record.bytes = self._pending.received

    async def copy_from(self, source: ByteSource) -> int:
        """Append what a source has, for a time slice; returns how many bytes. Raises Problem.

        0 if it has nothing, or the store cannot copy from sources: then the caller reads on.
        """
        if not self._accepts_bytes():
            return 0
        try:
            count = await self._pending.copy_from(source)
        except Problem as error:
            self._log(error)
            raise
        self._record.bytes = self._pending.received
        check_body(self._quota, self._pending.received)
        return count

    async def commit(self) -> Receipt:
        """Store the file; raises Problem; nothing was stored then, unless its detail states it."""
        check_seal(self.state)
        self.state = TRANSITIONS[self.state, _SEAL]
        self._record.sealed_at = self._uploads.now()
        try:
            stored = await self._uploads.completion.complete(self._accepted)
        except PublicationInDoubt:
            self._end(UploadTransition.LOSE)
            raise
        except BaseException as error:
            self.state = TRANSITIONS[self.state, UploadTransition.REFUSE]
            if isinstance(error, Problem):
                self._log(error)
            raise
        finally:
            if self._digests.wanted:
                self._record.digest = self._digests.computed
        self._end(_PUBLISH)
        self._record.stored_path = self._accepted.path
        if self._uploads.observers.wants(UploadStored):
            self._observe(stored)
        return self._receipt(stored)

    async def abort(self) -> None:
        """Abort the upload; does nothing once the commit has begun. Idempotent."""
        if (self.state, UploadTransition.ABORT) not in TRANSITIONS:
            return
        self.state = TRANSITIONS[self.state, UploadTransition.ABORT]
        await self._pending.abort()
        self._uploads.under_way.discard(self)

    async def disconnected(self) -> None:
        """The connection ended: abort or suspend the upload, whichever its request asked for."""
        if self._accepted.head.on_disconnect is OnDisconnect.ABORT:
            await self.abort()
        elif (self.state, UploadTransition.SUSPEND) in TRANSITIONS:
            self.state = TRANSITIONS[self.state, UploadTransition.SUSPEND]
            await self._pending.flush()

    def _accepts_bytes(self) -> bool:
        """Whether bytes are appended; those of an upload that was aborted meanwhile are dropped."""
        if self.state is not _RECEIVING:
            if self.state is _ABORTED:
                return False
            self.state = TRANSITIONS[self.state, _RECEIVE]
        return True

    def _end(self, transition: UploadTransition) -> None:
        self.state = TRANSITIONS[self.state, transition]
        self._uploads.under_way.discard(self)
        self._pending.done()

    def _receipt(self, stored: StoredFile) -> Receipt:
        accepted, path = self._accepted, self._path_of(stored)
        return Receipt(
            upload_id=accepted.upload_id,
            path=path,
            filename=path.rpartition("/")[2],
            bytes=self._pending.received,
            mime=accepted.head.mime,
            event_id=accepted.upload_id,
            durable=stored.durable,
            replaced=stored.replaced,
            renamed=True if stored.where else None,
            sha256=self._digests.sha256,
        )

    def _path_of(self, stored: StoredFile) -> str:
        return path_text(stored.where) if stored.where else self._accepted.path

    def _observe(self, stored: StoredFile) -> None:
        self._uploads.observers.notify(
            UploadStored(
                request_id=self._accepted.head.record.request_id,
                upload_id=self._accepted.upload_id,
                path=self._path_of(stored),
                length=self._pending.received,
                replaced=stored.replaced,
                seconds=self._uploads.now() - self._began,
            )
        )

    def _log(self, problem: Problem) -> None:
        accepted = self._accepted
        log_store_failure(problem, accepted.head.record, accepted.path, accepted.upload_id)
