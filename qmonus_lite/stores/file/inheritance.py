"""What a new file gets from its directory: the group of a setgid directory, and its default ACL.

The kernel gives both to a file that is created in the directory. An upload is created in a staging
directory and renamed, so it is given what it would have got in the directory of its path.
"""

import errno
import os
import stat
import struct
from typing import NamedTuple

#: Extended attributes with the POSIX ACLs; see acl(5).
_DEFAULT_ACL, _ACCESS_ACL = "system.posix_acl_default", "system.posix_acl_access"
#: A version (2), then entries of tag, permissions and id, in little-endian order.
_VERSION, _ENTRY = struct.Struct("<I"), struct.Struct("<HHI")
_OWNER, _GROUP, _MASK, _OTHER = 0x01, 0x04, 0x10, 0x20
#: Errors that mean that there is no ACL.
_NO_ACL = {errno.ENODATA, errno.EOPNOTSUPP, errno.ENOSYS}
#: Permissions of a new file before the umask: no execution.
MODE = 0o666


class Inherited(NamedTuple):
    """What a file inherits from its directory."""

    #: The group of a setgid directory; None for the group of this process.
    group: int | None = None
    #: The access ACL that follows from the default ACL; empty if there is none.
    acl: bytes = b""


#: From a directory without setgid bit and default ACL.
NOTHING = Inherited()


def inherited_from(descriptor: int, status: os.stat_result) -> Inherited:
    """What a file would get in an open directory with this status; raises OSError."""
    group = status.st_gid if status.st_mode & stat.S_ISGID else None
    try:
        default = os.getxattr(descriptor, _DEFAULT_ACL)
    except OSError as error:
        if error.errno not in _NO_ACL:
            raise
        return Inherited(group) if group is not None else NOTHING
    return Inherited(group, access_acl(default))


def access_acl(default: bytes) -> bytes:
    """The access ACL of a new file: the default ACL without execution for anyone.

    As in the kernel, the mode of open(2) limits owner, others, and the mask, or the group if there
    is no mask; the umask does not count.
    """
    entries = list(_ENTRY.iter_unpack(default[_VERSION.size :]))
    group = _MASK if any(tag == _MASK for tag, _, _ in entries) else _GROUP
    limited = {_OWNER: MODE >> 6 & 7, group: MODE >> 3 & 7, _OTHER: MODE & 7}
    return default[: _VERSION.size] + b"".join(
        _ENTRY.pack(tag, permissions & limited.get(tag, 7), number)
        for tag, permissions, number in entries
    )


def give(descriptor: int, inherited: Inherited, umask: int) -> None:
    """Give group, ACL and mode to an open file of this user; raises OSError.

    PermissionError if this process is not in the group, which the kernel does not ask for when a
    file is created in the directory.
    """
    os.fchown(descriptor, -1, os.getegid() if inherited.group is None else inherited.group)
    if inherited.acl:
        os.setxattr(descriptor, _ACCESS_ACL, inherited.acl)
        return
    try:
        os.removexattr(descriptor, _ACCESS_ACL)
    except OSError as error:
        if error.errno not in _NO_ACL:
            raise
    os.fchmod(descriptor, MODE & ~umask)


def may_give(group: int) -> bool:
    """Whether this process may give a file of its user this group."""
    return os.geteuid() == 0 or group == os.getegid() or group in os.getgroups()


def current_umask() -> int:
    """The umask of this process; not for use beside other threads."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
