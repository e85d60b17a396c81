"""Storing: a whole upload gets its place, and nobody has to hear of it.

    sync(staged) -> rename -> sync(directory) -> answer

An upload whose event somebody handles goes the longer way of `uploads.commit`, of which these are
the steps that touch the files.

With `--upload_durability=none` nothing waits for a device, so that a small file is stored by the
loop itself: to hand it to a thread and back costs more than the calls. Where these turn out slow
after all (a file system over a network, memory full of pages to be written), the threads take over
for a while.
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

#: Bytes of a file that the loop may store by itself.
MAX_INLINE_BYTES = 64 << 10
#: Seconds after which that was slow, and seconds for which the threads then do it.
SLOW_SECONDS, THREADS_ONLY_SECONDS = 0.005, 10.0


@dataclass(eq=False, kw_only=True)
class ReceivedUpload:
    """A received upload that is to be stored."""

    staged: StagedFile
    #: Bytes that are not yet in the staged file.
    unwritten: bytes | bytearray
    parts: tuple[str, ...]
    #: Refuse to take the place of another file.
    create_only: bool = False
    placed: PublishedFile | None = None
    #: Whether its name is on stable storage, as far as that is promised.
    name_synced: bool = False
    #: Seconds that its sync took.
    waited: float = math.inf
    #: Why it goes no further.
    error: BaseException | None = None

    def write(self) -> None:
        """Write what is not yet in the staged file; raises Problem, also for a wrong digest."""
        if self.unwritten:
            self.staged.write(self.unwritten)
        self.staged.digests.check()

    def sync(self) -> None:
        """Put all bytes on stable storage; raises Problem."""
        began = time.perf_counter()
        self.staged.finish()
        self.waited = time.perf_counter() - began

    def finish(self) -> None:
        """Write it, and put all bytes on stable storage; raises Problem."""
        self.write()
        self.sync()

    def place(
        self, parents: DirCache, staging: StagingDirs, moved: Callable[[], object] | None = None
    ) -> None:
        """Let it appear at its path; raises Problem.

        A file that is staged on another mount is copied first, and then `moved` is called.
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
        """Copy it to where it can be renamed from, and let it appear from there."""
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
        """Put its name on stable storage, if it has appeared; raises Problem."""
        if self.placed is not None:
            self.placed.sync_name(names)
            self.name_synced = True

    @property
    def replaced(self) -> bool:
        """Whether it took the place of another; raises what it failed of, once."""
        if self.error is not None:
            # The error knows the frames that it came through, and these know us: with both kept,
            # the bytes would stay in memory until the garbage collector came.
            error, self.error = self.error, None
            try:
                raise error
            finally:
                del error
        if self.placed is None or not self.name_synced:
            # Only what went all the way is acknowledged, whatever broke off the way.
            raise InternalFault("the upload was not stored; the log of the server says why")
        return self.placed.replaced


def _nobody() -> None:
    """No outbox has to know."""


U = TypeVar("U", bound=ReceivedUpload)


def for_each_upload(uploads: Sequence[U], step: Callable[[U], object]) -> None:
    """Take a step with those that came so far; one that fails holds up no other."""
    for one in uploads:
        if one.error is None:
            try:
                step(one)
            except BaseException as error:
                one.error = error


class _KeyLock:
    """Who stores at one path; `async with` waits for the turn, and has it."""

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
    """Lets one upload at a time be stored at a path."""

    def __init__(self) -> None:
        self._locks: dict[tuple[str, ...], _KeyLock] = {}

    def __contains__(self, parts: tuple[str, ...]) -> bool:
        """Whether somebody has his turn at this path, or waits for it."""
        return parts in self._locks

    def at(self, parts: tuple[str, ...]) -> _KeyLock:
        """The turn at a path, to be waited for by `async with`."""
        return self._locks.get(parts) or _KeyLock(self._locks, parts)


def _voluntary_switches() -> int:
    """How often this thread gave up the processor to wait for something."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


class DirectPublisher:
    """Stores uploads that nobody is told of in one launch directory; callers have their turn."""

    def __init__(self, root_dir: RootDir, staging: StagingDirs, *, threads: Executor) -> None:
        self._root_dir = root_dir
        self._staging = staging
        self._executor: BatchingExecutor[ReceivedUpload] = BatchingExecutor(self._store, threads)
        #: Moment before which the threads do it, by the monotonic clock.
        self._threads_only_until = 0.0

    def can_publish_inline(self, upload: ReceivedUpload) -> bool:
        """Whether the loop may store it."""
        disk = self._root_dir.disk
        return (
            not (disk.sync_files or disk.sync_names or upload.staged.begun)
            and len(upload.unwritten) <= MAX_INLINE_BYTES
            and time.monotonic() >= self._threads_only_until
        )

    def publish_inline(self, upload: ReceivedUpload) -> bool:
        """Store the file on this thread; whether it replaced another. Raises Problem."""
        began, waits = time.monotonic(), _voluntary_switches()
        self._store([upload])
        # Other programs on the processor also take time; that is no fault of the disk.
        if (ended := time.monotonic()) - began > SLOW_SECONDS and _voluntary_switches() != waits:
            self._threads_only_until = ended + THREADS_ONLY_SECONDS
        return upload.replaced

    async def store(self, upload: ReceivedUpload) -> bool:
        """Store the file; whether it replaced another. Raises Problem."""
        await self._executor.do(upload)
        return upload.replaced

    def _store(self, uploads: Sequence[ReceivedUpload]) -> float:
        """All steps; how each upload ended stands in it. Gives the seconds of the shortest sync."""
        for_each_upload(uploads, ReceivedUpload.write)
        for_each_upload(uploads, ReceivedUpload.sync)
        names = DirectorySync(self._root_dir.disk)
        with contextlib.closing(DirCache(self._root_dir)) as parents:
            for_each_upload(uploads, lambda one: one.place(parents, self._staging))
            for_each_upload(uploads, lambda one: one.sync_name(names))
        return min(one.waited for one in uploads)
