"""The disk: the one door to the file system for everything that stores uploads.

Its methods block and are called on the disk threads. How much is put on stable storage is its own
affair (`--upload_durability`), so nobody above has to ask. Errors become answers here.
"""

import errno
import logging
import os
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from qmonus_lite.errors import Problem
from qmonus_lite.uploads.disk_errors import REMOVING, DiskOperation, problem_of
from qmonus_lite.uploads.mounts import Mount, mount_of

logger = logging.getLogger(__name__)

#: A path; as text it is quicker to make.
StrPath = str | Path

#: A disk that failed so often within so many seconds is not fit for uploads.
UNFIT_FAILURES, UNFIT_WINDOW_SECONDS = 3, 60.0
#: What is said of it.
UNFIT = "the disk failed several times within a minute"

#: A copy within the kernel is not offered between these two files.
_NO_COPY = {errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
#: Bytes that are copied by one call.
_AT_ONCE = 64 << 20

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(kw_only=True)
class Filesystem:
    """File operations, with what `--upload_durability` promises."""

    #: Whether the bytes of a file are put on stable storage.
    sync_files: bool = True
    #: Whether names (new files, renames, new directories) are.
    sync_names: bool = True
    #: Moments at which the disk failed, by the monotonic clock.
    _failures: deque[float] = field(default_factory=lambda: deque(maxlen=UNFIT_FAILURES))

    @property
    def unfit(self) -> bool:
        """Whether it failed too often lately."""
        full = len(self._failures) == UNFIT_FAILURES
        return full and time.monotonic() - self._failures[0] < UNFIT_WINDOW_SECONDS

    def mapping_errors(self, action: DiskOperation) -> "_ErrorMapping":
        """Turn an OSError into the Problem that the client hears of."""
        return _ErrorMapping(self, action)

    def answer(self, error: OSError, action: DiskOperation) -> Problem:
        """What the client hears of an error; a failing disk is counted."""
        problem = problem_of(error, action)
        if problem.disk is not None and problem.disk.failing:
            self._failures.append(time.monotonic())
        return problem

    def open_root(self, path: StrPath) -> int:
        """A descriptor of a directory given by its path."""
        return os.open(path, _DIRECTORY)

    def open_directory(self, name: str, parent: int) -> int:
        """A descriptor of a directory below an open one; never follows a symbolic link."""
        return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)

    def make_directory(self, name: str, parent: int) -> None:
        """Make a directory; FileExistsError when it is there."""
        os.mkdir(name, 0o777, dir_fd=parent)

    def check_writable(self, directory: int) -> None:
        """Raise PermissionError where this user may make no file, before a body is sent for it.

        Not for a read-only file system: that may be one that failed, which staging finds out.
        """
        if os.access(".", os.W_OK | os.X_OK, dir_fd=directory, effective_ids=True):
            return
        if not os.fstatvfs(directory).f_flag & os.ST_RDONLY:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def status(self, name: str, parent: int) -> os.stat_result:
        """What stands at a name, links not followed; FileNotFoundError for nothing."""
        return os.stat(name, dir_fd=parent, follow_symlinks=False)

    def create(self, path: StrPath, mode: int) -> int:
        """A descriptor of a new file with these permissions, less the umask."""
        return os.open(path, _NEW_FILE, mode)

    def write(self, descriptor: int, data: memoryview) -> int:
        """Write some of the bytes; how many."""
        return os.write(descriptor, data)

    def sync_file(self, descriptor: int) -> None:
        """Put the bytes of a file on stable storage, if that is promised."""
        if self.sync_files:
            os.fsync(descriptor)

    def sync_directory(self, descriptor: int) -> None:
        """Put the names in a directory on stable storage, if that is promised."""
        if self.sync_names:
            os.fsync(descriptor)

    def sync_names_in(self, directory: StrPath) -> None:
        """Put the names in a directory on stable storage, if that is promised."""
        if self.sync_names:
            descriptor = self.open_root(directory)
            try:
                self.sync_directory(descriptor)
            finally:
                self.close(descriptor)

    def copy(self, path: StrPath, descriptor: int) -> None:
        """Write all bytes of a file to an open one, within the kernel."""
        source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            while _copy_some(source, descriptor):
                pass
        finally:
            self.close(source)

    def look(self, path: str) -> os.stat_result:
        """What stands at a path, a link at its end not followed; FileNotFoundError for nothing."""
        return os.lstat(path)

    def rename(self, path: StrPath, name: str, parent: int) -> None:
        """Let a file appear under another name, in place of what was there."""
        os.rename(path, name, dst_dir_fd=parent)

    def link(self, path: StrPath, name: str, parent: int) -> None:
        """Let a file appear under another name too; FileExistsError when something is there."""
        os.link(path, name, dst_dir_fd=parent, follow_symlinks=False)

    def remove(self, path: StrPath) -> None:
        """Remove a file; nothing happens when it is gone."""
        with suppress(FileNotFoundError):
            os.unlink(path)

    def tidy(self, path: StrPath) -> None:
        """Remove a file that nobody needs; a failure is logged, and left to the next start."""
        try:
            self.remove(path)
        except OSError as error:
            problem = self.answer(error, REMOVING)
            extra = {"action": "file_left", "file": str(path), "errno": error.errno}
            logger.warning("%s: %s", problem.disk and problem.disk.action, error, extra=extra)

    def close(self, descriptor: int) -> None:
        """Give a descriptor back."""
        os.close(descriptor)

    def free(self, directory: Path) -> int:
        """Bytes that this user can still write where the directory is."""
        status = os.statvfs(directory)
        return status.f_bavail * status.f_frsize

    def mount(self, directory: StrPath | int) -> Mount:
        """Identity of the mount that a directory is on, given by its path or open."""
        if isinstance(directory, int):
            return mount_of(directory)
        descriptor = self.open_root(directory)
        try:
            return mount_of(descriptor)
        finally:
            self.close(descriptor)


def _copy_some(source: int, descriptor: int) -> int:
    """Copy the next bytes; how many."""
    try:
        return os.copy_file_range(source, descriptor, _AT_ONCE)
    except OSError as error:
        if error.errno not in _NO_COPY:
            raise
    return os.sendfile(descriptor, source, None, _AT_ONCE)


class _ErrorMapping:
    """A block whose OSErrors become answers; what every upload passes says the same by `except`."""

    __slots__ = ("_action", "_disk")

    def __init__(self, disk: Filesystem, action: DiskOperation) -> None:
        self._disk = disk
        self._action = action

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _where: TracebackType | None,
    ) -> None:
        if isinstance(error, OSError):
            raise self._disk.answer(error, self._action) from error
