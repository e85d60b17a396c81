"""Pending upload of the file store: a write buffer, a staged file and reserved space."""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import cached_property, partial
from math import inf
from typing import TypeVar

from qmonus_lite.byte_source import ByteSource
from qmonus_lite.stores.file.disk_errors import FINDING, PLACING, WRITING
from qmonus_lite.stores.file.inheritance import Inherited
from qmonus_lite.stores.file.reservation import Reservation
from qmonus_lite.stores.file.root_dir import DirCache, RootDir
from qmonus_lite.stores.file.source_copy import SourceCopier
from qmonus_lite.stores.file.staged_file import (
    DirectorySync,
    OtherMount,
    PublishedFile,
    StagedFile,
)
from qmonus_lite.stores.file.staging_dirs import StagingDirs
from qmonus_lite.uploads.store import Condition, Handover, StoredPath

T = TypeVar("T")

#: Bytes buffered before a write on a disk thread, one write at a time; also the maximum that a
#: stalled upload holds in memory.
WRITE_BATCH_BYTES = 256 << 10
#: Separates the staged file from the stored path in a token: the former has no empty part.
TOKEN_SEPARATOR = "//"


@dataclass(frozen=True, kw_only=True, eq=False)
class PendingContext:
    """What all pending uploads of a store share."""

    #: Thread pool for disk operations.
    threads: Executor
    copier: SourceCopier
    root_dir: RootDir
    staging: StagingDirs
    #: Uploads to `keep`, which the sweep leaves.
    kept: "set[FilePendingUpload]" = field(default_factory=set)


def parse_token(token: str) -> tuple[str, StoredPath]:
    """The part that names the staged file, and the stored path."""
    staged, _, path = token.partition(TOKEN_SEPARATOR)
    return staged, tuple(path.split("/"))


