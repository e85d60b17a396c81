"""The file store: uploads are staged on the mount of their path and published by a rename.

    sync(staged) [-> sync(staging directory)] -> rename -> sync(directory)

With `--upload_durability=none` there is no fsync, so that a small file is stored on the event loop
itself: a round trip to the thread pool costs more than the system calls. If they are slow all the
same (network file system, memory full of dirty pages), all uploads go to the thread pool for
THREADS_ONLY_SECONDS.

The token names the staged file and the stored path. Whether an upload was published:

    staged file is   and is the same file as the final one   so the rename
    -----------------------------------------------------------------------
    there            no                                      did not happen
    there            yes (its old name was not yet gone)     happened
    gone             -                                       happened
    gone, with its directory, and no file at the path        is unknown: a mount may be missing

If the file is staged on another mount than its path (the rename fails with EXDEV), it is copied to
a staging directory on the right mount, and the record gets the token of the copy, before the copy
is renamed. The table is valid for either token: nothing is renamed before the record is updated,
and the first file is removed only after the rename.

    rename: EXDEV -> copy, sync(copy), sync(its name) -> record names the copy -> rename -> ...
"""

import asyncio
import contextlib
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from qmonus_lite.errors import NotFound
from qmonus_lite.stores.file.filesystem import UNFIT, Filesystem
from qmonus_lite.stores.file.free_space import FreeSpace
from qmonus_lite.stores.file.pending import FilePendingUpload, PendingContext, parse_token
from qmonus_lite.stores.file.reservation import SpaceReservations
from qmonus_lite.stores.file.root_dir import DirCache, RootDir
from qmonus_lite.stores.file.staged_file import DirectorySync, StagedFile
from qmonus_lite.stores.file.steps import Steps
from qmonus_lite.uploads.digest import NO_DIGESTS, Digests
from qmonus_lite.uploads.store import (
    UNCONDITIONAL,
    Capabilities,
    Condition,
    Handover,
    PendingUpload,
    Publication,
    PublicationState,
    PublishResult,
    SealResult,
    StoredFile,
    StoredPath,
)

#: Maximum bytes of a file that is stored on the event loop.
MAX_INLINE_BYTES = 64 << 10
#: Seconds above which that is slow; seconds for which the thread pool is then used instead.
SLOW_SECONDS, THREADS_ONLY_SECONDS = 0.005, 10.0


