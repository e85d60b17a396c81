"""Mount identity of directories: a rename works only between directories where it is equal.

The device number is not enough: two bind mounts of one file system (Docker volumes, subPaths of
Kubernetes) have the same number, and a rename or link between them fails with EXDEV. So does a
rename into a directory tree with another project id (project quotas of XFS and ext4). A file for a
setgid directory with a group that this process may not give has to be created in such a directory.
"""

import ctypes
import errno
import fcntl
import os
import stat
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from qmonus_lite.stores.file.inheritance import may_give

#: Flags and masks of statx(2): the descriptor itself, no network round trip; either mount id.
_AT_EMPTY_PATH, _AT_STATX_DONT_SYNC = 0x1000, 0x4000
_STATX_MNT_ID, _STATX_MNT_ID_UNIQUE = 0x1000, 0x4000
_STATX_MODE_AND_GROUP = 0x2 | 0x10
#: `struct statx` (256 bytes): the mask, group id at 24, mode at 28, device number at 136, mount id
#: at 144.
_STATX = struct.Struct("=I20xIH106xIIQ104x")
#: Mask of both kinds of mount id; a kernel before 5.8 sets neither (no `stx_mnt_id`).
_MOUNT_IDS = _STATX_MNT_ID | _STATX_MNT_ID_UNIQUE

#: ioctl(2) that reads `struct fsxattr`: flags and three numbers, the last being the project id.
_FSGETXATTR = 0x801C581F
_FSXATTR = struct.Struct("=IIII12x")
#: Flag: new entries inherit the project id; files with another id cannot be renamed into it.
_PROJECT_INHERITED = 0x200


class Mount(NamedTuple):
    """Identity of the mount and project of a directory."""

    #: Device number of the file system; the key of reserved space.
    device: int
    #: Id of the mount; 0 if the system does not report it.
    mount: int
    #: Project id that entries of the directory must have; 0 for any.
    project: int = 0
    #: Group that files must have been created with; None for any, or one that can be given.
    group: int | None = None

    def takes_from(self, other: "Mount") -> bool:
        """Whether a file of a directory with that identity can be renamed into this one."""
        return (
            self[:2] == other[:2]
            # A rename out of a project tree into a directory without project id is allowed.
            and (not self.project or self.project == other.project)
            and (self.group is None or self.group == other.group)
        )


Statx = Callable[..., int]


def _statx() -> Statx | None:
    """statx of the C library; None if that has none (glibc before 2.28)."""
    found: Any = getattr(ctypes.CDLL(None, use_errno=True), "statx", None)
    if found is not None:
        numbers = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p]
        found.argtypes = numbers
        found.restype = ctypes.c_int
    return found  # type: ignore[no-any-return]


class Mounts:
    """Reads the mount identity of open directories."""

    def __init__(self, statx: Statx | None) -> None:
        self._statx = statx
        #: Devices without project ids, so that the ioctl is tried only once on each.
        self._without_projects: set[int] = set()

    def of(self, descriptor: int) -> Mount:
        """The identity of an open directory; raises OSError."""
        device, mount, group = self._by_statx(descriptor) or _by_proc(descriptor)
        project = 0 if device in self._without_projects else self._project(descriptor, device)
        return Mount(device, mount, project, group)

    def _by_statx(self, descriptor: int) -> tuple[int, int, int | None] | None:
        """Device, mount id, group; None if statx is missing, forbidden, or returns no mount id."""
        if self._statx is None:
            return None
        buffer = ctypes.create_string_buffer(_STATX.size)
        flags = _AT_EMPTY_PATH | _AT_STATX_DONT_SYNC
        if self._statx(descriptor, b"", flags, _MOUNT_IDS | _STATX_MODE_AND_GROUP, buffer):
            code = ctypes.get_errno()
            if code not in {errno.ENOSYS, errno.EPERM, errno.EINVAL}:
                raise OSError(code, os.strerror(code))
            # An old kernel, or a seccomp filter older than statx.
            self._statx = None
            return None
        mask, group, mode, major, minor, mount = _STATX.unpack(buffer.raw)
        if not mask & _MOUNT_IDS:
            self._statx = None
            return None
        return os.makedev(major, minor), mount, _group(mode, group)

    def _project(self, descriptor: int, device: int) -> int:
        try:
            attributes = fcntl.ioctl(descriptor, _FSGETXATTR, bytes(_FSXATTR.size))
        except OSError:
            self._without_projects.add(device)
            return 0
        flags, _extent, _extents, project = _FSXATTR.unpack(attributes)
        return int(project) if flags & _PROJECT_INHERITED else 0


def _group(mode: int, group: int) -> int | None:
    """`Mount.group` of a directory."""
    return group if mode & stat.S_ISGID and not may_give(group) else None


def _by_proc(descriptor: int) -> tuple[int, int, int | None]:
    """Device number, mount id from /proc/self/fdinfo (0 without /proc), and group."""
    status = os.fstat(descriptor)
    device, group = status.st_dev, _group(status.st_mode, status.st_gid)
    try:
        with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as info:
            fields = dict(line.split(":", 1) for line in info if ":" in line)
        return device, int(fields["mnt_id"]), group
    except (OSError, KeyError, ValueError):
        return device, 0, group


mount_of = Mounts(_statx()).of
