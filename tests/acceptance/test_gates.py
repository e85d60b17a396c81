"""Gates on real processes: what the client reads, and what the records of both processes say."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.acceptance.harness import UPLOADED, UPLOADING, Installation
from tests.acceptance.process import until
from tests.acceptance.test_whole_uploads import TO_TORNADO, FullResponse, answers, put, shape

GATE = f"""\
name: gate
event: {UPLOADING}
script: |-
  from http import HTTPStatus

  async def gate(event, handle):
      do = event["resources"]["filepath"].partition("-")[0]
      if do == "status":
          handle.terminate(HTTPStatus.UNAUTHORIZED, "give a token")
      if do == "elsewhere":
          return handle.terminate(308, headers={{"Location": "https://other/x", "X-Why": "full"}})
      if do == "typed":
          handle.terminate(422, {{"a": 1}}, headers={{"content-type": "application/x.a+json"}})
      if do == "unmodified":
          handle.terminate(304, "not sent", headers={{"ETag": "x"}})
      if do == "value":
          return 401, "no"
      if do == "callout":
          answer = callout(path="/v1/x", method=GET)
      if do == "forgotten":
          check(event)
          await handle.terminate(200)
      if do == "framed":
          handle.terminate(401, headers={{"Content-Length": "1"}})
      if do == "error":
          raise Error(409, "taken")
      if do == "crash":
          {{}}["x"]
      if do == "slow":
          handle.terminate(403, "no")
          await asyncio.sleep(30)
      await handle.terminate(200, "welcome")

  async def check(event):
      raise Error(401)
timeout: 1
"""
QUOTA = f"""\
name: quota
event: {UPLOADING}
script: |-
  async def quota(event, handle):
      if event["path"].startswith("/upload/large"):
          await handle.terminate(413, "qml_{43 * "q"}: too large")
"""
AFTER = f"""\
name: after
event: {UPLOADED}
script: |-
  async def after(event, handle):
      logger.info("after %s %s", handle.attempt, handle.event_id == handle.upload_id,
                  extra={{"said": [handle.request_id, handle.upload_id]}})
      if handle.attempt < 2:
          raise Error(503, "once more")
"""
ROUTE = """\
- authorities: [localhost]
  proxy:
    path: /asks
    authorization: {auth_mode: none}
  request_forbidden_process: |-
    if "refuse" in parameters:
        raise Error(404, "no")
    return (await lambda_event("Asked")).output
"""
ASKED = """\
name: asked
event: Asked
script: |-
  async def asked(event, handle):
      await handle.terminate(200, [handle.attempt, handle.request_id, handle.upload_id])
