"""Ids of a request: new ones, or those that a trusted proxy gives in `X-Request-Id`, `traceparent`.

A client that chose the id could hide among the log records of another request, so only a proxy of
`--trusted_proxies` may give one, and a callout of our own scripts, which signs it; what is given in
another form is passed over.
"""

import re

from qmonus_lite.http.framing import RequestHead
from qmonus_lite.ids import new_id
from qmonus_lite.observations import RequestRecord
from qmonus_lite.redaction import redact
from qmonus_lite.trace_context import child_of

#: Maximum characters of a request id that is taken over.
MAX_REQUEST_ID_CHARS = 128

_REQUEST_ID = re.compile(rf"[A-Za-z0-9._~:/+=@-]{{1,{MAX_REQUEST_ID_CHARS}}}")


def new_record() -> RequestRecord:
    """The record of a request with a new id."""
    return RequestRecord(request_id=new_id())


def record_by_proxy(head: RequestHead) -> RequestRecord:
    """The record of a request from a trusted proxy, with the ids that the proxy gave."""
    return RequestRecord(request_id=_request_id(head) or new_id(), traceparent=_traceparent(head))


def take_ids_of_caller(record: RequestRecord, ids: tuple[str, str]) -> None:
    """Give a record the request id and the trace of the request whose script calls."""
    record.request_id, traceparent = ids
    record.traceparent = child_of(traceparent)


def _request_id(head: RequestHead) -> str | None:
    given = head.values("x-request-id")
    # A registered secret, an API key or a token is no id: it would be in the answer and the log.
    if len(given) != 1 or not _REQUEST_ID.fullmatch(given[0]) or redact(given[0]) != given[0]:
        return None
    return given[0]


def _traceparent(head: RequestHead) -> str:
    given = head.values("traceparent")
    return child_of(given[0]) if len(given) == 1 else ""
