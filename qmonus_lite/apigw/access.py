"""Access log: one record per request, without query string and headers."""

import logging
from dataclasses import asdict, dataclass
from typing import Any

from tornado.web import RequestHandler

from qmonus_lite.apigw.handler import BaseHandler
from qmonus_lite.uploads.record import UploadRecord

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class AccessRecord:
    """Access record of a completed request."""

    method: str
    #: Undecoded, as in the request line, without the query.
    path: str
    status: int
    #: From the request head to the response.
    seconds: float
    #: Client address.
    peer: str
    #: Ids, account and refusal; fields that the request did not reach are empty.
    record: UploadRecord

    def log(self) -> None:
        """Write the record to the log."""
        level = logging.WARNING if self.status >= 500 else logging.INFO
        if self.path in {"/-/live", "/-/ready"} and self.status < 500:
            level = logging.DEBUG
        logger.log(
            level,
            "%s %s %d",
            self.method,
            _printable(self.path),
            self.status,
            extra=self._fields(),
        )

    def _fields(self) -> dict[str, Any]:
        record = self.record
        fields: dict[str, Any] = {
            "action": "request",
            "ms": round(self.seconds * 1000, 1),
            "peer": self.peer,
            "request_id": record.request_id,
        }
        if record.upload_id:
            fields["upload_id"] = record.upload_id
        if record.account is not None:
            fields["account"] = record.account
        if record.refusal is not None:
            fields["code"] = self.status
            fields |= {name: value for name, value in asdict(record.refusal).items() if value}
        return fields


def log_request(door: RequestHandler) -> None:
    """Log a request that a Tornado handler completed."""
    request = door.request
    access = AccessRecord(
        method=request.method or "",
        path=request.path,
        status=door.get_status(),
        seconds=request.request_time(),
        peer=door.client if isinstance(door, BaseHandler) else request.remote_ip or "",
        record=_record(door),
    )
    access.log()


def _record(door: RequestHandler) -> UploadRecord:
    """The record of an upload handler; else a new record with the handler's id and account."""
    record = getattr(door, "record", None)
    if not isinstance(record, UploadRecord):
        request_id = getattr(door, "request_id", "")
        record = UploadRecord(request_id=request_id, account=getattr(door, "account", None))
    record.refusal = getattr(door, "refusal", None)
    return record


def _printable(path: str) -> str:
    return path.encode("unicode_escape").decode()
