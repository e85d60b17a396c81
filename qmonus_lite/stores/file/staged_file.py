"""Staging files: an upload is written to a temporary file and published atomically by a rename.

A rename works only within one mount, so files for another mount are staged on that mount, in a
directory whose name no upload can have (`stores.file.staging_dirs`). If the rename fails with
EXDEV, the file is copied to the right mount first. The methods block, and must not be called
concurrently for one file.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from qmonus_lite.errors import Problem
from qmonus_lite.stores.file.disk_errors import (
    COPYING,
    FINDING,
    KEEPING,
    KEEPING_STAGED,
    PLACING,
    SYNCING,
    WRITING,
    DiskOperation,
)
from qmonus_lite.stores.file.filesystem import Filesystem, StrPath
from qmonus_lite.stores.file.inheritance import MODE, Inherited
from qmonus_lite.stores.file.root_dir import OpenDir
from qmonus_lite.uploads.digest import NO_DIGESTS, Digests
from qmonus_lite.uploads.store import replaced_meanwhile
from qmonus_lite.values import Value

Bytes = bytes | bytearray | memoryview
P = TypeVar("P", int, str)

#: Errors that mean that group or ACL cannot be given to the file where it is.
_CANNOT_GIVE = {errno.EPERM, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS}
#: Errors of link(2) that mean that the file system has no hard links.
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}


class OtherMount(Exception):
    """The file is staged on another mount (EXDEV), or cannot get the group of its path there."""

    def __init__(self, error: OSError) -> None:
        self.error = error
        super().__init__(str(error))


@dataclass(kw_only=True)
class StagedFile:
    """The staging file of one upload; its name is independent of the final name."""

    path: StrPath
    disk: Filesystem
    #: First staging path, if it was copied to another mount; else empty.
    former: StrPath = ""
    #: Whether it is complete and synced.
    finished: bool = False
    #: Whether it was published at its final path.
    placed: bool = False
    #: Whether another process owns the file now.
    handed_over: bool = False
    #: Whether a record may still name it; until that is removed the file proves "no rename".
    keep: bool = False
    #: Digests to compute while writing.
    digests: Digests = NO_DIGESTS
    #: The error of a failed fsync.
    failure: Problem | None = None
    #: Why it could not be given what it has to inherit; then it has to be copied.
    _not_given: OSError | None = None
    _descriptor: int = field(default=-1)

    @property
    def begun(self) -> bool:
        """Whether the file was created."""
        return self.finished or self._descriptor >= 0

    def write(self, data: Bytes) -> None:
        """Append all of `data`; the first write creates the file. Raises Problem."""
        view = memoryview(data)
        try:
            self._open()
            # A write may be partial: on a full disk, the next write returns the error.
            while view:
                view = view[self.disk.write(self._descriptor, view) :]
        except OSError as error:
            raise self.disk.answer(error, WRITING) from error
        self.digests.update(data)

    def give(self, inherited: Inherited) -> None:
        """Give it group and ACL; if that is not permitted, `place` raises OtherMount.

        Raises Problem.
        """
        self._not_given = None
        try:
            if self.finished:
                # Of another process, which gave it what it could.
                self.disk.check_group(self.path, inherited)
            else:
                self._open()
                self.disk.give(self._descriptor, inherited)
        except OSError as error:
            if error.errno not in _CANNOT_GIVE:
                raise self.disk.answer(error, WRITING) from error
            self._not_given = error

    def finish(self) -> None:
        """Fsync the file; a failed fsync is never retried. Raises Problem.

        Linux reports a write-back error once and then drops the dirty pages
        (https://wiki.postgresql.org/wiki/Fsync_Errors), so the upload fails.
        """
        if self.finished:
            return
        self.sync()
        try:
            self._close()
        except OSError as error:
            raise self.disk.answer(error, SYNCING) from error
        self.finished = True

    def sync(self) -> None:
        """Fsync the file and keep it open, created if it is empty; raises Problem."""
        if self.failure is not None:
            raise self.failure
        action = WRITING
        try:
            self._open()
            action = SYNCING
            self.disk.sync_file(self._descriptor)
        except OSError as error:
            problem = self.disk.answer(error, action)
            if action is SYNCING:
                self.failure = problem
            raise problem from error

    def reopen(self) -> int:
        """Open an existing file to append to it; returns its size. Raises Problem."""
        try:
            self._descriptor, size = self.disk.reopen(self.path)
            self._rehash(size)
        except OSError as error:
            raise self.disk.answer(error, WRITING) from error
        return size

    def truncate(self, size: int) -> None:
        """Remove all bytes from `size` on; raises Problem."""
        try:
            self._open()
            self.disk.truncate(self._descriptor, size)
            self._rehash(size)
        except OSError as error:
            raise self.disk.answer(error, WRITING) from error

    def _rehash(self, size: int) -> None:
        """Compute the digests of the first `size` bytes anew."""
        if self.digests.wanted:
            self.digests.reset()
            for data in self.disk.read(self.path, size):
                self.digests.update(data)

    def sync_name(self, names: "DirectorySync") -> None:
        """Sync the staging directory, once the file is finished; raises Problem.

        Recovery treats a missing staging file of a record as proof of the rename.
        """
        names.sync_path(os.path.dirname(self.path))

    def place(self, open_dir: OpenDir, name: str, *, create_only: bool = False) -> "PublishedFile":
        """Publish the file in a directory; durable after `PublishedFile.sync_name`.

        Raises OtherMount if it has to be copied to another mount first, otherwise Problem.
        """
        if self._not_given is not None:
            raise OtherMount(self._not_given)
        action = FINDING
        try:
            replaced = open_dir.has_file(name)
            if replaced and create_only:
                raise replaced_meanwhile()
            action = PLACING
            linked = create_only and self._link(name, open_dir.here)
            if not linked:
                self.disk.rename(self.path, name, open_dir.here)
        except OSError as error:
            if error.errno == errno.EXDEV and action is PLACING:
                raise OtherMount(error) from error
            raise self.disk.answer(error, action) from error
        self.placed = True
        return PublishedFile(file=self, open_dir=open_dir, replaced=replaced, linked=linked)

    def move(self, directory: Path, inherited: Inherited | None = None) -> None:
        """Copy the finished file to a staging directory on the mount of its final path.

        `inherited` is given to the copy, if not None. The copy and its directory are synced. The
        first file is kept until the copy is published, since until then the record may name
        either. Raises Problem.
        """
        to = f"{directory}/{os.path.basename(self.path)}"
        try:
            with self.disk.mapping_errors(COPYING):
                descriptor = self.disk.create(to, MODE)
                try:
                    if inherited is not None:
                        with self.disk.mapping_errors(PLACING):
                            self.disk.give(descriptor, inherited)
                    self.disk.copy(self.path, descriptor)
                    with self.disk.mapping_errors(SYNCING):
                        self.disk.sync_file(descriptor)
                finally:
                    self.disk.close(descriptor)
            with self.disk.mapping_errors(KEEPING_STAGED):
                self.disk.sync_names_in(directory)
        except Problem:
            self.disk.tidy(to)
            raise
        self._remove_former()
        self._not_given = None
        self.former, self.path = self.path, to

    def hand_over(self) -> None:
        """Transfer ownership of the file to the process that stores it."""
        self.handed_over = True

    def discard(self) -> None:
        """Remove the file unless published, handed over or to be kept; idempotent."""
        self._close()
        if self.keep or self.handed_over:
            return
        if not self.placed:
            self.disk.tidy(self.path)
        self._remove_former()

    def _remove_former(self) -> None:
        if self.former:
            self.disk.tidy(self.former)
            self.former = ""

    def _link(self, name: str, parent: int) -> bool:
        """Publish by a hard link, which replaces nothing; False if links are not supported."""
        try:
            self.disk.link(self.path, name, parent)
        except FileExistsError:
            raise replaced_meanwhile() from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # Then only the per-path lock among uploads prevents that a file is replaced.
            return False
        return True

    def _open(self) -> None:
        if self._descriptor < 0:
            # With its final permissions: the staging directory is private (0700).
            self._descriptor = self.disk.create(self.path, MODE)

    def _close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            self.disk.close(descriptor)


class PublishedFile(Value, frozen=True, kw_only=True):
    """A file published at its path; durable after `sync_name`."""

    file: StagedFile
    #: The directory of the file.
    open_dir: OpenDir
    #: Whether it replaced an existing file.
    replaced: bool
    #: Whether it was published by a hard link, so that the staging name still exists.
    linked: bool

    def sync_name(self, names: "DirectorySync") -> None:
        """Sync the directory of the new name, and remove staging names; raises Problem."""
        names.sync_dir(self.open_dir)
        if self.linked:
            # The file is stored: on failure, the staging name remains until the next start.
            self.file.disk.tidy(self.file.path)
        if self.file.former:
            self.file.discard()


class DirectorySync:
    """Syncs directories, each once.

    Used after the names of several files were created, so that those in one directory share one
    fsync; a failed fsync is an error for all of them, and is not retried.
    """

    def __init__(self, disk: Filesystem) -> None:
        self._disk = disk
        self._ended: dict[OpenDir | str, Problem | None] = {}

    def sync_dir(self, open_dir: OpenDir) -> None:
        """Sync an open directory; raises Problem."""
        if open_dir not in self._ended:
            self._ended[open_dir] = self._kept(self._disk.sync_directory, open_dir.here, KEEPING)
        if error := self._ended[open_dir]:
            raise error

    def sync_path(self, directory: str) -> None:
        """Sync a directory given by its path; raises Problem."""
        if directory not in self._ended:
            sync = self._disk.sync_names_in
            self._ended[directory] = self._kept(sync, directory, KEEPING_STAGED)
        if error := self._ended[directory]:
            raise error

    def _kept(self, sync: Callable[[P], None], target: P, action: DiskOperation) -> Problem | None:
        try:
            sync(target)
        except OSError as error:
            return self._disk.answer(error, action)
        return None
