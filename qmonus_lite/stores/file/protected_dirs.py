"""Folders in which no upload may be stored, by path and by identity.

A bind mount, another case of a name, or a link shows the same directory under another path; device
and inode number stay the same.
"""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from qmonus_lite.errors import ForbiddenPath

#: Seconds after which the subfolders are listed again.
REFRESH_SECONDS = 5.0

#: Device and inode number.
Identity = tuple[int, int]


@dataclass(kw_only=True)
class ProtectedDirs:
    """The folders and their subfolders, apart from hidden ones, of which no plugin is loaded."""

    folders: tuple[Path, ...]
    _identities: frozenset[Identity] = frozenset()
    _until: float = field(default=0.0)

    @cached_property
    def _prefixes(self) -> tuple[str, ...]:
        return tuple(f"{folder}/" for folder in self.folders)

    def check_path(self, path: str) -> None:
        """Raise ForbiddenPath for a path, ending with a slash, in a folder or above one."""
        for folder in self._prefixes:
            if path.startswith(folder) or folder.startswith(path):
                raise ForbiddenPath("nothing may be stored at this path")

    def check_directory(self, status: os.stat_result) -> None:
        """Raise ForbiddenPath if a directory is one of the folders or subfolders."""
        if time.monotonic() >= self._until:
            self._identities = frozenset(self._list())
            self._until = time.monotonic() + REFRESH_SECONDS
        if identity(status) in self._identities:
            raise ForbiddenPath("nothing may be stored in this folder")

    def around(self, directory: Path) -> Path | None:
        """The folder that a directory is, or is in; None if there is none."""
        identities = set()
        for above in (directory, *directory.parents):
            with suppress(OSError):
                identities.add(identity(above.stat()))
        for folder in self.folders:
            with suppress(OSError):
                if identity(folder.stat()) in identities:
                    return folder
            if directory.is_relative_to(folder):
                return folder
        return None

    def _list(self) -> Iterator[Identity]:
        for folder in self.folders:
            for directory, names, _files in os.walk(folder):
                names[:] = [name for name in names if not name.startswith(".")]
                with suppress(OSError):
                    yield identity(os.stat(directory))


def identity(status: os.stat_result) -> Identity:
    """Device and inode number."""
    return status.st_dev, status.st_ino