class FilePendingUpload:
    """One pending upload; the methods without `async` block."""

    def __init__(
        self,
        context: PendingContext,
        staged: StagedFile,
        where: StoredPath,
        location: str,
        reservation: Reservation | None = None,
    ) -> None:
        self._context = context
        self.staged = staged
        self.where = where
        self.location = location
        self._reservation = reservation
        self.received = 0
        #: Bytes not yet written to the staged file, and the number of those that are.
        self._unwritten: bytes | bytearray = bytearray()
        self._written = 0
        self._synced = 0
        self._name_synced = False
        self._aborted = False
        self.published: PublishedFile | None = None
        #: Duration of the fsync of the staged file, in seconds.
        self.sync_seconds = inf

    @property
    def token(self) -> str:
        """The staged file, relative to a directory that can be moved, and the stored path."""
        staged = self._context.staging.token(self.staged.path)
        return f"{staged}{TOKEN_SEPARATOR}{'/'.join(self.where)}"

    @property
    def staged_file(self) -> str | None:
        """Path of the staged file."""
        return str(self.staged.path)

    @property
    def durable(self) -> int:
        """Bytes that are written, and synced unless `--upload_durability=none`."""
        return self._synced if self.staged.disk.sync_files else self._written

    @property
    def keep(self) -> bool:
        """Whether `abort` and the sweep leave the staged file."""
        return self.staged.keep

    @keep.setter
    def keep(self, keep: bool) -> None:
        self.staged.keep = keep
        (self._context.kept.add if keep else self._context.kept.discard)(self)

    @property
    def begun(self) -> bool:
        """Whether the staged file was created."""
        return self.staged.begun

    @property
    def buffered(self) -> int:
        """Number of bytes not yet written to the staged file."""
        return len(self._unwritten)

    @cached_property
    def _lock(self) -> asyncio.Lock:
        """Serializes the disk operations of this upload, including `abort`."""
        return asyncio.Lock()

    async def append(self, data: bytes) -> None:
        """Buffer bytes; waits for the disk as backpressure. Raises Problem."""
        if self._reservation is not None:
            self._reservation.take(len(data))
        self.received += len(data)
        self._unwritten += data
        if len(self._unwritten) >= WRITE_BATCH_BYTES:
            await self._write_buffer()

    async def copy_from(self, source: ByteSource) -> int:
        """Copy what a source has on a thread; returns how many bytes. Raises Problem."""
        await self._write_buffer()
        async with self._lock:
            if self._aborted:
                return 0
            count = await self._context.copier.copy_slice(source, self.staged)
        self.received += count
        self._written += count
        if self._reservation is not None:
            self._reservation.take(count)
        return count

    async def flush(self) -> None:
        """Write and fsync every received byte; raises Problem."""
        await self._write_buffer()
        async with self._lock:
            if not self._aborted:
                await self._on_thread(self._sync)

    async def rollback(self, offset: int) -> None:
        """Forget the bytes from `offset` on; raises Problem."""
        if not 0 <= offset <= self.received:
            raise ValueError(f"offset {offset} of {self.received} received bytes")
        async with self._lock:
            if offset < self._written:
                self._unwritten = bytearray()
                await self._on_thread(partial(self.staged.truncate, offset))
                self._written = offset
                self._synced = min(self._synced, offset)
            self._unwritten = self._unwritten[: offset - self._written]
        if self._reservation is not None:
            self._reservation.give_back(self.received - offset)
        self.received = offset

    async def hand_over(self) -> Handover:
        """Give it to the writer process; what was begun is finished here. Raises Problem.

        fsync in this process: write-back errors are reported on the descriptor that is open.
        """
        if self.begun or self.staged.digests.wanted:
            await self._on_thread(self._finish)
        self.staged.hand_over()
        content = b"" if self.staged.finished else bytes(self._unwritten)
        return Handover(token=self.token, sealed=self.staged.finished, content=content)

    def fill(self, content: bytes) -> None:
        """Set the bytes of an upload that was handed over without a staged file."""
        self._unwritten = content
        self.received = len(content)

    async def abort(self) -> None:
        """Remove the staged file, unless it was published, handed over or is kept; idempotent."""
        self._aborted = True
        self._unwritten = bytearray()
        self.done()
        async with self._lock:
            await self._on_thread(self.staged.discard)

    def done(self) -> None:
        """Free the reserved space."""
        if self._reservation is not None:
            self._reservation.release()

    def reopen(self) -> None:
        """Open the staged file, whose bytes are on stable storage; raises Problem."""
        self.received = self._written = self._synced = self.staged.reopen()
        if self._reservation is not None:
            self._reservation.take(self.received)

    def write_rest(self) -> None:
        """Write the buffered bytes and check digests; raises Problem, also for a mismatch."""
        if self._unwritten:
            batch, self._unwritten = self._unwritten, b""
            self.staged.write(batch)
        self.staged.digests.check()

    def sync(self) -> None:
        """Give it group and ACL of its directory, fsync and close it; raises Problem."""
        inherited = self._not_inherited(str(self.staged.path).rpartition("/")[0])
        if inherited is not None:
            self.staged.give(inherited)
        began = time.perf_counter()
        self.staged.finish()
        self.sync_seconds = time.perf_counter() - began

    def place(
        self,
        parents: DirCache,
        condition: Condition,
        token_changed: Callable[[str], None] | None = None,
    ) -> None:
        """Rename the staged file to its path; raises Problem.

        A file staged on another mount is copied first; then `token_changed` is called, before the
        rename.
        """
        absent = condition.absent
        try:
            self._rename(parents, absent=absent)
        except OtherMount as error:
            failed = error
        else:
            return
        for directory in self._context.staging.across(*parents.place(self.where)):
            if str(directory) == os.path.dirname(self.staged.path):
                continue
            self.staged.move(directory, self._not_inherited(str(directory)))
            if token_changed is not None:
                token_changed(self.token)
            try:
                self._rename(parents, absent=absent)
                return
            except OtherMount as error:
                failed = error
        raise self.staged.disk.answer(failed.error, PLACING) from failed

    def sync_name(self, names: DirectorySync) -> None:
        """Sync the directory of its path; raises Problem."""
        assert self.published is not None
        self.published.sync_name(names)

    def _rename(self, parents: DirCache, *, absent: bool) -> None:
        open_dir, name = parents.of(self.where), self.where[-1]
        self.published = self.staged.place(open_dir, name, create_only=absent)

    def _not_inherited(self, staging: str) -> Inherited | None:
        """What a file gets at its path and not in a staging directory; None if the same."""
        action = FINDING
        try:
            wanted = self._context.root_dir.inherited(self.where)
            action = WRITING
            return None if wanted == self._context.staging.inherited(staging) else wanted
        except OSError as error:
            raise self.staged.disk.answer(error, action) from error

    def _finish(self) -> None:
        self.write_rest()
        self.sync()

    def _sync(self) -> None:
        self.staged.sync()
        if not self._name_synced:
            self.staged.sync_name(DirectorySync(self.staged.disk))
            self._name_synced = True
        self._synced = self._written

    async def _write_buffer(self) -> None:
        if not self._unwritten:
            return
        batch, self._unwritten = self._unwritten, bytearray()
        async with self._lock:
            # After an abort, a write would create the file again and leave it behind.
            if not self._aborted:
                await self._on_thread(partial(self.staged.write, batch))
                self._written += len(batch)

    async def _on_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._context.threads, work)
