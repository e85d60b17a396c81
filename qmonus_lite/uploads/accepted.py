"""Data of an accepted upload."""

from typing import Any, NamedTuple

from qmonus_lite.uploads.quota import Quota
from qmonus_lite.uploads.request import UploadRequest
from qmonus_lite.uploads.store import Condition, PendingUpload, path_text


class AcceptedUpload(NamedTuple):
    """An upload that passed authorization and the checks of its path."""

    upload_id: str
    head: UploadRequest
    #: The event after its handlers have run.
    event: dict[str, Any]
    pending: PendingUpload
    #: The limits of the gateway, and of a handler (`uploads.limits`).
    quota: Quota
    #: The preconditions of the client, and of a handler.
    condition: Condition
    #: `account` of its events; changes made by a handler are ignored.
    account: dict[str, Any] | None = None
    #: Whether it is stored under another name if a file is at its path.
    renames: bool = False

    @property
    def path(self) -> str:
        """The stored path, relative to the launch directory, with a leading slash."""
        return path_text(self.pending.where)
