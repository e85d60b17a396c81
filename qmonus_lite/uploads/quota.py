"""Quota: the size limit of an upload."""

from dataclasses import dataclass

from qmonus_lite.errors import TooLarge


@dataclass(frozen=True, kw_only=True)
class Quota:
    """Limits of uploads that do not depend on the store."""

    #: `--max_upload_bytes`; 0 is no limit.
    max_upload_bytes: int = 0

    def check_size(self, size: int) -> None:
        """Raises TooLarge if `size` bytes exceed the limit of an upload."""
        if self.max_upload_bytes and size > self.max_upload_bytes:
            raise TooLarge(f"an upload may have at most {self.max_upload_bytes} bytes")
