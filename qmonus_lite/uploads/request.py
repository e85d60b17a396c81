"""The head of an upload: what is known of it before its body."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from qmonus_lite.errors import PreconditionFailed
from qmonus_lite.headers import Headers
from qmonus_lite.uploads.record import UploadRecord


@dataclass(frozen=True, kw_only=True)
class UploadRequest:
    """What is known of an upload before its body.

    Each upload asks for these few headers: `dict.get` spares it to bring their names, which have
    the one form that names are kept in, into that form.
    """

    #: Path as it stands in the request line, still encoded.
    raw_path: str
    #: What the template found in it, by variable, still encoded.
    values: Mapping[str, str]
    params: Mapping[str, list[str]]
    headers: Headers
    #: Content-Length, or None for a chunked body.
    length: int | None
    #: What the access record is going to say.
    record: UploadRecord = field(default_factory=UploadRecord)

    @property
    def mime(self) -> str:
        """Content-Type, or the one for unknown bytes."""
        return dict.get(self.headers, "Content-Type", "") or "application/octet-stream"

    @property
    def create_only(self) -> bool:
        """Whether the client wants no other file replaced."""
        return dict.get(self.headers, "If-None-Match", "").strip() == "*"

    def check_conditions(self, there: bool) -> None:
        """Raises PreconditionFailed when the client wants none of it, as the path stands now."""
        if there and self.create_only:
            raise PreconditionFailed("a file exists at this path, and If-None-Match: * was given")
        match = dict.get(self.headers, "If-Match", "").strip()
        if match and not (there and match == "*"):
            # Files here have no entity tags, so that none can match.
            raise PreconditionFailed("no file at this path is the one that If-Match names")
