"""The receipt: the response body for a stored file."""

import re
from dataclasses import dataclass
from urllib.parse import quote

#: Paths that `quote` leaves unchanged; calling it takes five times as long.
_UNRESERVED = re.compile(r"[A-Za-z0-9_.~/-]*")


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """The response to a successful upload."""

    upload_id: str
    #: Stored path, relative to the launch directory, with a leading slash.
    path: str
    filename: str
    bytes: int
    mime: str
    #: Id of the APIGW.OnFileUploaded event.
    event_id: str
    #: Whether file, directory and event are on stable storage.
    durable: bool
    #: Whether the file replaced an existing one.
    replaced: bool
    #: SHA-256 of the file in hexadecimal digits; only if the client wanted it.
    sha256: str | None = None

    @property
    def status(self) -> int:
        """200 for a replaced file, 201 for a new one."""
        return 200 if self.replaced else 201

    @property
    def location(self) -> str:
        """The stored path, percent-encoded."""
        return self.path if _UNRESERVED.fullmatch(self.path) else quote(self.path)

    def to_json(self) -> dict[str, object]:
        """The response body."""
        return {name: value for name, value in vars(self).items() if value is not None}
