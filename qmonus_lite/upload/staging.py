"""Staging: a file grows out of sight and appears at its final path whole, by a rename.

A rename stays within one file system, so files for another mount are staged there, in a directory
of its own that no upload can name. The methods block; one at a time for one file.
"""

import errno
import logging
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from qmonus_lite.errors import PreconditionFailed, Problem
from qmonus_lite.upload.digest import Digests
from qmonus_lite.upload.disk import Disk, StrPath
from qmonus_lite.upload.ground import Walk

logger = logging.getLogger(__name__)

Bytes = bytes | bytearray | memoryview
P = TypeVar("P", int, str)

#: Directory for staged files at the top of another mount, below the launch directory.
MOUNT_STAGING = ".qmonus-lite-staging"


@dataclass(kw_only=True)
class StagedFile:
    """One file being received; its name says nothing of the final one."""

    path: StrPath
    disk: Disk
    #: Whether it is whole, and on stable storage.
    finished: bool = False
    #: Whether it has appeared at its final path.
    placed: bool = False
    #: Whether another process has it now.
    handed_over: bool = False
    #: Whether the outbox still has to forget its row; until then it proves that nothing happened.
    owed: bool = False
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
        with self.disk.answering("writing"):
            self._open()
            # A write may take only a part: on a full disk the error comes with the next one.
            while view:
                view = view[self.disk.write(self._descriptor, view) :]
        self.digests.update(data)

    def finish(self) -> None:
        """Put the bytes on stable storage; a failed sync is never tried again.

        Linux reports a write-back error once and then forgets the pages
        (https://wiki.postgresql.org/wiki/Fsync_Errors), so the file is given up.
        """
        if self.finished:
            return
        with self.disk.answering("putting a file on stable storage"):
            self._open()
            self.disk.sync_file(self._descriptor)
            self._close()
        self.finished = True

    def keep_name(self, names: "Names") -> None:
        """Put the name on stable storage too, once the file is finished.

        A row in the outbox whose staged file is gone has to mean that the rename happened.
        """
        names.keep_path(os.path.dirname(self.path))

    def place(self, walk: Walk, name: str, *, create_only: bool = False) -> "Placed":
        """Let the file appear in a directory; it stays there when the name was `kept`."""
        with self.disk.answering("putting a file in place"):
            replaced = walk.has_file(name)
            if replaced and create_only:
                raise _too_late()
            linked = create_only and self._link(name, walk.here)
            if not linked:
                self.disk.rename(self.path, name, walk.here)
        self.placed = True
        return Placed(file=self, walk=walk, replaced=replaced, linked=linked)

    def hand_over(self) -> None:
        """Leave the file to the process that stores it."""
        self.handed_over = True

    def discard(self) -> None:
        """Forget the file; does nothing when it is gone, in place, still owed, or another's."""
        self._close()
        if not (self.placed or self.owed or self.handed_over):
            self.disk.remove(self.path)

    def _link(self, name: str, parent: int) -> bool:
        """Appear by a link, which replaces nothing; False where the file system has no links."""
        try:
            self.disk.link(self.path, name, parent)
        except FileExistsError:
            raise _too_late() from None
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.EOPNOTSUPP}:
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
class Placed:
    """A file that appeared at its path; `keep` it."""

    file: StagedFile
    #: Stands in the directory of the file.
    walk: Walk
    #: Whether it took the place of another.
    replaced: bool
    #: Whether it appeared by a link, so that its old name is still there.
    linked: bool

    def keep(self, names: "Names") -> None:
        """Put the new name on stable storage."""
        names.keep_walk(self.walk)
        if self.linked:
            with self.file.disk.answering("putting a file in place"):
                self.file.disk.remove(self.file.path)


class Names:
    """Puts the names in directories on stable storage, each directory once.

    Asked after the names of several files were made, so that those in one directory share one sync;
    where it fails, it has failed for all of them, and is not tried again.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._ended: dict[Walk | str, Problem | None] = {}

    def keep_walk(self, walk: Walk) -> None:
        """The names where this walk stands; raises Problem."""
        if walk not in self._ended:
            self._ended[walk] = self._kept(self._disk.sync_directory, walk.here)
        if error := self._ended[walk]:
            raise error

    def keep_path(self, directory: str) -> None:
        """The names in a directory given by its path; raises Problem."""
        if directory not in self._ended:
            self._ended[directory] = self._kept(self._disk.sync_names_in, directory)
        if error := self._ended[directory]:
            raise error

    def _kept(self, sync: Callable[[P], None], place: P) -> Problem | None:
        try:
            with self._disk.answering("putting a name on stable storage"):
                sync(place)
        except Problem as error:
            return error
        return None


def _too_late() -> PreconditionFailed:
    return PreconditionFailed("a file was stored at this path in the meantime")


class Staging:
    """The directories of staged files, one a file system."""

    def __init__(self, disk: Disk, data_dir: Path, root: Path) -> None:
        self._disk = disk
        self._root = root
        self._home = data_dir / "staging"
        self._home.mkdir(mode=0o700, exist_ok=True)
        #: Staging directories on other mounts, one a line, for the sweep of the next start.
        self._known = data_dir / "staging.mounts"
        self._by_device = {disk.device(self._home): self._home}

    def directory(self, near: Path, device: int) -> Path:
        """The staging directory on a file system, which `near`, an existing directory, is on."""
        if device not in self._by_device:
            self._by_device[device] = self._make(near, device)
        return self._by_device[device]

    def sweep(self, mark: str = "", keep: Collection[str] = ()) -> int:
        """Remove staged files that a process left; how many there were.

        Those whose names begin with `mark`, which for every former process is nothing.
        """
        others = self._known.read_text().splitlines() if self._known.exists() else []
        found = [
            path
            for directory in (self._home, *map(Path, others))
            if directory.is_dir()
            for path in directory.iterdir()
            if path.is_file() and path.name.startswith(mark) and str(path) not in keep
        ]
        for path in found:
            self._disk.remove(path)
        return len(found)

    def _make(self, near: Path, device: int) -> Path:
        top = near
        while top != self._root and self._disk.device(top.parent) == device:
            top = top.parent
        directory = top / MOUNT_STAGING
        with self._disk.answering("making a staging directory on another mount"):
            directory.mkdir(mode=0o700, exist_ok=True)
            with self._known.open("a") as known:
                known.write(f"{directory}\n")
                known.flush()
                self._disk.sync_file(known.fileno())
        logger.info("staging in %s", directory, extra={"action": "staging_on_mount"})
        return directory
