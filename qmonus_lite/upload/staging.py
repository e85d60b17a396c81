"""Staging: a file grows out of sight and appears at its final path whole, by a rename.

A rename stays within one file system, so files for another mount are staged there, in a directory
of its own that no upload can name. The methods block; one at a time for one file.
"""

import errno
import logging
from dataclasses import dataclass, field
from pathlib import Path

from qmonus_lite.errors import PreconditionFailed
from qmonus_lite.upload.digest import Digests
from qmonus_lite.upload.disk import Disk
from qmonus_lite.upload.ground import Ground

logger = logging.getLogger(__name__)

#: Directory for staged files at the top of another mount, below the launch directory.
MOUNT_STAGING = ".qmonus-lite-staging"


@dataclass(kw_only=True)
class StagedFile:
    """One file being received; its name says nothing of the final one."""

    path: Path
    disk: Disk
    #: Whether it has appeared at its final path.
    placed: bool = False
    #: Whether the outbox still has to forget its row; until then it proves that nothing happened.
    owed: bool = False
    #: What it is hashed for, if anything.
    digests: Digests = field(default_factory=lambda: Digests({}, None))
    _descriptor: int = field(default=-1)

    def write(self, data: bytes | bytearray) -> None:
        """Append all of `data`; the first write makes the file."""
        view = memoryview(data)
        with self.disk.answering("writing"):
            self._open()
            # A write may take only a part: on a full disk the error comes with the next one.
            while view:
                view = view[self.disk.write(self._descriptor, view) :]
        self.digests.update(data)

    def finish(self, mode: int) -> None:
        """Put bytes and name on stable storage; a failed sync is never tried again.

        Linux reports a write-back error once and then forgets the pages
        (https://wiki.postgresql.org/wiki/Fsync_Errors), so the file is given up. The name too: a
        row in the outbox whose staged file is gone has to mean that the rename happened.
        """
        with self.disk.answering("putting a file on stable storage"):
            self._open()
            self.disk.set_mode(self._descriptor, mode)
            self.disk.sync_file(self._descriptor)
            self._close()
            directory = self.disk.open_root(self.path.parent)
            try:
                self.disk.sync_directory(directory)
            finally:
                self.disk.close(directory)

    def place(self, ground: Ground, parts: tuple[str, ...], *, create_only: bool = False) -> bool:
        """Let the file appear at its path; whether it took the place of another."""
        with self.disk.answering("putting a file in place"), ground.parent(parts) as walk:
            replaced = walk.has_file(parts[-1])
            if replaced and create_only:
                raise _too_late()
            linked = create_only and self._link(parts[-1], walk.here)
            if not linked:
                self.disk.rename(self.path, parts[-1], walk.here)
            self.placed = True
            self.disk.sync_directory(walk.here)
            if linked:
                self.disk.remove(self.path)
            return replaced

    def discard(self) -> None:
        """Forget the file; does nothing when it is gone, in place, or still owed."""
        self._close()
        if not self.placed and not self.owed:
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
            self._descriptor = self.disk.create(self.path)

    def _close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            self.disk.close(descriptor)


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

    def directory(self, near: Path) -> Path:
        """The staging directory on the file system of `near`, an existing directory."""
        device = self._disk.device(near)
        if device not in self._by_device:
            self._by_device[device] = self._make(near, device)
        return self._by_device[device]

    def sweep(self) -> int:
        """Remove every staged file that a former process left; how many there were."""
        others = self._known.read_text().splitlines() if self._known.exists() else []
        found = [
            path
            for directory in (self._home, *map(Path, others))
            if directory.is_dir()
            for path in directory.iterdir()
            if path.is_file()
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
