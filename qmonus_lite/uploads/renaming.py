"""Uploads that are stored beside an existing file: as `name (2).ext`, or with the next free number.

The number is looked up when the upload is complete. Whether it is free is decided by publishing,
which replaces nothing (link(2) in the file store): if another file took the name in between, the
next number is looked up.
"""

import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

from qmonus_lite.errors import Conflict, Forbidden, PreconditionFailed
from qmonus_lite.uploads.keyed_lock import KeyedLock
from qmonus_lite.uploads.names import MAX_PART_BYTES, MAX_PATH_BYTES
from qmonus_lite.uploads.publish import ReceivedUpload
from qmonus_lite.uploads.store import (
    IF_ABSENT,
    PendingUpload,
    StoredFile,
    StoredPath,
    UploadStore,
)
from qmonus_lite.values import changed

#: Maximum number in a name, and maximum names that others may take before the upload is refused.
MAX_NUMBER, MAX_LOST_NAMES = 1 << 20, 100

#: Stem and extension of a name; `.bashrc` and `2026.11.05 notes` have no extension.
_WITH_EXTENSION = re.compile(r"(.+)(\.\w{1,16})", re.DOTALL)

U = TypeVar("U", bound=ReceivedUpload)


async def store_renamed(
    upload: U, store: UploadStore, locks: KeyedLock, publish: Callable[[U], Awaitable[StoredFile]]
) -> StoredFile:
    """Publish an upload at its path if that is free, else under the next free name beside it.

    `publish` is called with the path set; `locks` may be those that it takes itself. Raises
    Problem: Conflict if no name is free.
    """
    pending, wanted = upload.pending, upload.pending.where
    if upload.condition.absent:
        return await publish(upload)
    upload.condition = changed(upload.condition, absent=True)
    # A key that no path has: uploads to one path choose their names one after the other.
    async with locks.at(("", *wanted)):
        for _ in range(MAX_LOST_NAMES):
            await _move_to_free_name(store, pending, wanted)
            try:
                stored = await publish(upload)
            except PreconditionFailed:
                continue
            return stored if pending.where == wanted else stored._replace(where=pending.where)
    raise _no_name(wanted)


async def _move_to_free_name(
    store: UploadStore, pending: PendingUpload, wanted: StoredPath
) -> None:
    """Set the first free path; raises Conflict.

    Numbers are doubled and then bisected, so that the ten-thousandth file of a name costs thirty
    lookups. Where files were removed, a smaller number may be free too.
    """
    taken, free = 0, 1
    while not await _moved(store, pending, numbered(wanted, free)):
        taken, free = free, 2 * free
        if free > MAX_NUMBER:
            raise _no_name(wanted)
    while free - taken > 1:
        middle = (taken + free) // 2
        if await _moved(store, pending, numbered(wanted, middle)):
            free = middle
        else:
            taken = middle


async def _moved(store: UploadStore, pending: PendingUpload, where: StoredPath) -> bool:
    """Set the path if nothing is there."""
    try:
        await store.change_path(pending, where, IF_ABSENT)
    except (PreconditionFailed, Conflict, Forbidden):
        return False
    return True


def numbered(where: StoredPath, number: int) -> StoredPath:
    """The path with ` (number)` before the extension of its name; 1 is the path itself.

    A name that gets too long loses the end of its stem.
    """
    if number == 1:
        return where
    *folders, name = where
    stem, extension = name, ""
    if found := _WITH_EXTENSION.fullmatch(name):
        stem, extension = found.groups()
    rest = f" ({number}){extension}"
    room = MAX_PATH_BYTES - len("/".join([*folders, rest]).encode())
    room = min(room, MAX_PART_BYTES - len(rest.encode()))
    stem = stem.encode()[: max(room, 0)].decode(errors="ignore")
    return (*folders, stem + rest)


def _no_name(wanted: StoredPath) -> Conflict:
    return Conflict(f"no name beside {wanted[-1]!r} is free")
