"""What the access record of one upload says beside method, path and status."""

from dataclasses import dataclass

from qmonus_lite.errors import Refusal


@dataclass(slots=True, kw_only=True)
class UploadRecord:
    """Filled in as things become known; the server logs it when the request is answered."""

    request_id: str = ""
    upload_id: str = ""
    #: Name of the account that the request's credential belongs to, or None.
    account: str | None = None
    #: Why the upload was refused, or None.
    refusal: Refusal | None = None
