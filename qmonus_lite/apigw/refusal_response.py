"""Helpers of handlers for refused requests: response body, log record, internal error."""

import logging
from http import HTTPStatus
from typing import Any

from tornado.web import RequestHandler

from qmonus_lite.errors import InternalFault, Problem

logger = logging.getLogger(__name__)


def put_body(door: RequestHandler, body: bytes) -> None:
    """Write the body with Content-Length; a 304 has no Content-Length."""
    if door.get_status() != HTTPStatus.NOT_MODIFIED:
        door.set_header("Content-Length", str(len(body)))
    if body:
        door.write(body)


def log_client_left(door: Any) -> None:
    """Log that the client disconnected before the response was sent."""
    request = door.request
    extra = {
        "action": "client_left",
        "request_id": door.request_id,
        "path": request.path,
        "peer": door.client,
    }
    logger.info("%s: the client left", request.method, extra=extra)


def internal_fault(error: Exception) -> Problem:
    """The 500 for an unexpected exception; its text is not sent, only logged."""
    return InternalFault(f"the server could not go on ({type(error).__name__}); see its log")
