"""The ground: the launch directory, walked by descriptors so that no link leads out of it.

Every step opens one part below a directory that is already open, never following a symbolic link;
what is checked is what is used, whatever happens to the names meanwhile.
"""

import contextlib
import errno
import functools
import os
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from qmonus_lite.errors import BadPlace, Conflict, Forbidden
from qmonus_lite.uploads.disk_errors import FINDING, KEEPING_FOLDER, LOOKING
from qmonus_lite.uploads.filesystem import Filesystem
from qmonus_lite.uploads.mounts import Mount

#: Seconds that what was seen of a directory is believed, and directories that are remembered.
CACHE_SECONDS, MAX_CACHED_DIRS = 1.0, 4096


class PathStatus(NamedTuple):
    """What stands at a path."""

    #: The absolute path.
    path: str
    #: The deepest directory of the path that exists, and where that is mounted.
    directory: Path
    mount: Mount
    #: Whether a file stands at the path.
    there: bool


@dataclass(frozen=True, kw_only=True)
class RootDir:
    """A directory that files are stored below."""

    root: Path
    #: Folders below (or beside) it that nothing is stored in.
    protected: tuple[Path, ...]
    disk: Filesystem
    #: Directories that were walked to, by their parts, and until when that is believed.
    _seen: dict[tuple[str, ...], tuple[PathStatus, float]] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse a ground that cannot be used; raises BadPlace."""
        if not self.root.is_dir():
            raise BadPlace(f"--base_dir={self.root}: no such directory; make it first")
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise BadPlace(f"--base_dir={self.root}: not writable for this user")
        for folder in self.protected:
            if self.root.is_relative_to(folder):
                raise BadPlace(
                    f"--base_dir={self.root}: lies in {folder}, where nothing may be stored;"
                    " keep data and plugins in folders of their own"
                )

    def path_of(self, parts: Sequence[str]) -> str:
        """The absolute path of a stored file; raises Forbidden for a protected place."""
        path = f"{self._prefix}{'/'.join(parts)}/"
        for folder in self._folders:
            # Both ways: a file in a protected folder, or one where such a folder stands.
            if path.startswith(folder) or folder.startswith(path):
                raise Forbidden("nothing may be stored at this path")
        return path[:-1]

    @functools.cached_property
    def _prefix(self) -> str:
        return os.path.join(self.root, "")

    @functools.cached_property
    def _folders(self) -> tuple[str, ...]:
        return tuple(f"{folder}/" for folder in self.protected)

    def look(self, parts: tuple[str, ...]) -> "PathStatus":
        """What stands at a path now; makes nothing.

        Raises Conflict for a directory or another thing in the way, Forbidden for a link and for a
        protected place. What was seen of directories is believed for a second: whether a file may
        be put there is decided when it is put there.
        """
        path = self.path_of(parts)
        try:
            return self._look_again(parts, path) or self._open_dirs(parts, path)
        except OSError as error:
            raise self.disk.answer(error, LOOKING) from error

    def _look_again(self, parts: tuple[str, ...], path: str) -> "PathStatus | None":
        """The same by what was seen of its directory a moment ago; None when that is not enough."""
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

    def _open_dirs(self, parts: tuple[str, ...], path: str) -> "PathStatus":
        with contextlib.closing(self._root()) as open_dir:
            for count, part in enumerate(parts[:-1]):
                if not open_dir.step(part):
                    self.disk.check_writable(open_dir.here)
                    directory = self.root.joinpath(*parts[:count])
                    return PathStatus(
                        path=path, directory=directory, mount=open_dir.mount, there=False
                    )
            directory = self.root.joinpath(*parts[:-1])
            there = open_dir.has_file(parts[-1])
            self.disk.check_writable(open_dir.here)
            look = PathStatus(path=path, directory=directory, mount=open_dir.mount, there=there)
        if len(self._seen) >= MAX_CACHED_DIRS:
            self._seen.clear()
        self._seen[parts[:-1]] = look, time.monotonic() + CACHE_SECONDS
        return look

    def parent(self, parts: Sequence[str]) -> "OpenDir":
        """A walk that stands in the directory of the file, made where it was missing; close it.

        New directories are as durable as the disk makes names. Raises as `look`.
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
    """Directories that files are put into, each walked to once; close it."""

    def __init__(self, root_dir: RootDir) -> None:
        self._root_dir = root_dir
        self._open: dict[tuple[str, ...], OpenDir] = {}

    def of(self, parts: Sequence[str]) -> "OpenDir":
        """A walk that stands in the directory of a file; raises as `Ground.parent`."""
        above = tuple(parts[:-1])
        open_dir = self._open.get(above)
        if open_dir is None:
            try:
                open_dir = self._open[above] = self._root_dir.parent(parts)
            except OSError as error:
                raise self._root_dir.disk.answer(error, FINDING) from error
        return open_dir

    def place(self, parts: Sequence[str]) -> tuple[Path, Mount]:
        """Path of the directory of a file, and where that is mounted; raises Problem."""
        with self._root_dir.disk.mapping_errors(FINDING):
            return self._root_dir.root.joinpath(*parts[:-1]), self.of(parts).mount

    def close(self) -> None:
        """Give the descriptors back."""
        for open_dir in self._open.values():
            open_dir.close()


class OpenDir:
    """Stands in an open directory."""

    def __init__(self, disk: Filesystem, here: int) -> None:
        self._disk = disk
        #: Descriptor of the directory.
        self.here = here

    def close(self) -> None:
        """Give the descriptor back."""
        self._disk.close(self.here)

    def step(self, name: str) -> bool:
        """Go into a directory; False when nothing is there. Raises Forbidden or Conflict."""
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
        """Make a directory and go into it."""
        with contextlib.suppress(FileExistsError):
            self._disk.make_directory(name, self.here)
        with self._disk.mapping_errors(KEEPING_FOLDER):
            self._disk.sync_directory(self.here)
        if not self.step(name):
            raise Conflict("a directory of the path went away during the upload")

    @property
    def mount(self) -> Mount:
        """Identity of the mount that we stand on."""
        return self._disk.mount(self.here)

    def has_file(self, name: str) -> bool:
        """Whether a file stands here; raises Forbidden or Conflict for anything else."""
        return _is_file(lambda name: self._disk.status(name, self.here), name)

    def _in_the_way(self, name: str) -> Forbidden | Conflict:
        if stat.S_ISLNK(self._disk.status(name, self.here).st_mode):
            return Forbidden("the path leads through a symbolic link")
        return Conflict("a file stands where the path needs a directory")


def _is_file(status: Callable[[str], os.stat_result], name: str) -> bool:
    """Whether a file stands there; raises Forbidden or Conflict for anything else."""
    try:
        mode = status(name).st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISREG(mode):
        return True
    if stat.S_ISLNK(mode):
        raise Forbidden("a symbolic link stands at this path")
    if stat.S_ISDIR(mode):
        raise Conflict("a directory stands at this path")
    raise Conflict("something that is no file stands at this path")
