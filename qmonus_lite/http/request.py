"""A request: its head as received, its origin, and its record for the access log."""

import logging
import time
from dataclasses import dataclass, field

from qmonus_lite.headers import Headers
from qmonus_lite.http.framing import RequestHead
from qmonus_lite.http.limits import TrustedProxies
from qmonus_lite.http.request_ids import new_record, record_by_proxy
from qmonus_lite.observations import RequestRecord
from qmonus_lite.trace_context import log_fields

logger = logging.getLogger(__name__)

#: Methods that an endpoint may have; any other one is refused before its body is read.
KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "PATCH", "PUT", "OPTIONS"})


@dataclass(slots=True, kw_only=True, eq=False)
class Request:
    """A request, however its bytes were read; made by `received` only."""

    head: RequestHead
    #: Path and query, undecoded, as in the request line; the query without its question mark.
    path: str
    query: str
    #: Client address, for logs and backends; never for authorization.
    client: str
    #: Request id, and what is known when the request is answered.
    record: RequestRecord
    #: When the head was complete; seconds of the monotonic clock.
    received_at: float
    #: IP address of the other end of the connection, and `http` or `https` as used on it.
    peer: str
    protocol: str
    proxies: TrustedProxies
    _headers: Headers | None = field(default=None, init=False)

    @property
    def method(self) -> str:
        """The method, as sent."""
        return self.head.method

    @property
    def headers(self) -> Headers:
        """Header fields by name; the values of a repeated field are joined by commas."""
        if self._headers is None:
            self._headers = Headers.combined(self.head.fields)
        return self._headers

    @property
    def scheme(self) -> str:
        """`http` or `https`, as requested by the client."""
        forwarded = self.head.values("x-forwarded-proto")
        return self.proxies.scheme(self.peer, self.protocol, forwarded)

    @property
    def length(self) -> int | None:
        """Content-Length, or None; valid only after the framing rules."""
        return self.head.length


def received(head: RequestHead, *, peer: str, protocol: str, proxies: TrustedProxies) -> Request:
    """The request with this head, from a connection of `peer` (an IP address).

    `protocol` is the `http` or `https` of the connection. The ids are new, unless a trusted proxy
    gives them.
    """
    path, _, query = head.target.partition("?")
    return Request(
        head=head,
        path=path,
        query=query,
        client=proxies.client(peer, head.values("x-forwarded-for")),
        record=record_by_proxy(head) if proxies.trusts(peer) else new_record(),
        received_at=time.monotonic(),
        peer=peer,
        protocol=protocol,
        proxies=proxies,
    )


def log_client_left(request: Request) -> None:
    """Log that the client closed the connection before it was answered."""
    extra: dict[str, str | int] = {
        "action": "client_left",
        "request_id": request.record.request_id,
        "method": request.method,
        "url_path": request.path,
        "peer": request.client,
    }
    extra |= log_fields(request.record.traceparent)
    if request.record.upload_id:
        extra |= {"upload_id": request.record.upload_id, "bytes": request.record.bytes}
    logger.info("%s: the client left", request.method, extra=extra)
