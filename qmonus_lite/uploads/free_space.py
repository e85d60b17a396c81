"""Room as a whole: whether any upload could be stored at all, for readiness and for the start."""

import logging
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

logger = logging.getLogger(__name__)

#: Seconds that one look at the file system is believed.
CACHE_SECONDS = 1.0


@dataclass(kw_only=True)
class FreeSpace:
    """The file system that uploads go to.

    Only what is free now counts, not what running uploads promised: else one client that declares
    a large file would take the gateway out of its balancer.
    """

    root: Path
    #: Names of the folders, below the launch directory, that every upload path begins with.
    folders: tuple[str, ...]
    #: `--min_free_bytes`.
    keep_free: int
    #: Why no upload could be stored, as it was last seen; None for no reason.
    _seen: str | None = None
    _until: float = field(default=0.0)

    @property
    def unhealthy_reason(self) -> str | None:
        """Why no upload could be stored now, or None; a change is logged."""
        if time.monotonic() >= self._until:
            before, self._seen = self._seen, self._look()
            self._until = time.monotonic() + CACHE_SECONDS
            if self._seen and not before:
                logger.warning("no upload can be stored: %s", self._seen, extra=_LOW)
            elif before and not self._seen:
                logger.info("uploads can be stored again", extra=_LOW)
        return self._seen

    def _look(self) -> str | None:
        try:
            status = os.statvfs(self._directory())
        except OSError as error:
            return f"the folder of uploads cannot be looked at: {error.strerror}"
        if status.f_flag & os.ST_RDONLY:
            return "the file system of the folder of uploads is read-only"
        free = status.f_bavail * status.f_frsize
        if free < max(self.keep_free, 1):
            return (
                f"the disk has {free} bytes free, and --min_free_bytes={self.keep_free};"
                " make room, or lower it"
            )
        if status.f_files and not status.f_favail:
            return "the disk has no inode left for another file"
        return None

    def _directory(self) -> Path:
        """The deepest folder of every upload path that exists."""
        here = self.root
        for name in self.folders:
            if not (here / name).is_dir():
                break
            here /= name
        return here


_LOW = {"action": "disk_low"}


def folders_of(template: str) -> tuple[str, ...]:
    """The folders that every path of a template begins with: those before its first variable."""
    names: list[str] = []
    for name in template.strip("/").split("/")[:-1]:
        if "{" in name:
            break
        names.append(name)
    return tuple(names)
