"""Data of an accepted upload."""

from typing import Any, NamedTuple

from qmonus_lite.uploads.request import UploadRequest
from qmonus_lite.uploads.store import PendingUpload


class AcceptedUpload(NamedTuple):
    """An upload that passed authorization and the checks of its path."""

    upload_id: str
    head: UploadRequest
    #: The event after its handlers have run.
    event: dict[str, Any]
    pending: PendingUpload
    #: `account` of its events; changes made by a handler are ignored.
    account: dict[str, Any] | None = None

    @property
    def path(self) -> str:
        """The stored path, relative to the launch directory, with a leading slash."""
        return "/" + "/".join(self.pending.where)
