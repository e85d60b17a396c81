"""Plugin files on disk: selection, ownership and permission checks, and reading.

A plugin runs with the rights of this process. So a file is read only if no other user but root can
have written it: this user or root owns it and its folder, and neither is writable for others or
for a shared group.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from qmonus_lite.catalog.document import BadDocument
from qmonus_lite.errors import Fault

#: Maximum size of a plugin file in bytes.
MAX_FILE_BYTES = 256 << 10
_SUFFIXES = frozenset({".yml", ".yaml"})


def files(folders: Sequence[Path]) -> Iterator[Path]:
    """The plugin files below the folders, including symbolic links, in a stable order."""
    for folder in folders:
        found = []
        for directory, names in _walk(folder):
            found += [directory / name for name in names if not name.startswith(".")]
        for path in sorted(found):
            if path.suffix in _SUFFIXES and (path.is_file() or path.is_symlink()):
                yield path


def ignored(folders: Sequence[Path]) -> Iterator[Path]:
    """Files and links below the folders that are not plugin files, without hidden ones."""
    for folder in folders:
        for directory, names in _walk(folder):
            for name in sorted(names):
                if not name.startswith(".") and Path(name).suffix not in _SUFFIXES:
                    yield directory / name


def printable(path: Path) -> str:
    """The path as encodable text, whatever bytes its names have."""
    return os.fsencode(path).decode(errors="backslashreplace")


def stamp(folders: Sequence[Path]) -> tuple[tuple[str, int, int], ...]:
    """State of the folders; changes with files, ignored files and permissions; raises OSError."""
    found = [(str(path), 0, 0) for path in ignored(folders)]
    for path in files(folders):
        with suppress(OSError):
            status = path.lstat()
            # ctime rather than mtime: it changes with owner and mode as well.
            found.append((str(path), status.st_ctime_ns, status.st_size))
    for directory in (directory for folder in folders for directory, _ in _walk(folder)):
        with suppress(OSError):
            status = directory.stat()
            found.append((str(directory), status.st_mode, status.st_uid))
    return tuple(found)


def folder_faults(folders: Sequence[Path]) -> Iterator[Fault]:
    """Faults of the folders themselves."""
    for folder in folders:
        if not folder.is_dir():
            yield Fault(printable(folder), 1, 1, "the plugin folder is gone")
            continue
        for directory, _ in _walk(folder):
            if reason := _distrusted(directory.stat()):
                yield Fault(printable(directory), 1, 1, reason)


def unreadable(error: OSError) -> Fault:
    """The fault of a folder that could not be listed."""
    path = os.fsencode(error.filename or "").decode(errors="backslashreplace")
    return Fault(path, 1, 1, f"cannot be read: {error.strerror or error}")


def read(path: Path) -> str:
    """The text of a plugin file; raises BadDocument."""
    if printable(path) != str(path):
        raise _bad(path, "its path is not UTF-8 text; rename it")
    try:
        # O_NONBLOCK: the file may have been replaced by a named pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        linked = path.is_symlink()
        reason = "is a symbolic link; put the file itself here" if linked else error.strerror
        raise _bad(path, reason if linked else f"cannot be read: {reason}") from None
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _bad(path, "is no regular file")
        if reason := _distrusted(status):
            raise _bad(path, reason)
        raw = file.read(MAX_FILE_BYTES + 1)
    if len(raw) > MAX_FILE_BYTES:
        raise _bad(path, f"is larger than {MAX_FILE_BYTES >> 10} KiB; split it")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise BadDocument(Fault(str(path), line, 1, "is not UTF-8 text")) from None


def _walk(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """The folder and its subfolders without hidden ones, with the names of files and links."""
    # Not rglob(): a folder that disappears during the scan must not abort it.
    for directory, subdirectories, names in os.walk(folder, onerror=_raise_unless_gone):
        subdirectories[:] = [name for name in subdirectories if not name.startswith(".")]
        links = [name for name in subdirectories if os.path.islink(os.path.join(directory, name))]
        yield Path(directory), names + links


def _raise_unless_gone(error: OSError) -> None:
    """Do not treat a folder that cannot be listed as empty: its gates would be inactive."""
    if error.errno not in {errno.ENOENT, errno.ENOTDIR}:
        raise error


def _distrusted(status: os.stat_result) -> str | None:
    """Why others may have written to it, or None."""
    own_uid = os.geteuid()
    if status.st_uid not in {0, own_uid}:
        return f"is owned by user {status.st_uid}; only what user {own_uid} or root owns is loaded"
    # A group whose id equals the owner's uid is private to the owner (as with umask 002).
    private = status.st_gid == status.st_uid
    if status.st_mode & (stat.S_IWOTH | (0 if private else stat.S_IWGRP)):
        return f"is writable for others (mode {stat.S_IMODE(status.st_mode):04o}); chmod go-w it"
    return None


def _bad(path: Path, reason: str | None) -> BadDocument:
    return BadDocument(Fault(printable(path), 1, 1, reason or "cannot be read"))
