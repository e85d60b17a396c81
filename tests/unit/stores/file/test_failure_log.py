"""Log of the store's failures: the ids of the request, and one record of a kind in a while."""

import errno
import logging
import os

import pytest

from qmonus_lite import rate_limited_log
from qmonus_lite.observations import RequestRecord
from qmonus_lite.rate_limited_log import RateLimitedLog
from qmonus_lite.stores.file.disk_errors import FINDING, WRITING, DiskOperation
from qmonus_lite.stores.file.filesystem import Filesystem
from qmonus_lite.uploads import failure_log
from qmonus_lite.uploads.failure_log import log_store_failure


def logged(
    caplog: pytest.LogCaptureFixture, code: int, action: DiskOperation
) -> list[dict[str, object]]:
    """What is logged of an upload that ends with an error."""
    caplog.clear()
    record = RequestRecord(request_id="r1")
    problem = Filesystem().answer(OSError(code, os.strerror(code)), action)
    log_store_failure(problem, record, "/upload/a", "u1")
    return [vars(record) for record in caplog.records]


def test_the_record_of_a_failing_disk_has_path_ids_and_the_name_of_the_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(2):
        [record] = logged(caplog, errno.EIO, WRITING)

        assert (record["action"], record["levelno"]) == ("disk_failed", logging.ERROR)
        assert (record["path"], record["request_id"], record["upload_id"]) == (
            "/upload/a",
            "r1",
            "u1",
        )
        assert (record["doing"], record["errno"]) == ("writing", "EIO")


def test_refusals_of_one_kind_are_logged_once_in_a_while(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = RateLimitedLog(failure_log.logger)
    monkeypatch.setattr(failure_log, "_refused", fresh)
    [record] = logged(caplog, errno.EACCES, FINDING)
    assert (record["action"], record["errno"]) == ("disk_refused", "EACCES")
    assert logged(caplog, errno.EACCES, FINDING) == []
    assert len(logged(caplog, errno.EMFILE, FINDING)) == 1

    monkeypatch.setattr(rate_limited_log, "INTERVAL_SECONDS", 0.0)
    fresh._next.clear()
    [later] = logged(caplog, errno.EACCES, FINDING)
    assert later["held_back"] == 1
