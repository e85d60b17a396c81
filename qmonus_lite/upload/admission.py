"""Admission: is there room for it? What running uploads promised counts as used."""

import os
from pathlib import Path

from qmonus_lite.errors import InsufficientStorage, TooLarge


class Reservation:
    """Room for one upload; give it back with `release`."""

    def __init__(self, admission: "Admission", declared: int | None) -> None:
        self._admission = admission
        self._declared = declared
        self._open = declared or 0
        #: Bytes received so far.
        self.received = 0

    def take(self, count: int) -> None:
        """Count bytes that came; raises TooLarge, and InsufficientStorage for an unknown length."""
        self.received += count
        self._admission.check_size(self.received)
        if self._declared is None:
            self._admission.check_room(count)
        else:
            self._give_back(min(count, self._open))

    def release(self) -> None:
        """Give back what was not used; may be called again."""
        self._give_back(self._open)

    def _give_back(self, count: int) -> None:
        self._open -= count
        self._admission.promised -= count


class Admission:
    """The room of one file system."""

    def __init__(self, root: Path, *, most: int, keep_free: int) -> None:
        self._root = root
        self._most = most
        self._keep_free = keep_free
        #: Bytes that running uploads still may send.
        self.promised = 0

    def reserve(self, declared: int | None) -> Reservation:
        """Room for `declared` bytes, None if unknown; raises TooLarge or InsufficientStorage."""
        self.check_size(declared or 0)
        self.check_room(declared or 0)
        self.promised += declared or 0
        return Reservation(self, declared)

    def check_size(self, size: int) -> None:
        """Raises TooLarge for more than one upload may have."""
        if self._most and size > self._most:
            raise TooLarge(f"an upload may have at most {self._most} bytes")

    def check_room(self, wanted: int) -> None:
        """Raises InsufficientStorage when `wanted` bytes more do not fit."""
        status = os.statvfs(self._root)
        free = status.f_bavail * status.f_frsize
        if free - self.promised - wanted < self._keep_free:
            raise InsufficientStorage("the disk has no room for this upload")
