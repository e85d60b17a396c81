"""Request line and headers of an upload, as known before its body."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from qmonus_lite.errors import PreconditionFailed
from qmonus_lite.headers import Headers
from qmonus_lite.observations import RequestRecord


@dataclass(frozen=True, kw_only=True)
class UploadRequest:
    """Path, query, headers and length of an upload request.

    The properties use `dict.get` to skip the normalization of header names: the names are already
    in canonical form, and these headers are read on every upload.
    """

    #: Path from the request line, still percent-encoded.
    raw_path: str
    #: Values of the template variables in it, by name, still percent-encoded.
    values: Mapping[str, str]
    params: Mapping[str, list[str]]
    headers: Headers
    #: Content-Length, or None for a chunked body.
    length: int | None
    #: Its fields in the access log.
    record: RequestRecord = field(default_factory=RequestRecord)

    @property
    def mime(self) -> str:
        """Content-Type, by default application/octet-stream."""
        return dict.get(self.headers, "Content-Type", "") or "application/octet-stream"

    @property
    def create_only(self) -> bool:
        """Whether the request has `If-None-Match: *`: an existing file must not be replaced."""
        return dict.get(self.headers, "If-None-Match", "").strip() == "*"

    def check_conditions(self, there: bool) -> None:
        """Raises PreconditionFailed; `there` is whether a file exists at the path now."""
        if there and self.create_only:
            raise PreconditionFailed("a file exists at this path, and If-None-Match: * was given")
        match = dict.get(self.headers, "If-Match", "").strip()
        if match and not (there and match == "*"):
            # Stored files have no entity tags, so no tag can match.
            raise PreconditionFailed("no file at this path is the one that If-Match names")
