"""The access log: one record for one request; no query string, no header."""

import logging
from dataclasses import dataclass

from tornado.web import RequestHandler

from qmonus_lite.apigw.door import Door

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Access:
    """A request that was answered."""

    method: str
    #: As it stands in the request line, without the query.
    path: str
    status: int
    #: From its head to its answer.
    seconds: float
    #: The address of the client.
    peer: str
    request_id: str

    def log(self) -> None:
        """Make its record."""
        level = logging.WARNING if self.status >= 500 else logging.INFO
        if self.path in {"/-/live", "/-/ready"} and self.status < 500:
            level = logging.DEBUG
        logger.log(
            level,
            "%s %s %d",
            self.method,
            _printable(self.path),
            self.status,
            extra={
                "action": "request",
                "ms": round(self.seconds * 1000, 1),
                "peer": self.peer,
                "request_id": self.request_id,
            },
        )


def log_request(door: RequestHandler) -> None:
    """Log a request that a door answered."""
    request = door.request
    access = Access(
        method=request.method or "",
        path=request.path,
        status=door.get_status(),
        seconds=request.request_time(),
        peer=door.client if isinstance(door, Door) else request.remote_ip or "",
        request_id=getattr(door, "request_id", ""),
    )
    access.log()


def _printable(path: str) -> str:
    return path.encode("unicode_escape").decode()
