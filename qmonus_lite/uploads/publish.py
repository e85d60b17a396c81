"""Publishing of received uploads without an event, and the file steps that all uploads share.

    sync(staged) -> rename -> sync(directory) -> response

An upload whose event has a handler is committed by `uploads.commit`, which uses the same file steps
and adds the outbox.

With `--upload_durability=none` there is no fsync, so that a small file is stored on the event loop
itself: a round trip to the thread pool costs more than the system calls. If they are slow all the
same (network file system, memory full of dirty pages), all uploads go to the thread pool for
THREADS_ONLY_SECONDS.
"""

import asyncio
import contextlib
import math
import os
import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

from qmonus_lite.errors import InternalFault
from qmonus_lite.uploads.batching import BatchingExecutor
from qmonus_lite.uploads.disk_errors import PLACING
from qmonus_lite.uploads.root_dir import DirCache, RootDir
from qmonus_lite.uploads.staging import DirectorySync, OtherMount, PublishedFile, StagedFile
from qmonus_lite.uploads.staging_dirs import StagingDirs

#: Maximum bytes of a file that is stored on the event loop.
MAX_INLINE_BYTES = 64 << 10
#: Seconds above which that is slow; seconds for which the thread pool is then used instead.
SLOW_SECONDS, THREADS_ONLY_SECONDS = 0.005, 10.0


@dataclass(eq=False, kw_only=True)
class ReceivedUpload:
    """A completely received upload, to be published."""

    staged: StagedFile
    #: Bytes not yet written to the staged file.
    unwritten: bytes | bytearray
    parts: tuple[str, ...]
    #: Refuse to replace an existing file.
    create_only: bool = False
    placed: PublishedFile | None = None
    #: Whether its directory was synced, as far as `--upload_durability` requires it.
    name_synced: bool = False
    #: Duration of the fsync of the staged file, in seconds.
    waited: float = math.inf
    #: The error that ended it; later steps are skipped.
    error: BaseException | None = None

    def write(self) -> None:
        """Write the unwritten bytes and check digests; raises Problem, also for a mismatch."""
        if self.unwritten:
            self.staged.write(self.unwritten)
        self.staged.digests.check()

    def sync(self) -> None:
        """Fsync the staged file; raises Problem."""
        began = time.perf_counter()
        self.staged.finish()
        self.waited = time.perf_counter() - began

    def finish(self) -> None:
        """Write and fsync the staged file; raises Problem."""
        self.write()
        self.sync()

    def place(
        self, parents: DirCache, staging: StagingDirs, moved: Callable[[], object] | None = None
    ) -> None:
        """Publish the staged file at its path; raises Problem.

        A file staged on another mount is copied first; then `moved` is called, before the rename.
        """
        try:
            self._appear(parents)
        except OtherMount as error:
            self._move(parents, staging, moved or _nobody, error)

    def _appear(self, parents: DirCache) -> None:
        open_dir, name = parents.of(self.parts), self.parts[-1]
        self.placed = self.staged.place(open_dir, name, create_only=self.create_only)

    def _move(
        self,
        parents: DirCache,
        staging: StagingDirs,
        moved: Callable[[], object],
        error: OtherMount,
    ) -> None:
        """Copy it to a staging directory on the mount of its path, and publish it from there."""
        for directory in staging.across(*parents.place(self.parts)):
            if str(directory) == os.path.dirname(self.staged.path):
                continue
            self.staged.move(directory)
            moved()
            try:
                self._appear(parents)
                return
            except OtherMount as again:
                error = again
        raise self.staged.disk.answer(error.error, PLACING) from error

    def sync_name(self, names: DirectorySync) -> None:
        """Sync the directory of its path, if it was published; raises Problem."""
        if self.placed is not None:
            self.placed.sync_name(names)
            self.name_synced = True

    @property
    def replaced(self) -> bool:
        """Whether it replaced a file; raises its `error` on the first access."""
        if self.error is not None:
            # The traceback of the error refers to frames that refer to this object: the reference
            # cycle would keep the bytes in memory until the next garbage collection.
            error, self.error = self.error, None
            try:
                raise error
            finally:
                del error
        if self.placed is None or not self.name_synced:
            # Acknowledge only completed uploads, also if a step ended without an error.
            raise InternalFault("the upload was not stored; the log of the server says why")
        return self.placed.replaced


