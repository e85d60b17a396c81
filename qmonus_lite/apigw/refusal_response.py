"""What a door does with a request that does not go on: the body of its answer, and its record."""

import logging
from http import HTTPStatus
from typing import Any

from tornado.web import RequestHandler

from qmonus_lite.errors import InternalFault, Problem

logger = logging.getLogger(__name__)


def put_body(door: RequestHandler, body: bytes) -> None:
    """Have this body sent, with its length; a 304 ends with its head."""
    if door.get_status() != HTTPStatus.NOT_MODIFIED:
        door.set_header("Content-Length", str(len(body)))
    if body:
        door.write(body)


def log_client_left(door: Any) -> None:
    """The client left before it was answered."""
    request = door.request
    extra = {
        "action": "client_left",
        "request_id": door.request_id,
        "path": request.path,
        "peer": door.client,
    }
    logger.info("%s: the client left", request.method, extra=extra)


def internal_fault(error: Exception) -> Problem:
    """The 500 for an exception that nothing expected; its text stays in the log."""
    return InternalFault(f"the server could not go on ({type(error).__name__}); see its log")
