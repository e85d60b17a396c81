"""Quota: the size limit of an upload."""

from qmonus_lite.errors import TooLarge
from qmonus_lite.values import Value


class Quota(Value, frozen=True, kw_only=True):
    """Limits of uploads that do not depend on the store."""

    #: `--max_upload_bytes`, or what a handler allows; None is no limit.
    max_bytes: int | None = None

    def check_size(self, size: int) -> None:
        """Raises TooLarge if `size` bytes exceed the limit of an upload."""
        if self.max_bytes is not None and size > self.max_bytes:
            raise TooLarge(f"this upload may have at most {self.max_bytes} bytes")
