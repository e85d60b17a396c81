"""Request line and headers of an upload, as known before its body."""

from collections.abc import Mapping

from qmonus_lite.headers import Headers
from qmonus_lite.observations import RequestRecord
from qmonus_lite.uploads.lifecycle import OnDisconnect
from qmonus_lite.uploads.store import IF_ABSENT, UNCONDITIONAL, Condition
from qmonus_lite.values import Value, field


class UploadRequest(Value, frozen=True, kw_only=True):
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
    #: Client address, for which a wrong API key is counted.
    client: str = ""
    #: Its fields in the access log.
    record: RequestRecord = field(default_factory=RequestRecord)
    #: What becomes of the upload if the connection ends before the body does.
    on_disconnect: OnDisconnect = OnDisconnect.ABORT

    @property
    def mime(self) -> str:
        """Content-Type, by default application/octet-stream."""
        return dict.get(self.headers, "Content-Type", "") or "application/octet-stream"

    @property
    def condition(self) -> Condition:
        """The preconditions `If-None-Match: *` and `If-Match`."""
        match = dict.get(self.headers, "If-Match", "").strip()
        absent = dict.get(self.headers, "If-None-Match", "").strip() == "*"
        if match:
            return Condition(absent=absent, match=match)
        return IF_ABSENT if absent else UNCONDITIONAL
