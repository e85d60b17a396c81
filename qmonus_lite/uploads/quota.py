"""Admission control: size limit and free space, where reserved space counts as used."""

from pathlib import Path

from qmonus_lite.errors import InsufficientStorage, TooLarge
from qmonus_lite.uploads.disk_errors import MEASURING, Seldom
from qmonus_lite.uploads.filesystem import Filesystem
from qmonus_lite.uploads.reserved_space import ReservedSpace

_rate_limited_log = Seldom()


class Quota:
    """Size limit of an upload, and free space on the file systems of the uploads."""

    def __init__(
        self, disk: Filesystem, *, most: int, keep_free: int, promised: ReservedSpace | None = None
    ) -> None:
        self._disk = disk
        self._most = most
        self._keep_free = keep_free
        self.promised = promised or ReservedSpace()

    def reserve(self, directory: Path, device: int, declared: int | None) -> "Reservation":
        """Reserve `declared` bytes, None if unknown; raises TooLarge or InsufficientStorage.

        `device` is the device number of the file system of the directory.
        """
        self.check_size(declared or 0)
        self.check_room(directory, device, declared or 0)
        return Reservation(self, directory, device, declared)

    def check_size(self, size: int) -> None:
        """Raises TooLarge if `size` exceeds the limit of an upload; 0 is no limit."""
        if self._most and size > self._most:
            raise TooLarge(f"an upload may have at most {self._most} bytes")

    def check_room(self, directory: Path, device: int, wanted: int) -> None:
        """Raises InsufficientStorage if `wanted` more bytes do not fit."""
        try:
            free = self._disk.free(directory)
        except OSError as error:
            raise self._disk.answer(error, MEASURING) from error
        promised = self.promised.total(device)
        if free - promised - wanted < self._keep_free:
            # Every upload is then refused, so that a rate-limited log is enough.
            _rate_limited_log.warn(
                str(device),
                "the disk has no room for an upload",
                action="disk_low",
                directory=str(directory),
                free=free,
                promised=promised,
                min_free_bytes=self._keep_free,
                wanted=wanted,
            )
            raise InsufficientStorage("the disk has no room for this upload")


class Reservation:
    """Reserved space of one upload; free it with `release`."""

    def __init__(
        self, admission: Quota, directory: Path, device: int, declared: int | None
    ) -> None:
        self._admission = admission
        self._directory = directory
        self._device = device
        self._declared = declared
        self._open = 0
        #: Bytes received so far.
        self.received = 0
        self._hold(declared or 0)

    def take(self, count: int) -> None:
        """Count received bytes; raises TooLarge, and InsufficientStorage for an unknown length."""
        self.received += count
        self._admission.check_size(self.received)
        if self._declared is None:
            self._admission.check_room(self._directory, self._device, count)
        self._hold(-min(count, self._open))

    def release(self) -> None:
        """Free the unused reserved space; idempotent."""
        self._hold(-self._open)

    def _hold(self, count: int) -> None:
        if count:
            self._open += count
            self._admission.promised.add(self._device, count)
