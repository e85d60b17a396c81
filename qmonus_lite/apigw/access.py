"""The access log: one record for one request; no query string, no header."""

import logging

from tornado.web import RequestHandler

from qmonus_lite.apigw.door import Door

logger = logging.getLogger(__name__)


def log_request(door: RequestHandler) -> None:
    """Log a request that was answered."""
    request = door.request
    status = door.get_status()
    level = logging.WARNING if status >= 500 else logging.INFO
    if request.path in {"/-/live", "/-/ready"} and status < 500:
        level = logging.DEBUG
    logger.log(
        level,
        "%s %s %d",
        request.method,
        _printable(request.path),
        status,
        extra={
            "action": "request",
            "ms": round(request.request_time() * 1000, 1),
            "peer": door.client if isinstance(door, Door) else request.remote_ip,
            "request_id": getattr(door, "request_id", ""),
        },
    )


def _printable(path: str) -> str:
    return path.encode("unicode_escape").decode()
