"""Staging directories: one for each mount, since a rename works only within a mount.

Files for the mount of the data directory are staged in the data directory, others in a directory at
the top of their mount, below the launch directory; its name is reserved, so no upload can have it.
In there each gateway has a directory of its own, named by its id, and sweeps only that one: several
gateways with a data directory each may share a launch directory.
"""

import errno
import logging
import os
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from qmonus_lite.stores.file.disk_errors import MAKING_STAGING, MAKING_STAGING_THERE
from qmonus_lite.stores.file.filesystem import Filesystem
from qmonus_lite.stores.file.inheritance import Inherited
from qmonus_lite.stores.file.mounts import Mount
from qmonus_lite.stores.file.root_dir import CACHE_SECONDS, MAX_CACHED_DIRS

logger = logging.getLogger(__name__)

#: Name of the staging directory on another mount.
MOUNT_STAGING = ".qmonus-lite-staging"
#: Errors that mean that this user may not write to a directory.
_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}


class StagingDirs:
    """The staging directories, one for each mount."""

    def __init__(self, disk: Filesystem, data_dir: Path, root: Path, gateway: str) -> None:
        """`gateway`: id of the gateway of the data directory."""
        self._disk = disk
        self._root = root
        self._gateway = gateway
        self._home = data_dir / "staging"
        #: Directories that tokens of staging files begin with, by prefix of the token.
        self._bases = {
            "data:": os.path.join(data_dir, ""),
            "root:": os.path.join(root, ""),
        }
        #: File that lists staging directories on other mounts, one per line, for later sweeps.
        self._known = data_dir / "staging.mounts"
        #: Cached directory of each mount and its expiry time, since mounts can change.
        self._cached: dict[Mount, tuple[Path, float]] = {}
        #: Cached inheritance of each staging directory and its expiry time.
        self._inherited: dict[str, tuple[Inherited, float]] = {}
        self._make_home()

    def directory(self, near: Path, mount: Mount) -> Path:
        """The staging directory of a mount; `near` is an existing directory on that mount.

        Raises Problem; Forbidden if this user may not write to the mount.
        """
        cached = self._cached.get(mount)
        if cached is not None and cached[1] > time.monotonic():
            return cached[0]
        directory = self._looked_for(near, mount, cached and cached[0])
        if len(self._cached) >= MAX_CACHED_DIRS:
            self._cached.clear()
        self._cached[mount] = directory, time.monotonic() + CACHE_SECONDS
        return directory

    def across(self, near: Path, mount: Mount) -> Iterator[Path]:
        """Staging directories to copy a file to whose rename into `near` failed; raises Problem.

        First the directory of the mount; then, in case that mounts with equal identity still give
        EXDEV, one in `near` itself.
        """
        yield self.directory(near, mount)
        with self._disk.mapping_errors(MAKING_STAGING_THERE):
            beside = self._made(near)
        yield beside

    def inherited(self, directory: str) -> Inherited:
        """What files got that were created in a staging directory; raises OSError."""
        cached = self._inherited.get(directory)
        if cached is not None and cached[1] > time.monotonic():
            return cached[0]
        inherited = self._disk.inherited(directory)
        self._inherited[directory] = inherited, time.monotonic() + CACHE_SECONDS
        return inherited

    def token(self, staged: str | Path) -> str:
        """Token of a staging file: its path, relative so that the directories can be moved."""
        path = str(staged)
        for prefix, base in self._bases.items():
            if path.startswith(base):
                return prefix + path[len(base) :]
        return path

    def staged(self, token: str) -> Path:
        """Path of the staging file of a token."""
        prefix = token[:5]
        base = self._bases.get(prefix)
        return Path(token) if base is None else Path(base + token[5:])

    def sweep(self, mark: str = "", keep: Collection[str] = ()) -> int:
        """Remove staging files left by a process of this gateway, except `keep`; their number.

        `mark` is the prefix of their names; the empty default matches those of every process.
        """
        found = [
            path
            for directory in (self._home, *self._own())
            for path in _files_in(directory)
            if path.name.startswith(mark) and str(path) not in keep
        ]
        for path in found:
            self._disk.tidy(path)
        return len(found)

    def _others(self) -> list[str]:
        """All staging directories ever created on other mounts."""
        return self._known.read_text().splitlines() if self._known.exists() else []

    def _own(self) -> list[Path]:
        """Those of this gateway, and those of versions that had no directory for each gateway.

        A copied data directory lists those of the gateway that it was copied from, too.
        """
        names = (self._gateway, MOUNT_STAGING)
        return [path for path in map(Path, self._others()) if path.name in names]

    def _looked_for(self, near: Path, mount: Mount, known: Path | None) -> Path:
        if known is not None and self._is_on(known, mount):
            return known
        if not self._home.is_dir():
            with self._disk.mapping_errors(MAKING_STAGING):
                self._make_home()
        return self._home if self._is_on(self._home, mount) else self._make(near, mount)

    def _is_on(self, directory: Path, mount: Mount) -> bool:
        with suppress(OSError):
            return mount.takes_from(self._disk.mount(directory))
        return False

    def _make_home(self) -> None:
        with suppress(FileExistsError):
            self._home.mkdir(mode=0o700)
            # Otherwise a power loss could remove it, with a staging file named in a record.
            self._disk.sync_names_in(self._home.parent)

    def _make(self, near: Path, mount: Mount) -> Path:
        """Create it at the top of the mount, or in the highest directory writable for this user."""
        with self._disk.mapping_errors(MAKING_STAGING_THERE):
            above = list(self._above(near, mount))
            while above:
                try:
                    return self._made(above.pop())
                except OSError as error:
                    if error.errno not in _NOT_WRITABLE:
                        raise
            return self._made(near)

    def _above(self, near: Path, mount: Mount) -> Iterator[Path]:
        """The parent directories of `near` on its mount, the nearest first."""
        here = near
        while here != self._root and self._is_on(here.parent, mount):
            here = here.parent
            yield here

    def _made(self, parent: Path) -> Path:
        """The staging directory of this gateway in `parent`, created if missing; raises OSError."""
        shared = parent / MOUNT_STAGING
        directory = shared / self._gateway
        self._make_private(shared)
        self._make_private(directory)
        if str(directory) not in self._others():
            with open(self._known, "a", opener=_private) as known:
                known.write(f"{directory}\n")
                known.flush()
                self._disk.sync_file(known.fileno())
            logger.info("staging in %s", directory, extra={"action": "staging_on_mount"})
        return directory

    def _make_private(self, directory: Path) -> None:
        """Create a directory that only this user may enter, or check it; raises OSError."""
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)
            self._disk.sync_names_in(directory.parent)
        if not stat.S_ISDIR(os.lstat(directory).st_mode):
            # A symbolic link made by another user would redirect the staging files.
            raise PermissionError(errno.EACCES, f"{directory} is no directory")
        descriptor = self._disk.open_root(directory)
        try:
            # Another user may have created it.
            self._disk.check_writable(descriptor)
        finally:
            self._disk.close(descriptor)


def _private(path: str, flags: int) -> int:
    """Opener that creates files with mode 0600."""
    return os.open(path, flags, 0o600)


def _files_in(directory: Path) -> list[Path]:
    """The files in a directory; empty, and logged, if it cannot be read."""
    try:
        return [path for path in directory.iterdir() if path.is_file()]
    except FileNotFoundError:
        return []
    except OSError as error:
        extra = {"action": "sweep_failed", "directory": str(directory)}
        logger.warning("staged files are not swept: %s", error, extra=extra)
        return []
