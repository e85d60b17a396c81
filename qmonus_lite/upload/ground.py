"""The ground: the launch directory, walked by descriptors so that no link leads out of it.

Every step opens one part below a directory that is already open, never following a symbolic link;
what is checked is what is used, whatever happens to the names meanwhile.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qmonus_lite.errors import BadPlace, Conflict, Forbidden

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, kw_only=True)
class Ground:
    """A directory that files are stored below."""

    root: Path
    #: Folders below (or beside) it that nothing is stored in.
    protected: tuple[Path, ...]

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

    def path_of(self, parts: Sequence[str]) -> Path:
        """The absolute path of a stored file; raises Forbidden for a protected place."""
        path = self.root.joinpath(*parts)
        for folder in self.protected:
            if path.is_relative_to(folder) or folder.is_relative_to(path):
                raise Forbidden("nothing may be stored at this path")
        return path

    def look(self, parts: Sequence[str]) -> bool:
        """Whether a file stands at this place now; makes nothing.

        Raises Conflict for a directory or another thing in the way, Forbidden for a link.
        """
        here = self._open_root()
        try:
            for part in parts[:-1]:
                below = _step(here, part)
                if below is None:
                    return False
                os.close(here)
                here = below
            return _file_at(here, parts[-1])
        finally:
            os.close(here)

    def open_parent(self, parts: Sequence[str], *, durable: bool) -> int:
        """A descriptor of the directory that the file goes to, made where it was missing.

        With `durable`, new directories are on stable storage when this returns. Raises as `look`.
        """
        here = self._open_root()
        try:
            for part in parts[:-1]:
                below = _step(here, part)
                if below is None:
                    below = _make(here, part, durable)
                os.close(here)
                here = below
            _file_at(here, parts[-1])
        except BaseException:
            os.close(here)
            raise
        return here

    def _open_root(self) -> int:
        return os.open(self.root, _DIRECTORY & ~os.O_NOFOLLOW)


def _step(here: int, part: str) -> int | None:
    """The directory `part` below `here`, or None when nothing is there."""
    try:
        return os.open(part, _DIRECTORY, dir_fd=here)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in {errno.ELOOP, errno.ENOTDIR}:
            raise
    if stat.S_ISLNK(os.lstat(part, dir_fd=here).st_mode):
        raise Forbidden("the path leads through a symbolic link")
    raise Conflict("a file stands where the path needs a directory")


def _make(here: int, part: str, durable: bool) -> int:
    with contextlib.suppress(FileExistsError):
        os.mkdir(part, 0o777, dir_fd=here)
    if durable:
        os.fsync(here)
    made = _step(here, part)
    if made is None:
        raise Conflict("a directory of the path went away during the upload")
    return made


def _file_at(here: int, name: str) -> bool:
    try:
        mode = os.lstat(name, dir_fd=here).st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISLNK(mode):
        raise Forbidden("a symbolic link stands at this path")
    if stat.S_ISDIR(mode):
        raise Conflict("a directory stands at this path")
    if not stat.S_ISREG(mode):
        raise Conflict("something that is no file stands at this path")
    return True
