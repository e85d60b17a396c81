"""One `X-Request-Id` and one trace, followed through the log records of all processes."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.harness import Installation
from tests.acceptance.process import until

REQUEST_ID, TRACE = "edge-7f3a", "4bf92f3577b34da6a3ce929d0e0e4736"
#: Callouts come from 127.0.0.1, which is no trusted proxy.
FROM_PROXY = (
    "--interface",
    "127.0.0.2",
    "-H",
    f"X-Request-Id: {REQUEST_ID}",
    "-H",
    f"traceparent: 00-{TRACE}-00f067aa0ba902b7-01",
)
GATE = """\
name: gate
event: APIGW.OnFileUploading
script: |-
  import warnings

  async def gate(event, handle):
      logger.info("asked", extra={"order": 7, "trace_id": "forged"})
      warnings.warn("this is deprecated", DeprecationWarning)
"""
AFTER = """\
name: after
event: APIGW.OnFileUploaded
script: |-
  async def after(event, handle):
      logger.info("attempt %d of %s", handle.attempt, handle.traceparent[3:35])
      if handle.attempt == 1:
          raise Error(503, "once more")
      answer = await callout("/seen")
      logger.info("the callout got %s", answer.body.decode())
"""
FLAGS = ("--log_format=json", "--apigw_processes=2", "--trusted_proxies=127.0.0.2")
ROUTE = """\
- authorities: [localhost]
  proxy: {path: /seen, authorization: {auth_mode: none}}
  request_forbidden_process: |-
    logger.info("the route was called")
    return {"parent": request.headers.get("Traceparent", "")}
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    installation = Installation(tmp_path_factory.mktemp("ids") / "installation")
    installation.plugin("gate.yml", GATE)
    installation.plugin("after.yml", AFTER)
    installation.plugin("route.yml", ROUTE)
    installation.up(*FLAGS)
    yield installation
    installation.end()


@pytest.fixture(scope="module")
def followed(up: Installation) -> list[dict[str, Any]]:
    """The records with the request id of an upload through both handlers, in the order made."""
    answer = up.upload(up.file("f", b"content"), "/upload/f", *FROM_PROXY, token=up.token)
    assert (answer.status, answer.headers["x-request-id"]) == (201, REQUEST_ID), answer.text
    found: list[dict[str, Any]] = []

    def ended() -> bool:
        lines = up.everything.splitlines(keepends=True)
        whole = [json.loads(line) for line in lines if line[0] == "{" and line.endswith("}\n")]
        found[:] = [one for one in whole if one.get("qmonus_lite.request_id") == REQUEST_ID]
        return any(one.get("event_name") == "event_delivered" for one in found)

    until(ended, report=lambda: up.log)
    return sorted(found, key=lambda record: str(record["timestamp"]))


def named(followed: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [record for record in followed if record.get("event_name") == name]


def said(followed: list[dict[str, Any]], text: str) -> dict[str, Any]:
    [record] = [record for record in followed if record["body"].startswith(text)]
    return record


def test_the_records_of_every_process_have_the_id_and_the_trace(
    followed: list[dict[str, Any]],
) -> None:
    kinds = {record["qmonus_lite.process"].partition("-")[0] for record in followed}

    assert kinds == {"apigw", "lambda", "writer"}
    assert {record["trace_id"] for record in followed} == {TRACE}
    assert all(record["span_id"] for record in followed)
    assert {record["service.name"] for record in followed} == {"qmonus-lite"}


def test_there_is_one_record_of_the_request_and_one_of_its_question(
    followed: list[dict[str, Any]],
) -> None:
    [upload, callout] = sorted(named(followed, "request"), key=lambda one: str(one["url.path"]))[
        ::-1
    ]
    handled = named(followed, "event_handled")

    assert (upload["http.request.method"], upload["url.path"]) == ("PUT", "/upload/f")
    assert upload["client.address"] == "127.0.0.2" and upload["qmonus_lite.account"] == "admin"
    assert callout["url.path"] == "/seen" and callout["span_id"] != upload["span_id"]
    assert [record["qmonus_lite.event_type"] for record in handled] == [
        "APIGW.OnFileUploading",
        "APIGW.OnFileUploaded",
        "APIGW.OnFileUploaded",
    ]
    assert {record["qmonus_lite.account"] for record in handled} == {"admin"}
    assert {record["qmonus_lite.upload_id"] for record in handled} == {
        upload["qmonus_lite.upload_id"]
    }


def test_each_attempt_of_the_event_has_one_record_at_both_ends(
    followed: list[dict[str, Any]],
) -> None:
    [retried], [delivered] = named(followed, "event_retry"), named(followed, "event_delivered")
    handled = named(followed, "event_handled")[1:]

    assert (retried["qmonus_lite.attempt"], delivered["qmonus_lite.attempt"]) == (1, 2)
    assert [record["qmonus_lite.attempt"] for record in handled] == [1, 2]
    assert [record["http.response.status_code"] for record in handled] == [503, 200]
    assert retried["qmonus_lite.process"] == "writer"
    events = {record["qmonus_lite.event_id"] for record in (retried, delivered, *handled)}
    assert events == {delivered["qmonus_lite.upload_id"]}
    assert delivered["qmonus_lite.account"] == "admin"


def test_lines_and_warnings_of_scripts_are_found_too(
    up: Installation, followed: list[dict[str, Any]]
) -> None:
    asked, [warned] = said(followed, "asked"), named(followed, "python_warning")

    assert (asked["otel.scope.name"], asked["order"], asked["plugin.trace_id"]) == (
        "plugin",
        7,
        "forged",
    )
    assert warned["qmonus_lite.plugin"] == asked["qmonus_lite.plugin"] == "gate"
    assert warned["code.file.path"] == str(up.plugins / "gate.yml")
    assert (asked["code.line.number"], warned["code.line.number"]) == (7, 8)
    assert warned["body"] == "DeprecationWarning: this is deprecated"
    assert said(followed, f"attempt 1 of {TRACE}") and said(followed, f"attempt 2 of {TRACE}")


def test_a_callout_to_ourselves_is_part_of_the_same_request(
    followed: list[dict[str, Any]],
) -> None:
    route = said(followed, "the route was called")
    got = json.loads(said(followed, "the callout got")["body"].removeprefix("the callout got "))

    assert route["qmonus_lite.process"].startswith("apigw")
    spans = {record["span_id"] for record in followed}
    # A span of its own between that of the handler and that of the request it made.
    assert got["parent"][:36] == f"00-{TRACE}-" and got["parent"][36:52] not in spans
