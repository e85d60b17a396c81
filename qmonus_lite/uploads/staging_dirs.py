"""Where files are staged: one directory a mount, since a rename does not leave a mount.

Files for the mount of the data directory are staged there, others in a directory at the top of
their mount, below the launch directory; no upload can have its name.
"""

import errno
import logging
import os
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from qmonus_lite.uploads.disk_errors import MAKING_STAGING, MAKING_STAGING_THERE
from qmonus_lite.uploads.filesystem import Filesystem
from qmonus_lite.uploads.mounts import Mount
from qmonus_lite.uploads.root_dir import CACHE_SECONDS, MAX_CACHED_DIRS

logger = logging.getLogger(__name__)

#: Directory for staged files on another mount.
MOUNT_STAGING = ".qmonus-lite-staging"
#: What says that a directory is not ours to write to.
_NOT_OURS = {errno.EACCES, errno.EPERM, errno.EROFS}


class StagingDirs:
    """The directories of staged files, one a mount."""

    def __init__(self, disk: Filesystem, data_dir: Path, root: Path) -> None:
        self._disk = disk
        self._root = root
        self._home = data_dir / "staging"
        #: Staging directories on other mounts, one a line, for the sweep of the next start.
        self._known = data_dir / "staging.mounts"
        #: The directory of each mount, and until when that is believed: mounts come and go.
        self._places: dict[Mount, tuple[Path, float]] = {}
        self._make_home()

    def directory(self, near: Path, mount: Mount) -> Path:
        """The staging directory on a mount, which `near`, an existing directory, is on.

        Raises Problem, Forbidden for a mount that this user may not write to.
        """
        place = self._places.get(mount)
        if place is not None and place[1] > time.monotonic():
            return place[0]
        directory = self._looked_for(near, mount, place and place[0])
        if len(self._places) >= MAX_CACHED_DIRS:
            self._places.clear()
        self._places[mount] = directory, time.monotonic() + CACHE_SECONDS
        return directory

    def across(self, near: Path, mount: Mount) -> Iterator[Path]:
        """Where a file may be copied to that could not be renamed into `near`; raises Problem.

        The directory of the mount; and if the two look as one and are not, one in the folder
        itself, than which no place is surer.
        """
        yield self.directory(near, mount)
        with self._disk.mapping_errors(MAKING_STAGING_THERE):
            beside = self._made(near)
        yield beside

    def sweep(self, mark: str = "", keep: Collection[str] = ()) -> int:
        """Remove staged files that a process left; how many there were.

        Those whose names begin with `mark`, which for every former process is nothing.
        """
        found = [
            path
            for directory in (self._home, *map(Path, self._others()))
            for path in _files_in(directory)
            if path.name.startswith(mark) and str(path) not in keep
        ]
        for path in found:
            self._disk.tidy(path)
        return len(found)

    def _others(self) -> list[str]:
        """The staging directories that were ever made on other mounts."""
        return self._known.read_text().splitlines() if self._known.exists() else []

    def _looked_for(self, near: Path, mount: Mount, known: Path | None) -> Path:
        if known is not None and self._is_on(known, mount):
            return known
        if not self._home.is_dir():
            with self._disk.mapping_errors(MAKING_STAGING):
                self._make_home()
        return self._home if self._is_on(self._home, mount) else self._make(near, mount)

    def _is_on(self, directory: Path, mount: Mount) -> bool:
        with suppress(OSError):
            here = self._disk.mount(directory)
            # Files may leave a tree of a project for one that asks for none.
            return here == mount or (not mount.project and here[:2] == mount[:2])
        return False

    def _make_home(self) -> None:
        with suppress(FileExistsError):
            self._home.mkdir(mode=0o700)
            # Else a loss of power could take it away with a file that the outbox has a row of.
            self._disk.sync_names_in(self._home.parent)

    def _make(self, near: Path, mount: Mount) -> Path:
        """At the top of the mount, or as near to that as this user may write."""
        with self._disk.mapping_errors(MAKING_STAGING_THERE):
            above = list(self._above(near, mount))
            while above:
                try:
                    return self._made(above.pop())
                except OSError as error:
                    if error.errno not in _NOT_OURS:
                        raise
            return self._made(near)

    def _above(self, near: Path, mount: Mount) -> Iterator[Path]:
        """The directories above `near` that are on its mount, the next one first."""
        here = near
        while here != self._root and self._is_on(here.parent, mount):
            here = here.parent
            yield here

    def _made(self, place: Path) -> Path:
        """A staging directory in a place; raises OSError."""
        directory = place / MOUNT_STAGING
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)
            self._disk.sync_names_in(place)
        if not stat.S_ISDIR(os.lstat(directory).st_mode):
            # Whoever may write here could lead our files elsewhere by a link.
            raise PermissionError(errno.EACCES, f"{directory} is no directory")
        descriptor = self._disk.open_root(directory)
        try:
            # One that another user made is no place for ours.
            self._disk.check_writable(descriptor)
        finally:
            self._disk.close(descriptor)
        if str(directory) not in self._others():
            with self._known.open("a") as known:
                known.write(f"{directory}\n")
                known.flush()
                self._disk.sync_file(known.fileno())
            logger.info("staging in %s", directory, extra={"action": "staging_on_mount"})
        return directory


def _files_in(directory: Path) -> list[Path]:
    """The files in a directory; none in one that cannot be read, which is logged."""
    try:
        return [path for path in directory.iterdir() if path.is_file()]
    except FileNotFoundError:
        return []
    except OSError as error:
        extra = {"action": "sweep_failed", "directory": str(directory)}
        logger.warning("staged files are not swept: %s", error, extra=extra)
        return []
