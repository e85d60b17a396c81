"""The launch directory (storage root), traversed by descriptors so that no link leads out of it.

Each step is an openat of one part below an open directory with O_NOFOLLOW, so that the directory
that was checked is also used, even if names change meanwhile (no TOCTOU race).
"""

import contextlib
import errno
import functools
import os
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from qmonus_lite.errors import BadResource, Conflict, Forbidden, ForbiddenPath
from qmonus_lite.stores.file.disk_errors import FINDING, KEEPING_FOLDER, LOOKING
from qmonus_lite.stores.file.filesystem import Filesystem
from qmonus_lite.stores.file.inheritance import Inherited, inherited_from
from qmonus_lite.stores.file.mounts import Mount
from qmonus_lite.stores.file.protected_dirs import ProtectedDirs
from qmonus_lite.values import Value, field

#: Seconds for which the status of a directory is cached, and maximum of cached directories.
CACHE_SECONDS, MAX_CACHED_DIRS = 1.0, 4096


class PathStatus(NamedTuple):
    """Status of a path."""

    #: The absolute path.
    path: str
    #: The deepest existing directory of the path, and its mount.
    directory: Path
    mount: Mount
    #: Whether a file exists at the path.
    there: bool


class RootDir(Value, frozen=True, kw_only=True, dict=True):
    """The root directory of stored files."""

    root: Path
    #: Folders inside or outside the root in which no file may be stored.
    protected: tuple[Path, ...]
    disk: Filesystem
    #: Cached status of directories and its expiry time, by their parts.
    _seen: dict[tuple[str, ...], tuple[PathStatus, float]] = field(default_factory=dict)
    #: Cached inheritance of directories, also of missing ones, and its expiry time.
    _inherited: dict[tuple[str, ...], tuple[Inherited, float]] = field(default_factory=dict)

    def check(self) -> None:
        """Raise BadResource if the root directory cannot be used."""
        try:
            str(self.root).encode()
        except UnicodeEncodeError:
            # Events have the path, as JSON.
            shown = os.fsencode(self.root).decode(errors="backslashreplace")
            raise BadResource(
                f"--base_dir={shown}: the path is not UTF-8 text; rename it"
            ) from None
        if not self.root.is_dir():
            raise BadResource(f"--base_dir={self.root}: no such directory; make it first")
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise BadResource(f"--base_dir={self.root}: not writable for this user")
        if folder := self._protected.around(self.root):
            raise BadResource(
                f"--base_dir={self.root}: lies in {folder}, where nothing may be stored;"
                " keep data and plugins in folders of their own"
            )

    def path_of(self, parts: Sequence[str]) -> str:
        """The absolute path of a stored file; raises Forbidden for a protected path."""
        path = f"{self._prefix}{'/'.join(parts)}/"
        self._protected.check_path(path)
        return path[:-1]

    @functools.cached_property
    def _prefix(self) -> str:
        return os.path.join(self.root, "")

    @functools.cached_property
    def _protected(self) -> ProtectedDirs:
        return ProtectedDirs(folders=self.protected)

    def look(self, parts: tuple[str, ...]) -> "PathStatus":
        """Status of a path; creates nothing.

        Raises Conflict if a directory or another non-file is in the way, Forbidden for a symbolic
        link or a protected path. The status of directories is cached for a second, since the
        binding check is made when the file is published.
        """
        path = self.path_of(parts)
        try:
            return self._look_again(parts, path) or self._open_dirs(parts, path)
        except OSError as error:
            raise self.disk.answer(error, LOOKING) from error

    def _look_again(self, parts: tuple[str, ...], path: str) -> "PathStatus | None":
        """Status by the cached status of its directory; None on a cache miss."""
        known = self._seen.get(parts[:-1])
        if known is None or known[1] <= time.monotonic():
            return None
        try:
            there = _is_file(self.disk.look, path)
        except NotADirectoryError:
            return None
        return PathStatus(
            path=path, directory=known[0].directory, mount=known[0].mount, there=there
        )

    def inherited(self, parts: tuple[str, ...]) -> Inherited:
        """What a file inherits from its directory, cached for a second; raises OSError, Problem.

        From the deepest existing directory: those to be created below inherit the same.
        """
        known = self._inherited.get(parts[:-1])
        if known is not None and known[1] > time.monotonic():
            return known[0]
        with contextlib.closing(self._root()) as open_dir:
            return self._descend(open_dir, parts[:-1])[1]

    def _descend(self, open_dir: "OpenDir", names: tuple[str, ...]) -> tuple[int, Inherited]:
        """Descend into the directories that exist; raises OSError, Problem.

        Returns their number, and what files inherit from the last of them.
        """
        count = 0
        status = self._checked(open_dir)
        for name in names:
            if not open_dir.step(name):
                break
            count += 1
            status = self._checked(open_dir)
        if len(self._inherited) >= MAX_CACHED_DIRS:
            self._inherited.clear()
        inherited = inherited_from(open_dir.here, status)
        self._inherited[names] = inherited, time.monotonic() + CACHE_SECONDS
        return count, inherited

    def _checked(self, open_dir: "OpenDir") -> os.stat_result:
        """The status of an open directory; raises Forbidden for a protected one."""
        status = os.fstat(open_dir.here)
        self._protected.check_directory(status)
        return status

    def _open_dirs(self, parts: tuple[str, ...], path: str) -> "PathStatus":
        names = parts[:-1]
        with contextlib.closing(self._root()) as open_dir:
            count, _ = self._descend(open_dir, names)
            there = count == len(names) and open_dir.has_file(parts[-1])
            self.disk.check_writable(open_dir.here)
            directory = self.root.joinpath(*names[:count])
            look = PathStatus(path=path, directory=directory, mount=open_dir.mount, there=there)
        if count == len(names):
            if len(self._seen) >= MAX_CACHED_DIRS:
                self._seen.clear()
            self._seen[names] = look, time.monotonic() + CACHE_SECONDS
        return look

    def parent(self, parts: Sequence[str]) -> "OpenDir":
        """The open directory of the file, with missing directories created; must be closed.

        New directories are synced as `--upload_durability` requires. Raises like `look`.
        """
        open_dir = self._root()
        try:
            for part in parts[:-1]:
                if not open_dir.step(part):
                    open_dir.make(part)
        except BaseException:
            open_dir.close()
            raise
        return open_dir

    def _root(self) -> "OpenDir":
        return OpenDir(self.disk, self.disk.open_root(self._prefix))


