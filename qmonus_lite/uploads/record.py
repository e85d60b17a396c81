"""Fields of an upload in the access log, in addition to method, path and status."""

from dataclasses import dataclass

from qmonus_lite.errors import Refusal


@dataclass(slots=True, kw_only=True)
class UploadRecord:
    """Filled in while the request is processed; logged when the response is sent."""

    request_id: str = ""
    upload_id: str = ""
    #: Name of the account of the request's credential, or None.
    account: str | None = None
    #: Why the upload was refused, or None.
    refusal: Refusal | None = None
