"""Owners of files and directories, and what root does with the rights of another user."""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qmonus_lite.errors import BadResource
from qmonus_lite.values import Value


class Owner(Value, frozen=True, kw_only=True):
    """User and group of a file or directory."""

    uid: int
    gid: int

    @property
    def name(self) -> str:
        """Name of the user, or `user 1234` if it has none on this machine."""
        return user_name(self.uid)


def user_name(uid: int) -> str:
    """Name of a user, or `user 1234` if it has none on this machine."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def owner_of(path: Path) -> Owner:
    """Owner of a path, or of the deepest of its parents that exists."""
    for place in (path, *path.parents):
        try:
            status = place.stat()
        except OSError:
            continue
        return Owner(uid=status.st_uid, gid=status.st_gid)
    return Owner(uid=os.geteuid(), gid=os.getegid())


def advice(path: Path) -> str:
    """Hint for an error at a path that belongs to another user, which user to be; else empty."""
    owner = owner_of(path)
    if owner.uid == os.geteuid():
        return ""
    return f"; it belongs to {owner.name}, this runs as {user_name(os.geteuid())}: be that user"


@contextmanager
def rights_of(owner: Owner) -> Iterator[None]:
    """Have the rights of another user during the block, if this process was started by root.

    What the block makes then belongs to that user. Other processes keep their rights. Raises
    BadResource if root may not take the rights, as in a container without CAP_SETUID.
    """
    before = os.geteuid(), os.getegid(), os.getgroups()
    if owner.uid == before[0] or os.getresuid()[2] != 0:
        yield
        return
    try:
        _take(owner.uid, owner.gid, _groups(owner))
    except OSError as error:
        os.seteuid(before[0])
        raise BadResource(
            f"this has to run as {owner.name}, and root cannot take those rights here:"
            f" {error.strerror}; run it as that user"
        ) from None
    try:
        yield
    finally:
        _take(*before)


def _groups(owner: Owner) -> list[int]:
    try:
        return os.getgrouplist(pwd.getpwuid(owner.uid).pw_name, owner.gid)
    except KeyError:
        return [owner.gid]


def _take(uid: int, gid: int, groups: list[int]) -> None:
    # Root first: no other user may change its groups.
    os.seteuid(0)
    os.setgroups(groups)
    os.setegid(gid)
    os.seteuid(uid)
