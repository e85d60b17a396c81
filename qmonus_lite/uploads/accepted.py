"""Data of an accepted upload: its event and the destination of its file."""

from pathlib import Path
from typing import Any, NamedTuple


class Destination(NamedTuple):
    """Final path of a file, and the staging directory used until it is complete."""

    parts: tuple[str, ...]
    #: Absolute path.
    final: str
    #: Staging directory on the same file system, and the device number of that file system.
    staging: Path
    device: int

    @property
    def path(self) -> str:
        """The stored path, relative to the launch directory, with a leading slash."""
        return "/" + "/".join(self.parts)


class AcceptedUpload(NamedTuple):
    """An upload that passed authorization and the checks of its path."""

    upload_id: str
    #: The event after its handlers have run.
    event: dict[str, Any]
    place: Destination
    #: `account` of its events; changes made by a handler are ignored.
    account: dict[str, Any] | None = None
