"""Publishing of received uploads without an event.

An upload whose event has a handler is committed by `uploads.commit`, which adds the outbox. If the
store blocks only briefly, a small file is stored on the event loop itself; all others are stored on
the thread pool, in batches.
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from qmonus_lite.errors import InternalFault, Problem
from qmonus_lite.uploads.batching import BatchingExecutor
from qmonus_lite.uploads.store import (
    UNCONDITIONAL,
    Condition,
    PendingUpload,
    Publication,
    PublishResult,
    StoredFile,
    UploadStore,
)


@dataclass(eq=False, kw_only=True)
class ReceivedUpload:
    """A completely received upload, to be published."""

    pending: PendingUpload
    condition: Condition = UNCONDITIONAL
    #: Whether it gets another name if a file is at its path (`uploads.renaming`).
    renames: bool = False
    #: How publishing ended; None before, and if a batch ended by an unexpected error.
    result: PublishResult | None = None

    def stored(self) -> StoredFile:
        """The published file; raises the error that ended it, on the first call."""
        result, self.result = self.result, None
        if isinstance(result, StoredFile) and result.failure is None:
            return result
        error = result.failure if isinstance(result, StoredFile) else result
        if error is None:
            # Acknowledge only completed uploads, also if a step ended without an error.
            error = InternalFault("the upload was not stored; the log of the server says why")
        if isinstance(error, Problem):
            _drop_frames(error)
        try:
            raise error
        finally:
            del error, result


def _drop_frames(error: BaseException) -> None:
    """Remove tracebacks: their frames refer to the batch, and that to the error.

    The reference cycle would keep the bytes in memory until the next garbage collection. Nobody
    needs the frames of a Problem.
    """
    for each in (error, error.__cause__, error.__context__):
        if each is not None:
            each.__traceback__ = None


class DirectPublisher:
    """Stores uploads without events; callers hold the path lock."""

    def __init__(self, store: UploadStore, *, threads: Executor) -> None:
        self.upload_store = self._store = store
        self._executor: BatchingExecutor[ReceivedUpload] = BatchingExecutor(self._publish, threads)

    def can_publish_inline(self, upload: PendingUpload) -> bool:
        """Whether the upload may be stored on the event loop."""
        return self._store.can_publish_now(upload)

    def publish_inline(self, upload: PendingUpload, condition: Condition) -> StoredFile:
        """Store the file on this thread; raises Problem."""
        return self._store.publish_now(upload, condition)

    async def store(self, upload: ReceivedUpload) -> StoredFile:
        """Store the file on the thread pool; raises Problem."""
        await self._executor.do(upload)
        return upload.stored()

    def _publish(self, uploads: Sequence[ReceivedUpload]) -> float:
        """Run all steps; results are set in each upload. Returns seconds of the shortest fsync."""
        sealed = self._store.seal([upload.pending for upload in uploads], recorded=False)
        publish(self._store, keep_sealed(uploads, sealed.errors))
        return sealed.seconds


def keep_sealed(
    uploads: Sequence[ReceivedUpload], errors: Sequence[BaseException | None]
) -> list[ReceivedUpload]:
    """The uploads without an error; the others get theirs as their result."""
    for upload, error in zip(uploads, errors, strict=True):
        upload.result = error
    return [upload for upload in uploads if upload.result is None]


def publish(store: UploadStore, uploads: Sequence[ReceivedUpload]) -> None:
    """Publish sealed uploads and set their results."""
    if uploads:
        publications = [
            Publication(upload=upload.pending, condition=upload.condition) for upload in uploads
        ]
        for upload, result in zip(uploads, store.publish(publications), strict=True):
            upload.result = result
