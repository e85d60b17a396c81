"""Log of the store's failures: the failed system call of an upload, with the ids of its request."""

import logging

from qmonus_lite.errors import Problem
from qmonus_lite.observations import RequestRecord
from qmonus_lite.rate_limited_log import RateLimitedLog

logger = logging.getLogger(__name__)

#: By error number, since any client can cause those that are no failure of the disk.
_refused = RateLimitedLog(logger)


def log_store_failure(
    problem: Problem, record: RequestRecord, path: str, upload_id: str = ""
) -> None:
    """Log the failed system call of a Problem; does nothing for a Problem without one.

    Called where the request is known: disk threads and the writer process do not have its id.
    """
    disk = problem.disk
    if disk is None:
        return
    extra = {"path": path, "request_id": record.request_id}
    if upload_id:
        extra["upload_id"] = upload_id
    extra |= {"doing": disk.action, "errno": disk.code}
    message = f"{disk.action}: {disk.message}"
    if disk.failing:
        logger.error("%s", message, extra={"action": "disk_failed", **extra})
    else:
        _refused.warn(message, kind=disk.code, action="disk_refused", **extra)
