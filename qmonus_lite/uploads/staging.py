"""Staging: a file grows out of sight and appears at its final path whole, by a rename.

A rename stays within one mount, so files for another one are staged there, in a directory of its
own that no upload can name (`uploads.staging_dirs`). Where a rename finds out that a
file was staged on the wrong one, it is copied over first. The methods block; one at a time for one
file.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from qmonus_lite.errors import PreconditionFailed, Problem
from qmonus_lite.uploads.digest import Digests
from qmonus_lite.uploads.disk_errors import (
    COPYING,
    FINDING,
    KEEPING,
    KEEPING_STAGED,
    PLACING,
    SYNCING,
    WRITING,
    DiskOperation,
)
from qmonus_lite.uploads.filesystem import Filesystem, StrPath
from qmonus_lite.uploads.root_dir import OpenDir

Bytes = bytes | bytearray | memoryview
P = TypeVar("P", int, str)

#: What says that a file system has no links.
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}


class OtherMount(Exception):
    """The file is staged on another mount than the one that it is to appear on (EXDEV)."""

    def __init__(self, error: OSError) -> None:
        self.error = error
        super().__init__(str(error))


@dataclass(kw_only=True)
class StagedFile:
    """One file being received; its name says nothing of the final one."""

    path: StrPath
    disk: Filesystem
    #: Where it was staged first, if it had to be copied to another mount; or nothing.
    former: StrPath = ""
    #: Whether it is whole, and on stable storage.
    finished: bool = False
    #: Whether it has appeared at its final path.
    placed: bool = False
    #: Whether another process has it now.
    handed_over: bool = False
    #: Whether the outbox still has to forget its row; until then it proves that nothing happened.
    pending_withdrawal: bool = False
    #: What it is hashed for, if anything.
    digests: Digests = field(default_factory=lambda: Digests({}, None))
    _descriptor: int = field(default=-1)

    @property
    def begun(self) -> bool:
        """Whether the file is there."""
        return self.finished or self._descriptor >= 0

    def write(self, data: Bytes) -> None:
        """Append all of `data`; the first write makes the file."""
        view = memoryview(data)
        try:
            self._open()
            # A write may take only a part: on a full disk the error comes with the next one.
            while view:
                view = view[self.disk.write(self._descriptor, view) :]
        except OSError as error:
            raise self.disk.answer(error, WRITING) from error
        self.digests.update(data)

    def finish(self) -> None:
        """Put the bytes on stable storage; a failed sync is never tried again.

        Linux reports a write-back error once and then forgets the pages
        (https://wiki.postgresql.org/wiki/Fsync_Errors), so the file is given up.
        """
        if self.finished:
            return
        action = WRITING
        try:
            self._open()
            action = SYNCING
            self.disk.sync_file(self._descriptor)
            self._close()
        except OSError as error:
            raise self.disk.answer(error, action) from error
        self.finished = True

    def sync_name(self, names: "DirectorySync") -> None:
        """Put the name on stable storage too, once the file is finished.

        A row in the outbox whose staged file is gone has to mean that the rename happened.
        """
        names.sync_path(os.path.dirname(self.path))

    def place(self, open_dir: OpenDir, name: str, *, create_only: bool = False) -> "PublishedFile":
        """Let the file appear in a directory; it stays there when the name was `kept`.

        Raises OtherMount when it has to be copied before, and else Problem.
        """
        action = FINDING
        try:
            replaced = open_dir.has_file(name)
            if replaced and create_only:
                raise _too_late()
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

    def move(self, directory: Path) -> None:
        """Copy the finished file to another staging directory, whose mount its path is on.

        The copy and its name are on stable storage then, and the first file stays until the copy
        has appeared: up to then either may be the one that the outbox has a row of.
        """
        to = f"{directory}/{os.path.basename(self.path)}"
        try:
            with self.disk.mapping_errors(COPYING):
                descriptor = self.disk.create(to, 0o666)
                try:
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
        self._forget_former()
        self.former, self.path = self.path, to

    def hand_over(self) -> None:
        """Leave the file to the process that stores it."""
        self.handed_over = True

    def discard(self) -> None:
        """Forget the file; does nothing when it is gone, in place, still owed, or another's."""
        self._close()
        if self.pending_withdrawal or self.handed_over:
            return
        if not self.placed:
            self.disk.tidy(self.path)
        self._forget_former()

    def _forget_former(self) -> None:
        if self.former:
            self.disk.tidy(self.former)
            self.former = ""

    def _link(self, name: str, parent: int) -> bool:
        """Appear by a link, which replaces nothing; False where the file system has no links."""
        try:
            self.disk.link(self.path, name, parent)
        except FileExistsError:
            raise _too_late() from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # Then only uploads of ours are kept apart, since they take turns on a path.
            return False
        return True

    def _open(self) -> None:
        if self._descriptor < 0:
            # With the permissions that it will have: its directory is ours alone until then.
            self._descriptor = self.disk.create(self.path, 0o666)

    def _close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            self.disk.close(descriptor)


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """A file that appeared at its path; `keep` it."""

    file: StagedFile
    #: Stands in the directory of the file.
    open_dir: OpenDir
    #: Whether it took the place of another.
    replaced: bool
    #: Whether it appeared by a link, so that its old name is still there.
    linked: bool

    def sync_name(self, names: "DirectorySync") -> None:
        """Put the new name on stable storage."""
        names.sync_dir(self.open_dir)
        if self.linked:
            # The file is stored by now: its old name may stay until the next start.
            self.file.disk.tidy(self.file.path)
        if self.file.former:
            self.file.discard()


class DirectorySync:
    """Puts the names in directories on stable storage, each directory once.

    Asked after the names of several files were made, so that those in one directory share one sync;
    where it fails, it has failed for all of them, and is not tried again.
    """

    def __init__(self, disk: Filesystem) -> None:
        self._disk = disk
        self._ended: dict[OpenDir | str, Problem | None] = {}

    def sync_dir(self, open_dir: OpenDir) -> None:
        """The names where this walk stands; raises Problem."""
        if open_dir not in self._ended:
            self._ended[open_dir] = self._kept(self._disk.sync_directory, open_dir.here, KEEPING)
        if error := self._ended[open_dir]:
            raise error

    def sync_path(self, directory: str) -> None:
        """The names in a directory given by its path; raises Problem."""
        if directory not in self._ended:
            sync = self._disk.sync_names_in
            self._ended[directory] = self._kept(sync, directory, KEEPING_STAGED)
        if error := self._ended[directory]:
            raise error

    def _kept(self, sync: Callable[[P], None], place: P, action: DiskOperation) -> Problem | None:
        try:
            sync(place)
        except OSError as error:
            return self._disk.answer(error, action)
        return None


def _too_late() -> PreconditionFailed:
    return PreconditionFailed("a file was stored at this path in the meantime")
