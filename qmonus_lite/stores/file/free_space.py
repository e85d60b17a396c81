"""Free space check for readiness and startup: whether any upload could be stored."""

import logging
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

logger = logging.getLogger(__name__)

#: Seconds for which a result of statvfs is cached.
CACHE_SECONDS = 1.0


@dataclass(kw_only=True)
class FreeSpace:
    """Free space of the file system of the uploads.

    Space reserved by running uploads is not subtracted: otherwise one client that declares a large
    file could make the gateway unready, so that a load balancer removes it.
    """

    root: Path
    #: Names of the leading folders of every upload path, below the launch directory.
    folders: tuple[str, ...]
    #: `--min_free_bytes`.
    keep_free: int
    #: Cached reason why no upload could be stored; None if uploads can be stored.
    _seen: str | None = None
    _until: float = field(default=0.0)

    @property
    def unhealthy_reason(self) -> str | None:
        """Why no upload could be stored now, or None; logs changes between the two."""
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
            size = status.f_blocks * status.f_frsize
            remedy = "make room, or lower it"
            if size <= self.keep_free:
                remedy = f"it has {size} bytes in all and can never keep so many free: lower it"
            return (
                f"the disk has {free} bytes free, and --min_free_bytes={self.keep_free}; {remedy}"
            )
        if status.f_files and not status.f_favail:
            return "the disk has no inode left for another file"
        return None

    def _directory(self) -> Path:
        """The deepest existing folder that every upload path begins with."""
        here = self.root
        for name in self.folders:
            if not (here / name).is_dir():
                break
            here /= name
        return here


_LOW = {"action": "disk_low"}