def _nobody() -> None:
    """Do nothing: without an event, there is no outbox row to update."""


U = TypeVar("U", bound=ReceivedUpload)


def for_each_upload(uploads: Sequence[U], step: Callable[[U], object]) -> None:
    """Run a step for each upload without an error; a failure does not affect the others."""
    for one in uploads:
        if one.error is None:
            try:
                step(one)
            except BaseException as error:
                one.error = error


class _KeyLock:
    """Lock of one path for `async with`; removed from the table when unused."""

    def __init__(self, turns: "dict[tuple[str, ...], _KeyLock]", parts: tuple[str, ...]) -> None:
        self._locks = turns
        self._parts = parts
        self._lock = asyncio.Lock()
        self._known = 0

    async def __aenter__(self) -> None:
        self._locks[self._parts] = self
        self._known += 1
        try:
            await self._lock.acquire()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *_error: object) -> None:
        self._lock.release()
        self._leave()

    def _leave(self) -> None:
        self._known -= 1
        if not self._known:
            del self._locks[self._parts]


class KeyedLock:
    """Per-path lock: one upload at a time is stored at a path."""

    def __init__(self) -> None:
        self._locks: dict[tuple[str, ...], _KeyLock] = {}

    def __contains__(self, parts: tuple[str, ...]) -> bool:
        """Whether the lock of this path is held or waited for."""
        return parts in self._locks

    def at(self, parts: tuple[str, ...]) -> _KeyLock:
        """The lock of a path, to be acquired by `async with`."""
        return self._locks.get(parts) or _KeyLock(self._locks, parts)


def _voluntary_switches() -> int:
    """Number of voluntary context switches of this thread (it blocked)."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


class DirectPublisher:
    """Stores uploads without events below a launch directory; callers hold the path lock."""

    def __init__(self, root_dir: RootDir, staging: StagingDirs, *, threads: Executor) -> None:
        self._root_dir = root_dir
        self._staging = staging
        self._executor: BatchingExecutor[ReceivedUpload] = BatchingExecutor(self._store, threads)
        #: Time until which inline publishing is disabled, by the monotonic clock.
        self._threads_only_until = 0.0

    def can_publish_inline(self, upload: ReceivedUpload) -> bool:
        """Whether the upload may be stored on the event loop."""
        disk = self._root_dir.disk
        return (
            not (disk.sync_files or disk.sync_names or upload.staged.begun)
            and len(upload.unwritten) <= MAX_INLINE_BYTES
            and time.monotonic() >= self._threads_only_until
        )

    def publish_inline(self, upload: ReceivedUpload) -> bool:
        """Store the file on this thread; True if a file was replaced. Raises Problem."""
        began, waits = time.monotonic(), _voluntary_switches()
        self._store([upload])
        # Without voluntary switches the time was lost to preemption, not to blocking I/O.
        if (ended := time.monotonic()) - began > SLOW_SECONDS and _voluntary_switches() != waits:
            self._threads_only_until = ended + THREADS_ONLY_SECONDS
        return upload.replaced

    async def store(self, upload: ReceivedUpload) -> bool:
        """Store the file on the thread pool; True if a file was replaced. Raises Problem."""
        await self._executor.do(upload)
        return upload.replaced

    def _store(self, uploads: Sequence[ReceivedUpload]) -> float:
        """Run all steps; results are set in each upload. Returns seconds of the shortest fsync."""
        for_each_upload(uploads, ReceivedUpload.write)
        for_each_upload(uploads, ReceivedUpload.sync)
        names = DirectorySync(self._root_dir.disk)
        with contextlib.closing(DirCache(self._root_dir)) as parents:
            for_each_upload(uploads, lambda one: one.place(parents, self._staging))
            for_each_upload(uploads, lambda one: one.sync_name(names))
        return min(one.waited for one in uploads)