def _voluntary_switches() -> int:
    """Number of voluntary context switches of this thread (it blocked)."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


class FileStore:
    """Store of uploads below a launch directory."""

    capabilities = Capabilities(staged_file=True, change_of_path=True, source_copy=True)

    def __init__(
        self,
        root_dir: RootDir,
        space: SpaceReservations,
        context: PendingContext,
        *,
        owner: str = "",
        free_space: FreeSpace | None = None,
    ) -> None:
        """`owner`: prefix of the names of its staged files, by which another process sweeps them.

        `free_space`: the check of this process for readiness, if it has one.
        """
        self.root_dir = root_dir
        self._space = space
        self.context = context
        self._owner = owner
        self._free_space = free_space
        #: Time until which `publish_now` is not to be used, by the monotonic clock.
        self._threads_only_until = 0.0

    @property
    def disk(self) -> Filesystem:
        """The file operations of this store."""
        return self.root_dir.disk

    @property
    def unhealthy_reason(self) -> str | None:
        """Why no upload can be stored now: a failing disk, or too little free space."""
        if self.disk.unfit:
            return UNFIT
        return self._free_space.unhealthy_reason if self._free_space else None

    def location(self, where: StoredPath) -> str:
        """The absolute path of a stored file."""
        return str(self.root_dir.root.joinpath(*where))

    async def create(
        self,
        where: StoredPath,
        *,
        upload_id: str,
        length: int | None,
        condition: Condition = UNCONDITIONAL,
        digests: Digests = NO_DIGESTS,
    ) -> FilePendingUpload:
        """A new upload; creates no file. Raises Problem."""
        look = self.root_dir.look(where)
        condition.check(look.there)
        directory = self.context.staging.directory(look.directory, look.mount)
        reservation = self._space.reserve(directory, look.mount.device, length)
        path = f"{directory}/{self._owner}{upload_id}"
        staged = StagedFile(path=path, disk=self.disk, digests=digests)
        return FilePendingUpload(self.context, staged, where, look.path, reservation)

    async def reopen(
        self, token: str, *, length: int | None = None, digests: Digests = NO_DIGESTS
    ) -> FilePendingUpload:
        """Continue a staged file at its end; raises NotFound, Problem."""
        path, where = self._paths(token)
        look = self.root_dir.look(where)
        if not path.is_file():
            raise NotFound("this upload is not there any more")
        reservation = self._space.reserve(path.parent, look.mount.device, length)
        staged = StagedFile(path=path, disk=self.disk, digests=digests)
        upload = FilePendingUpload(self.context, staged, where, look.path, reservation)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self.context.threads, upload.reopen)
        return upload

    def adopt(self, handover: Handover) -> FilePendingUpload:
        """Continue an upload of another process; makes no system call."""
        path, where = self._paths(handover.token)
        staged = StagedFile(path=path, disk=self.disk, finished=handover.sealed)
        upload = FilePendingUpload(self.context, staged, where, self.location(where))
        upload.fill(handover.content)
        return upload

    async def change_path(
        self, upload: PendingUpload, where: StoredPath, condition: Condition = UNCONDITIONAL
    ) -> None:
        """Change the path of an upload; raises Problem. Another mount costs a copy at publish."""
        look = self.root_dir.look(where)
        condition.check(look.there)
        own = cast(FilePendingUpload, upload)
        own.where, own.location = where, look.path

    def seal(self, uploads: Sequence[PendingUpload], *, recorded: bool) -> SealResult:
        """Write, check digests, fsync; if `recorded`, also the names of the staged files."""
        own = cast(Sequence[FilePendingUpload], uploads)
        steps = Steps(own)
        # Write all files before the first fsync, which also starts write-back of the others.
        steps.run(FilePendingUpload.write_rest)
        steps.run(FilePendingUpload.sync)
        if recorded:
            names = DirectorySync(self.disk)
            steps.run(lambda upload: upload.staged.sync_name(names))
        return SealResult(steps.errors, min(upload.sync_seconds for upload in own))

    def publish(self, publications: Sequence[Publication]) -> list[PublishResult]:
        """Rename the staged files, then sync each of their directories once."""
        steps = Steps(publications)
        with contextlib.closing(DirCache(self.root_dir)) as parents:
            steps.run(
                lambda entry: _upload(entry).place(parents, entry.condition, entry.token_changed)
            )
            names = DirectorySync(self.disk)
            steps.run(lambda entry: _upload(entry).sync_name(names))
        return [
            self._result(_upload(publication), error)
            for publication, error in zip(publications, steps.errors, strict=True)
        ]

    def discard(self, upload: PendingUpload) -> None:
        """Remove the staged file, unless it was published, handed over or is kept."""
        cast(FilePendingUpload, upload).staged.discard()

    def can_publish_now(self, upload: PendingUpload) -> bool:
        """Whether it is small, not begun, and no fsync is needed."""
        own, disk = cast(FilePendingUpload, upload), self.disk
        return (
            not (disk.sync_files or disk.sync_names or own.begun)
            and own.buffered <= MAX_INLINE_BYTES
            and time.monotonic() >= self._threads_only_until
        )

    def publish_now(self, upload: PendingUpload, condition: Condition) -> StoredFile:
        """Seal and publish on this thread; notes whether that was slow. Raises Problem."""
        own = cast(FilePendingUpload, upload)
        began, waits = time.monotonic(), _voluntary_switches()
        own.write_rest()
        own.sync()
        with contextlib.closing(DirCache(self.root_dir)) as parents:
            own.place(parents, condition)
            own.sync_name(DirectorySync(self.disk))
        # Without voluntary switches the time was lost to preemption, not to blocking I/O.
        if (ended := time.monotonic()) - began > SLOW_SECONDS and _voluntary_switches() != waits:
            self._threads_only_until = ended + THREADS_ONLY_SECONDS
        return self._stored(own)

    def outcome(self, token: str) -> PublicationState:
        """Whether the staged file was renamed, by the table at the top of this module."""
        staged, where = self._paths(token)
        final = self.root_dir.root.joinpath(*where)
        if not (staged.parent.exists() or final.exists()):
            return PublicationState.UNKNOWN
        if staged.exists() and not (final.exists() and final.samefile(staged)):
            return PublicationState.NOT_PUBLISHED
        return PublicationState.PUBLISHED

    def sweep(self, owner: str = "") -> int:
        """Remove staged files of a process that ended, except those to keep."""
        kept = {
            str(path)
            for upload in tuple(self.context.kept)
            for path in (upload.staged.path, upload.staged.former)
            if path
        }
        return self.context.staging.sweep(owner, kept)

    def probe(self) -> None:
        """Raise BadResource if the launch directory cannot be used."""
        self.root_dir.check()

    def _paths(self, token: str) -> tuple[Path, StoredPath]:
        """Path of the staged file, and stored path, of a token."""
        staged, where = parse_token(token)
        return self.context.staging.staged(staged), where

    def _result(self, upload: FilePendingUpload, error: BaseException | None) -> PublishResult:
        if upload.published is None:
            assert error is not None
            return error
        stored = self._stored(upload)
        return stored if error is None else stored._replace(durable=False, failure=error)

    def _stored(self, upload: FilePendingUpload) -> StoredFile:
        assert upload.published is not None
        return StoredFile(
            replaced=upload.published.replaced,
            durable=self.disk.sync_names,
            location=upload.location,
        )


def _upload(publication: Publication) -> FilePendingUpload:
    return cast(FilePendingUpload, publication.upload)