class DirCache:
    """Open directories of a batch of files, each opened once; must be closed."""

    def __init__(self, root_dir: RootDir) -> None:
        self._root_dir = root_dir
        self._open: dict[tuple[str, ...], OpenDir] = {}

    def of(self, parts: Sequence[str]) -> "OpenDir":
        """The open directory of a file; raises like `RootDir.parent`."""
        above = tuple(parts[:-1])
        open_dir = self._open.get(above)
        if open_dir is None:
            try:
                open_dir = self._open[above] = self._root_dir.parent(parts)
            except OSError as error:
                raise self._root_dir.disk.answer(error, FINDING) from error
        return open_dir

    def place(self, parts: Sequence[str]) -> tuple[Path, Mount]:
        """Path of the directory of a file, and its mount; raises Problem."""
        with self._root_dir.disk.mapping_errors(FINDING):
            return self._root_dir.root.joinpath(*parts[:-1]), self.of(parts).mount

    def close(self) -> None:
        """Close all descriptors."""
        for open_dir in self._open.values():
            open_dir.close()


class OpenDir:
    """An open directory; `step` and `make` descend into a subdirectory."""

    def __init__(self, disk: Filesystem, here: int) -> None:
        self._disk = disk
        #: Descriptor of the directory.
        self.here = here

    def close(self) -> None:
        """Close the descriptor."""
        self._disk.close(self.here)

    def step(self, name: str) -> bool:
        """Descend; False if the directory does not exist. Raises Forbidden or Conflict."""
        try:
            below = self._disk.open_directory(name, self.here)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENOTDIR}:
                raise self._in_the_way(name) from None
            raise
        self._disk.close(self.here)
        self.here = below
        return True

    def make(self, name: str) -> None:
        """Create a directory and descend into it."""
        with contextlib.suppress(FileExistsError):
            self._disk.make_directory(name, self.here)
        with self._disk.mapping_errors(KEEPING_FOLDER):
            self._disk.sync_directory(self.here)
        if not self.step(name):
            raise Conflict("a directory of the path went away during the upload")

    @property
    def mount(self) -> Mount:
        """Identity of the mount of the directory."""
        return self._disk.mount(self.here)

    def has_file(self, name: str) -> bool:
        """Whether the directory has this file; raises Forbidden or Conflict for a non-file."""
        return _is_file(lambda name: self._disk.status(name, self.here), name)

    def _in_the_way(self, name: str) -> Forbidden | Conflict:
        if stat.S_ISLNK(self._disk.status(name, self.here).st_mode):
            return Forbidden("the path leads through a symbolic link")
        return Conflict("a file stands where the path needs a directory")


def _is_file(status: Callable[[str], os.stat_result], name: str) -> bool:
    """Whether a file exists; raises Forbidden or Conflict for a non-file."""
    try:
        mode = status(name).st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISREG(mode):
        return True
    if stat.S_ISLNK(mode):
        raise ForbiddenPath("a symbolic link stands at this path")
    if stat.S_ISDIR(mode):
        raise Conflict("a directory stands at this path")
    raise Conflict("something that is no file stands at this path")
