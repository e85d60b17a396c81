"""Space reservation: free space on the file systems of uploads, where reserved space is used."""

import logging
from pathlib import Path

from qmonus_lite.errors import InsufficientStorage
from qmonus_lite.rate_limited_log import RateLimitedLog
from qmonus_lite.stores.file.disk_errors import MEASURING
from qmonus_lite.stores.file.filesystem import Filesystem
from qmonus_lite.stores.file.reserved_space import ReservedSpace

_log = RateLimitedLog(logging.getLogger(__name__))


class SpaceReservations:
    """Reserves space on the file systems of the uploads."""

    def __init__(
        self, disk: Filesystem, *, min_free_bytes: int, reserved: ReservedSpace | None = None
    ) -> None:
        self._disk = disk
        self._min_free_bytes = min_free_bytes
        self.reserved = reserved or ReservedSpace()

    def reserve(self, directory: Path, device: int, declared: int | None) -> "Reservation":
        """Reserve `declared` bytes, None if unknown; raises InsufficientStorage.

        `device` is the device number of the file system of the directory.
        """
        self.check(directory, device, declared or 0)
        return Reservation(self, directory, device, declared)

    def check(self, directory: Path, device: int, wanted: int) -> None:
        """Raises InsufficientStorage if `wanted` more bytes do not fit."""
        try:
            free = self._disk.free(directory)
        except OSError as error:
            raise self._disk.answer(error, MEASURING) from error
        reserved = self.reserved.total(device)
        if free - reserved - wanted < self._min_free_bytes:
            # Every upload is then refused, so that a rate-limited log is enough.
            _log.warn(
                "the disk has no room for an upload",
                kind=str(device),
                action="disk_low",
                directory=str(directory),
                free=free,
                promised=reserved,
                min_free_bytes=self._min_free_bytes,
                wanted=wanted,
            )
            raise InsufficientStorage("the disk has no room for this upload")


class Reservation:
    """Reserved space of one upload; free it with `release`."""

    def __init__(
        self, space: SpaceReservations, directory: Path, device: int, declared: int | None
    ) -> None:
        self._space = space
        self._directory = directory
        self._device = device
        self._declared = declared
        #: Bytes that are still reserved.
        self._open = 0
        self._hold(declared or 0)

    def take(self, count: int) -> None:
        """Count received bytes; raises InsufficientStorage, for an unknown length only."""
        if self._declared is None:
            self._space.check(self._directory, self._device, count)
        self._hold(-min(count, self._open))

    def give_back(self, count: int) -> None:
        """Reserve again for bytes that were received and forgotten."""
        self._hold(min(count, (self._declared or 0) - self._open))

    def release(self) -> None:
        """Free the unused reserved space; idempotent."""
        self._hold(-self._open)

    def _hold(self, count: int) -> None:
        if count:
            self._open += count
            self._space.reserved.add(self._device, count)
