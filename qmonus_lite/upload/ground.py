"""The ground: the launch directory, walked by descriptors so that no link leads out of it.

Every step opens one part below a directory that is already open, never following a symbolic link;
what is checked is what is used, whatever happens to the names meanwhile.
"""

import contextlib
import errno
import functools
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qmonus_lite.errors import BadPlace, Conflict, Forbidden
from qmonus_lite.upload.disk import Disk


@dataclass(frozen=True, kw_only=True)
class Ground:
    """A directory that files are stored below."""

    root: Path
    #: Folders below (or beside) it that nothing is stored in.
    protected: tuple[Path, ...]
    disk: Disk

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

    def nearest(self, parts: Sequence[str]) -> tuple[Path, bool]:
        """The deepest directory of the path that exists, and whether the file does; makes nothing.

        Raises Conflict for a directory or another thing in the way, Forbidden for a link.
        """
        with self.disk.answering("looking at a path"), contextlib.closing(self._root()) as walk:
            for count, part in enumerate(parts[:-1]):
                if not walk.step(part):
                    return self.root.joinpath(*parts[:count]), False
            return self.root.joinpath(*parts[:-1]), walk.has_file(parts[-1])

    def parent(self, parts: Sequence[str]) -> "Walk":
        """A walk that stands in the directory of the file, made where it was missing; close it.

        New directories are as durable as the disk makes names. Raises as `nearest`.
        """
        walk = self._root()
        try:
            for part in parts[:-1]:
                if not walk.step(part):
                    walk.make(part)
        except BaseException:
            walk.close()
            raise
        return walk

    def _root(self) -> "Walk":
        return Walk(self.disk, self.disk.open_root(self.root))


class Walk:
    """Stands in an open directory."""

    def __init__(self, disk: Disk, here: int) -> None:
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
        self._disk.sync_directory(self.here)
        if not self.step(name):
            raise Conflict("a directory of the path went away during the upload")

    def has_file(self, name: str) -> bool:
        """Whether a file stands here; raises Forbidden or Conflict for anything else."""
        try:
            mode = self._disk.status(name, self.here).st_mode
        except FileNotFoundError:
            return False
        if stat.S_ISLNK(mode):
            raise Forbidden("a symbolic link stands at this path")
        if stat.S_ISDIR(mode):
            raise Conflict("a directory stands at this path")
        if not stat.S_ISREG(mode):
            raise Conflict("something that is no file stands at this path")
        return True

    def _in_the_way(self, name: str) -> Forbidden | Conflict:
        if stat.S_ISLNK(self._disk.status(name, self.here).st_mode):
            return Forbidden("the path leads through a symbolic link")
        return Conflict("a file stands where the path needs a directory")
