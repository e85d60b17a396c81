"""Access log: one record per answered request, without query string and headers."""

import logging
from typing import Any

from qmonus_lite.observations import RequestAnswered
from qmonus_lite.trace_context import log_fields
from qmonus_lite.values import as_dict

logger = logging.getLogger(__name__)

#: Probes of these paths are logged at level DEBUG unless they fail.
PROBED_PATHS = frozenset({"/-/live", "/-/ready"})


def log_request(answered: RequestAnswered) -> None:
    """Write the record of a request to the log."""
    status = answered.status
    level = logging.WARNING if status >= 500 else logging.INFO
    if answered.path in PROBED_PATHS and status < 500:
        level = logging.DEBUG
    path = _printable(answered.path)
    logger.log(level, "%s %s %d", answered.method, path, status, extra=_fields(answered))


def _fields(answered: RequestAnswered) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "action": "request",
        "method": answered.method,
        "url_path": answered.path,
        "status": answered.status,
        "ms": round(answered.seconds * 1000, 1),
        "peer": answered.peer,
        "request_id": answered.request_id,
    }
    if answered.traceparent:
        fields |= log_fields(answered.traceparent)
    if answered.upload_id:
        fields["upload_id"] = answered.upload_id
        fields["bytes"] = answered.bytes
    if answered.stored_path and answered.stored_path != answered.path:
        fields["stored_path"] = answered.stored_path
    if answered.account is not None:
        fields["account"] = answered.account
    if answered.refusal is not None:
        fields |= {name: value for name, value in as_dict(answered.refusal).items() if value}
    return fields


def _printable(path: str) -> str:
    return path.encode("unicode_escape").decode()
