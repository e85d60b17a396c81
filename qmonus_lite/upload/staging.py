"""Staging: a file grows out of sight and appears at its final path whole, by a rename.

The methods block; they are called on the disk threads, one at a time for one file.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from qmonus_lite.errors import InsufficientStorage, TooLarge

#: No room on the disk, and none left for this user.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn what the disk says into an answer; what has none of its own goes on as it is."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise InsufficientStorage("the disk is full") from error
        if error.errno == errno.EFBIG:
            raise TooLarge("the file system takes no file of this size") from error
        raise


@dataclass(kw_only=True)
class StagedFile:
    """One file being received."""

    path: Path
    _descriptor: int = field(default=-1)

    @classmethod
    def create(cls, directory: Path, upload_id: str) -> "StagedFile":
        """Begin a file; its name says nothing of the final one."""
        path = directory / upload_id
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with disk_errors():
            return cls(path=path, _descriptor=os.open(path, flags, 0o600))

    def write(self, data: bytes | bytearray) -> None:
        """Append all of `data`; raises InsufficientStorage, TooLarge or OSError."""
        view = memoryview(data)
        with disk_errors():
            while view:
                view = view[os.write(self._descriptor, view) :]

    def finish(self, mode: int) -> None:
        """Put the bytes on stable storage; a failed fsync is never tried again.

        Linux reports a write-back error once and then forgets the pages
        (https://wiki.postgresql.org/wiki/Fsync_Errors), so the file is given up.
        """
        with disk_errors():
            os.fchmod(self._descriptor, mode)
            os.fsync(self._descriptor)
        self._close()

    def place(self, parent: int, name: str) -> None:
        """Let the file appear as `name` in the open directory, in place of what was there."""
        with disk_errors():
            os.rename(self.path, name, dst_dir_fd=parent)
            os.fsync(parent)

    def discard(self) -> None:
        """Forget the file; does nothing when it is gone."""
        self._close()
        self.path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


def sweep(directory: Path) -> int:
    """Remove every staged file a former process left; how many there were."""
    found = [path for path in directory.iterdir() if path.is_file()]
    for path in found:
        path.unlink()
    return len(found)
