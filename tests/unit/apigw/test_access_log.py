"""The access record: its fields, in JSON and on the console."""

import json

import pytest

from qmonus_lite import log
from qmonus_lite.apigw.access_log import log_request
from qmonus_lite.clock import Clock
from qmonus_lite.observations import RequestAnswered

STORED = RequestAnswered(
    method="PUT",
    path="/upload/a",
    status=201,
    seconds=0.0123,
    peer="127.0.0.1",
    request_id="r1",
    upload_id="u1",
    account="ann",
    bytes=7,
    stored_path="/moved/a",
)


@pytest.mark.usefixtures("restored")
def test_an_upload_has_who_what_where_and_how_many_bytes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log.configure(style="json", level="info", clock=Clock("UTC"), process="apigw-1")
    log_request(STORED)
    record = json.loads(capsys.readouterr().err)

    assert record.pop("process.pid") > 0 and record.pop("timestamp")
    assert record == {
        "severity_text": "INFO",
        "severity_number": 9,
        "body": "PUT /upload/a 201",
        "otel.scope.name": "qmonus_lite.apigw.access_log",
        "service.name": "qmonus-lite",
        "qmonus_lite.process": "apigw-1",
        "event_name": "request",
        "http.request.method": "PUT",
        "url.path": "/upload/a",
        "http.response.status_code": 201,
        "qmonus_lite.duration_ms": 12.3,
        "client.address": "127.0.0.1",
        "qmonus_lite.request_id": "r1",
        "qmonus_lite.upload_id": "u1",
        "http.request.body.size": 7,
        "qmonus_lite.stored_path": "/moved/a",
        "qmonus_lite.account": "ann",
    }


@pytest.mark.usefixtures("restored")
def test_the_console_does_not_repeat_the_request_line(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure(style="console", level="info", clock=Clock("UTC"))
    log_request(STORED)
    line = capsys.readouterr().err

    assert "PUT /upload/a 201" in line and "bytes=7" in line and "stored_path=/moved/a" in line
    assert "method=" not in line and " url_path=" not in line and "status=" not in line
