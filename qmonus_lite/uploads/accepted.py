"""An upload that may go ahead: its event, and where its file goes."""

from pathlib import Path
from typing import Any, NamedTuple


class Destination(NamedTuple):
    """Where a file goes, and where it grows until then."""

    parts: tuple[str, ...]
    #: Absolute path.
    final: str
    #: Directory of staged files on the same file system, and the number of that.
    staging: Path
    device: int

    @property
    def path(self) -> str:
        """The stored path, from the launch directory."""
        return "/" + "/".join(self.parts)


class AcceptedUpload(NamedTuple):
    """An upload that may go ahead."""

    upload_id: str
    #: The event as its handlers left it.
    event: dict[str, Any]
    place: Destination
    #: `account` of its events, whatever a handler made of that.
    account: dict[str, Any] | None = None