"""

#: Path: status, rule, line of the plugin, reason; None where a record has none.
REFUSALS = {
    "status": (401, "gate", "terminate", 9, "give a token"),
    "elsewhere": (308, "gate", "terminate", 11, None),
    "typed": (422, "gate", "terminate", 13, None),
    "unmodified": (304, "gate", "terminate", 15, "not sent"),
    "value": (500, "gate", "returned-value", 17, "returned a value of type tuple, which is no"),
    "callout": (500, "gate", "not-awaited", 19, "'Callout.__call__' was never awaited"),
    "forgotten": (500, "gate", "not-awaited", 21, "'check' was never awaited"),
    "framed": (500, "gate", "bad-terminate", 24, "terminate: header Content-Length is set by"),
    "error": (409, "gate", "Error", 26, "409 taken"),
    "crash": (500, "gate", "KeyError", 28, "'x'"),
    "slow": (403, "gate", "terminate", 30, "no"),
    "large": (413, "quota", "terminate", 6, "********: too large"),
}
#: What differs between two records of the same refusal.
OWN = {"timestamp", "duration_ms", "request_id", "upload_id"}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    installation = Installation(tmp_path_factory.mktemp("gates") / "installation")
    for name, text in (("gate", GATE), ("quota", QUOTA), ("after", AFTER), ("asked", ASKED)):
        installation.plugin(f"{name}.yml", text)
    installation.plugin("route.yml", ROUTE)
    installation.up("--log_format=json")
    yield installation
    installation.end()


def records(up: Installation, **wanted: str) -> list[dict[str, Any]]:
    """The records with these values, as soon as there is one."""
    found: list[dict[str, Any]] = []

    def came() -> bool:
        # A record that is being written may be read up to the end of a page of the file.
        lines = up.everything.splitlines(keepends=True)
        whole = [line for line in lines if line[0] == "{" and line.endswith("}\n")]
        logged = [
            {name.removeprefix("qmonus_lite."): value for name, value in json.loads(line).items()}
            for line in whole
        ]
        found[:] = [record for record in logged if wanted.items() <= record.items()]
        return bool(found)

    until(came, report=lambda: up.log)
    return found


def refused(up: Installation, request: bytes, status: int) -> dict[str, Any]:
    """The access record of a request that is refused, found by what its client was told."""
    with closing(socket.create_connection(("127.0.0.1", up.port), timeout=10)) as connection:
        connection.sendall(request)
        response = FullResponse(connection)
    request_id = response.headers["X-Request-Id"]
    assert (response.status, bool(request_id)) == (status, True)
    return records(up, event_name="request", request_id=request_id)[0]


@pytest.mark.parametrize("name", REFUSALS)
def test_the_access_record_of_a_refusal_says_who_where_and_why(up: Installation, name: str) -> None:
    status, plugin, rule, line, reason = REFUSALS[name]
    logged = [refused(up, put(up, f"/upload/{name}", way), status) for way in (b"", TO_TORNADO)]
    whole, other = ({key: record[key] for key in set(record) - OWN} for record in logged)

    assert whole == other
    assert all(record["upload_id"] != record["request_id"] for record in logged)
    assert (whole["plugin"], whole["rule"], whole["code.line.number"]) == (plugin, rule, line)
    file = str(up.plugins / f"{plugin}.yml")
    assert (whole["http.response.status_code"], whole["code.file.path"]) == (status, file)
    assert (whole.get("reason") or "").startswith(reason or "")
    assert up.stored() == [] or f"upload/{name}" not in up.stored()


@pytest.mark.parametrize(
    ("name", "fields", "body"),
    [
        ("elsewhere", {"location": "https://other/x", "x-why": "full"}, b""),
        ("typed", {"content-type": "application/x.a+json"}, b'{"a": 1}'),
        ("large", {"content-type": "text/plain; charset=utf-8"}, b"qml_" + 43 * b"q"),
    ],
)
def test_an_answer_has_the_headers_of_the_plugin(
    up: Installation, name: str, fields: dict[str, str], body: bytes
) -> None:
    whole, other = (shape(up, put(up, f"/upload/{name}", way)) for way in (b"", TO_TORNADO))

    assert whole == other
    assert fields.items() <= whole[1].items()
    assert whole[2] == json.loads(body) if name == "typed" else whole[2].startswith(body)


def test_a_304_ends_with_its_head(up: Installation) -> None:
    for way in (b"", TO_TORNADO):
        with closing(socket.create_connection(("127.0.0.1", up.port), timeout=10)) as connection:
            connection.sendall(put(up, "/upload/unmodified", way))
            received = b""
            while more := connection.recv(1 << 16):
                received += more

        assert received.startswith(b"HTTP/1.1 304 ")
        assert received.endswith(b"\r\n\r\n")
        assert b"\r\netag: x\r\n" in received.lower() and b"content-length" not in received.lower()


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("crash", "script_failed"),
        ("callout", "coroutine_not_awaited"),
        ("value", "gate_refused"),
        ("framed", "terminate_misused"),
    ],
)
def test_the_request_id_finds_what_the_worker_said(
    up: Installation, name: str, action: str
) -> None:
    record = refused(up, put(up, f"/upload/{name}"), REFUSALS[name][0])
    ids = {key: record[key] for key in ("request_id", "upload_id")}
    [record] = records(up, event_name=action, **ids)

    assert record["event_id"] not in ids.values()
    assert "never awaited" not in "".join(
        line for line in up.log.splitlines() if not line.startswith("{")
    )
    if name == "crash":
        assert record["code.line.number"] == 28 and record["exception.type"] == "KeyError"
        trace = record["exception.stacktrace"]
        assert "gate.yml" in trace and "line 28" in trace


def test_a_rule_of_ours_is_told_too(up: Installation) -> None:
    for way in (b"", TO_TORNADO):
        record = refused(up, put(up, "/upload/a//b", way), 400)

        assert (record["rule"], record["http.response.status_code"]) == ("invalid-path", 400)
        assert "plugin" not in record and "//" in record["reason"] + record["body"]
    record = refused(up, put(up, "/nowhere"), 404)

    assert (record["rule"], record["reason"]) == ("not-found", "nothing is served at this path")


def test_the_ids_of_an_upload_reach_its_event(up: Installation) -> None:
    for way in (b"", TO_TORNADO):
        with closing(socket.create_connection(("127.0.0.1", up.port), timeout=10)) as connection:
            connection.sendall(put(up, "/upload/well", way))
            response = FullResponse(connection)
        assert response.status in {200, 201}
        ids = {
            "request_id": response.headers["X-Request-Id"],
            "upload_id": json.loads(response.all)["upload_id"],
        }
        [access] = records(up, event_name="request", **ids)
        assert "rule" not in access and "reason" not in access
        # Once straight from its commit, and once out of the outbox.
        for attempt in (1, 2):
            [handled] = records(up, body=f"after {attempt} True", **ids)
            assert handled["said"] == list(ids.values())
        [retried] = records(up, event_name="event_retry", request_id=ids["request_id"])
        [delivered] = records(up, event_name="event_delivered", request_id=ids["request_id"])
        assert retried["event_id"] == delivered["event_id"] == ids["upload_id"]


def test_an_event_of_a_route_has_the_id_of_its_request(up: Installation) -> None:
    request = b"GET /asks HTTP/1.1\r\nHost: apigw\r\n\r\n"
    with closing(socket.create_connection(("127.0.0.1", up.port), timeout=10)) as connection:
        connection.sendall(request)
        [(status, body)] = answers(connection, 1)

    assert status == 200
    attempt, request_id, upload_id = json.loads(body)
    assert (attempt, upload_id) == (1, "")
    assert records(up, event_name="request", request_id=request_id)


def test_a_script_of_a_route_that_refuses_is_told(up: Installation) -> None:
    request = b"GET /asks?refuse=1 HTTP/1.1\r\nHost: apigw\r\n\r\n"
    record = refused(up, request, 404)
    names = ("plugin", "code.line.number", "rule", "reason", "http.response.status_code")
    fields = {name: record[name] for name in names}

    assert fields == {
        "plugin": "/asks",
        "code.line.number": 7,
        "rule": "Error",
        "reason": "404 no",
        "http.response.status_code": 404,
    }
