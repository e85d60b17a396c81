"""File system access for all code that stores uploads.

The methods block and are called on the disk threads. Which fsyncs are done depends on
`--upload_durability`; callers need not check it. OSErrors are mapped to Problems here.
"""

import errno
import logging
import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from qmonus_lite.errors import Problem
from qmonus_lite.observations import NO_OBSERVERS, DiskSynced, Observers
from qmonus_lite.stores.file.disk_errors import REMOVING, DiskOperation, problem_of
from qmonus_lite.stores.file.inheritance import (
    Inherited,
    current_umask,
    give,
    inherited_from,
)
from qmonus_lite.stores.file.mounts import Mount, mount_of

logger = logging.getLogger(__name__)

#: A path; a str is cheaper to build than a Path.
StrPath = str | Path

#: Number of disk failures within a number of seconds that makes the disk unfit for uploads.
UNFIT_FAILURES, UNFIT_WINDOW_SECONDS = 3, 60.0
#: The reason reported for an unfit disk.
UNFIT = "the disk failed several times within a minute"

#: Errors of copy_file_range that mean that it is not supported between the two files.
_NO_COPY = {errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
#: Maximum bytes copied by one call.
_AT_ONCE = 64 << 20
#: Bytes read by one call.
_READ_BYTES = 1 << 20

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(kw_only=True)
class Filesystem:
    """File operations, with the fsyncs that `--upload_durability` requires."""

    #: Whether file contents are fsynced.
    sync_files: bool = True
    #: Whether directories are fsynced after new files, renames and new directories.
    sync_names: bool = True
    #: Notified of each fsync, on the thread that did it.
    observers: Observers = NO_OBSERVERS
    _umask: int = field(default_factory=current_umask)
    #: Times of the last disk failures, by the monotonic clock.
    _failures: deque[float] = field(default_factory=lambda: deque(maxlen=UNFIT_FAILURES))

    @property
    def unfit(self) -> bool:
        """Whether there were UNFIT_FAILURES within the last UNFIT_WINDOW_SECONDS."""
        full = len(self._failures) == UNFIT_FAILURES
        return full and time.monotonic() - self._failures[0] < UNFIT_WINDOW_SECONDS

    def mapping_errors(self, action: DiskOperation) -> "_ErrorMapping":
        """Context manager that raises an OSError as the Problem to send to the client."""
        return _ErrorMapping(self, action)

    def answer(self, error: OSError, action: DiskOperation) -> Problem:
        """The Problem to send for an error; counts disk failures."""
        problem = problem_of(error, action)
        if problem.disk is not None and problem.disk.failing:
            self._failures.append(time.monotonic())
        return problem

    def open_root(self, path: StrPath) -> int:
        """A descriptor of a directory given by its path."""
        return os.open(path, _DIRECTORY)

    def open_directory(self, name: str, parent: int) -> int:
        """A descriptor of a subdirectory of an open directory; never follows a symbolic link."""
        return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)

    def make_directory(self, name: str, parent: int) -> None:
        """Make a directory; FileExistsError when it is there."""
        os.mkdir(name, 0o777, dir_fd=parent)

    def check_writable(self, directory: int) -> None:
        """Raise PermissionError if this user may not create files; checked before the body is read.

        Not for a read-only file system: it may have failed, which staging detects.
        """
        if os.access(".", os.W_OK | os.X_OK, dir_fd=directory, effective_ids=True):
            return
        if not os.fstatvfs(directory).f_flag & os.ST_RDONLY:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    def status(self, name: str, parent: int) -> os.stat_result:
        """Status of a directory entry, links not followed; raises FileNotFoundError."""
        return os.stat(name, dir_fd=parent, follow_symlinks=False)

    def create(self, path: StrPath, mode: int) -> int:
        """A descriptor of a new file with these permissions, minus the umask."""
        return os.open(path, _NEW_FILE, mode)

    def inherited(self, directory: StrPath) -> Inherited:
        """What a file would get from a directory."""
        descriptor = self.open_root(directory)
        try:
            return inherited_from(descriptor, os.fstat(descriptor))
        finally:
            self.close(descriptor)

    def give(self, descriptor: int, inherited: Inherited) -> None:
        """Give a file what it would have got from its directory."""
        give(descriptor, inherited, self._umask)

    def check_group(self, path: StrPath, inherited: Inherited) -> None:
        """Raise PermissionError if a file does not have the group that it has to inherit."""
        status = os.stat(path, follow_symlinks=False)
        if inherited.group not in {None, status.st_gid}:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    def reopen(self, path: StrPath) -> tuple[int, int]:
        """A descriptor of an existing file, to write at its end, and its size in bytes."""
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        return descriptor, os.lseek(descriptor, 0, os.SEEK_END)

    def truncate(self, descriptor: int, size: int) -> None:
        """Remove all bytes from `size` on; the next write is at the new end."""
        os.ftruncate(descriptor, size)
        os.lseek(descriptor, size, os.SEEK_SET)

    def read(self, path: StrPath, size: int) -> Iterator[bytes]:
        """The first `size` bytes of a file, in chunks."""
        with open(path, "rb") as file:
            while size and (data := file.read(min(size, _READ_BYTES))):
                size -= len(data)
                yield data

    def write(self, descriptor: int, data: memoryview) -> int:
        """Write some of the bytes; returns how many."""
        return os.write(descriptor, data)

    def sync_file(self, descriptor: int) -> None:
        """Fsync a file, if `sync_files` is set."""
        if self.sync_files:
            self._sync(descriptor, "file")

    def sync_directory(self, descriptor: int) -> None:
        """Fsync an open directory, if `sync_names` is set."""
        if self.sync_names:
            self._sync(descriptor, "directory")

    def _sync(self, descriptor: int, kind: str) -> None:
        began = time.monotonic()
        try:
            os.fsync(descriptor)
        finally:
            self.observers.notify(DiskSynced(kind=kind, seconds=time.monotonic() - began))

    def sync_names_in(self, directory: StrPath) -> None:
        """Fsync a directory given by its path, if `sync_names` is set."""
        if self.sync_names:
            descriptor = self.open_root(directory)
            try:
                self.sync_directory(descriptor)
            finally:
                self.close(descriptor)

    def copy(self, path: StrPath, descriptor: int) -> None:
        """Copy all bytes of a file to an open file, within the kernel."""
        source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            while _copy_some(source, descriptor):
                pass
        finally:
            self.close(source)

    def look(self, path: str) -> os.stat_result:
        """Status of a path, a link at its end not followed; raises FileNotFoundError."""
        return os.lstat(path)

    def rename(self, path: StrPath, name: str, parent: int) -> None:
        """Rename a file, replacing the target."""
        os.rename(path, name, dst_dir_fd=parent)

    def link(self, path: StrPath, name: str, parent: int) -> None:
        """Hard-link a file to another name; FileExistsError when that exists."""
        os.link(path, name, dst_dir_fd=parent, follow_symlinks=False)

    def remove(self, path: StrPath) -> None:
        """Remove a file; does nothing if it does not exist."""
        with suppress(FileNotFoundError):
            os.unlink(path)

    def tidy(self, path: StrPath) -> None:
        """Remove an unneeded file; a failure is logged, and left to the sweep at the next start."""
        try:
            self.remove(path)
        except OSError as error:
            problem = self.answer(error, REMOVING)
            extra = {"action": "file_left", "file": str(path), "errno": error.errno}
            logger.warning("%s: %s", problem.disk and problem.disk.action, error, extra=extra)

    def close(self, descriptor: int) -> None:
        """Close a descriptor."""
        os.close(descriptor)

    def free(self, directory: Path) -> int:
        """Bytes available to this user on the file system of a directory."""
        status = os.statvfs(directory)
        return status.f_bavail * status.f_frsize

    def mount(self, directory: StrPath | int) -> Mount:
        """Identity of the mount of a directory, given by its path or descriptor."""
        if isinstance(directory, int):
            return mount_of(directory)
        descriptor = self.open_root(directory)
        try:
            return mount_of(descriptor)
        finally:
            self.close(descriptor)


def _copy_some(source: int, descriptor: int) -> int:
    """Copy the next bytes; returns how many."""
    try:
        return os.copy_file_range(source, descriptor, _AT_ONCE)
    except OSError as error:
        if error.errno not in _NO_COPY:
            raise
    return os.sendfile(descriptor, source, None, _AT_ONCE)


class _ErrorMapping:
    """Context manager that maps OSErrors to Problems; hot paths use `except` instead."""

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
