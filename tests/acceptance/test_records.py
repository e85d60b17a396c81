"""Why: each request is explained by its `X-Request-Id` alone; two gateways and a writer record."""

import json
import re
import socket
from functools import partial
from typing import Any

import pytest

from tests.acceptance.harness import UPLOADED, UPLOADING, Installation
from tests.acceptance.process import until

GATE = f"""\
name: gate
event: {UPLOADING}
script: |-
  async def gate(event, handle):
      if "customer" in event["path"]:
          return await handle.terminate(403, "no such customer")
      if "crash" in event["path"]:
          raise KeyError("canary-" + "in-a-traceback")
"""

DONE = f"""\
name: done
event: {UPLOADED}
script: |-
  async def done(event, handle):
      if "dead" in event["path"]:
          raise Error(503 if handle.attempt == 1 else 422, f"try {{handle.attempt}}")
"""

ROUTE = """\
- authorities: ["127.0.0.1:1"]
  proxy: {path: /orders, authorization: {auth_mode: none}}
  spec:
  - command: order
    method: POST
    usage: orders
    schema: {request: {body: {type: object, required: [count]}}}
  request_forbidden_process: |-
    return "ordered"
"""

ROLES = "- name: upload\n  authorities: [{regex: /upload/, methods: [PUT]}]\n"


@pytest.fixture(scope="module")
def up(shared: Installation) -> Installation:
    for name, text in (("gate", GATE), ("done", DONE), ("route", ROUTE), ("roles", ROLES)):
        shared.plugin(f"{name}.yml", text)
    shared.up("--apigw_processes=2", "--timezone=UTC")
    return shared


def record(up: Installation, wanted: str, state: str) -> dict[str, Any]:
    """The record with an id, once it has this state."""
    found: dict[str, Any] = {}

    def came() -> bool:
        answer = up.curl(f"/-/uploads/{wanted}", token=up.token)
        if answer.status == 200:
            found.update(answer.json)
        return found.get("state") == state

    until(came, report=lambda: f"{found}\n{up.log}")
    return found


def why(up: Installation, wanted: str, *flags: str) -> str:
    ended = up.run("why", wanted, f"--base_dir={up.base}", "--timezone=UTC", *flags)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def place(up: Installation, name: str, line: int) -> dict[str, Any]:
    return {"file": str(up.plugins / f"{name}.yml"), "line": line}


def cut_off(up: Installation) -> None:
    """An upload whose client leaves in the middle of the body."""
    with socket.create_connection(("127.0.0.1", up.port), timeout=10) as plain:
        head = f"PUT /upload/cut HTTP/1.1\r\nHost: a\r\nX-Auth-Token: {up.token}\r\n"
        plain.sendall(f"{head}Content-Length: 200000\r\nExpect: 100-continue\r\n\r\n".encode())
        assert plain.recv(1000).startswith(b"HTTP/1.1 100 ")
        plain.sendall(b"x" * 100_000)


def listed(up: Installation, query: str, token: str | None = None) -> list[dict[str, Any]]:
    answer = up.curl(f"/-/uploads?{query}", token=token or up.token)
    assert answer.status == 200, answer.text
    uploads: list[dict[str, Any]] = answer.json["uploads"]
    return uploads


def known_everywhere(up: Installation, key: str) -> bool:
    logon = ("-X", "POST", "-H", f"X-API-Key: {key}")
    return all(up.curl("/-/logon", *logon).status == 200 for _ in range(6))


def test_every_end_of_a_request_is_explained_by_its_id(up: Installation) -> None:
    body, token = up.file("f", b"content"), up.token
    digest = ("-H", "Repr-Digest: sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:")
    stored = up.upload(body, "/upload/dead?x=query-canary", token=token)
    allowed = up.upload(body, "/upload/fine", token=token)
    refused = up.upload(body, "/upload/customer", token=token)
    crashed = up.upload(body, "/upload/crash", token=token)
    mangled = up.upload(body, "/upload/mangled", *digest, token=token)
    folder = up.upload(body, "/upload/%2e%2e", token=token)
    order = up.curl("/orders", "-H", "Content-Type: application/json", "-d", "{}")
    cut_off(up)

    def of(answer: Any, state: str) -> dict[str, Any]:
        return record(up, answer.headers["X-Request-Id"], state)

    # Both handlers, who they are and how long they took.
    found = of(allowed, "delivered")
    assert (found["path"], found["status"], found["account"]) == ("/upload/fine", 201, "admin")
    [gate], [attempt] = found["handlers"], found["attempts"]
    assert gate.items() >= {"plugin": "gate", **place(up, "gate", 4)}.items()
    [done] = attempt["handlers"]
    assert done.items() >= {"plugin": "done", **place(up, "done", 4)}.items()
    assert re.fullmatch("[0-9a-f]{16}", done["content_hash"])
    assert (attempt["outcome"], attempt["number"]) == ("delivered", 1)
    assert attempt["worker"] == f"http://127.0.0.1:{up.lambda_port}"
    seconds = found["seconds"]
    assert 0 < gate["seconds"] < seconds["decision"] < seconds["total"]
    assert seconds["body"] >= 0 and seconds["publication"] > 0

    # By a plugin: deliberately, and by a crash.
    found = of(refused, "refused")
    assert (found["status"], found["cause"]["reason"]) == (403, "no such customer")
    assert found["cause"].items() >= {"plugin": "gate", **place(up, "gate", 6)}.items()
    assert found["cause"]["content_hash"] == gate["content_hash"]
    cause = of(crashed, "refused")["cause"]
    assert (cause["code"], cause["line"]) == ("KeyError", 8)

    # By a rule, by a digest, by a schema of a route.
    assert of(folder, "refused")["cause"]["code"] == "invalid-path"
    found = of(mangled, "refused")
    assert (found["status"], found["cause"]["code"]) == (422, "digest-mismatch")
    assert found["digest"].startswith("sha-256=ed7002b4")
    found = of(order, "refused")
    assert found["cause"]["code"] == "schema-mismatch" and "count" in found["cause"]["reason"]
    assert "upload_id" not in found and "plugin" not in found["cause"]
    assert found["cause"].items() >= place(up, "route", 7).items()
    assert len(found["cause"]["content_hash"]) == 16

    # Cut off by its client.
    until(lambda: listed(up, "state=cut"))
    [found] = listed(up, "state=cut")
    assert found["path"] == "/upload/cut" and 0 <= found["bytes"] <= 100_000
    assert f"Cut off by its client after {found['bytes']:,} by" in why(up, found["request_id"])

    # Retried, and dead; by request, upload and event id.
    found = of(stored, "dead")
    assert [attempt["outcome"] for attempt in found["attempts"]] == ["retry", "dead"]
    assert found["attempts"][1]["cause"].items() >= place(up, "done", 6).items()
    ids = {name: found[name] for name in ("request_id", "upload_id", "event_id")}
    assert ids["event_id"] == stored.json["event_id"]
    texts = {why(up, wanted) for wanted in ids.values()}
    [text] = texts
    assert text.startswith("Stored at /upload/dead; its event was given up after 2 attempts")
    assert f"{place(up, 'done', 6)['file']}:6  (sha256 " in text and "try 2" in text
    assert json.loads(why(up, ids["upload_id"], "--json"))["records"] == [found]
    assert "query-canary" not in json.dumps(found)
    assert "\x1b" not in text


def test_lists_newest_first_by_pages_and_filters(up: Installation) -> None:
    body = up.file("f", b"content")
    for number in range(5):
        up.upload(body, f"/upload/customer/{number}", token=up.token)
    until(lambda: len(listed(up, "path=/upload/customer/")) == 5)

    first = up.curl("/-/uploads?path=/upload/customer/&limit=3", token=up.token).json
    second = up.curl(
        f"/-/uploads?path=/upload/customer/&limit=3&cursor={first['next']}", token=up.token
    ).json
    assert [len(page["uploads"]) for page in (first, second)] == [3, 2]
    paths = {entry["path"] for entry in (*first["uploads"], *second["uploads"])}
    assert paths == {f"/upload/customer/{number}" for number in range(5)}
    assert "next" not in second
    assert listed(up, "code=terminate&since=2100-01-01T00:00:00Z") == []
    for query in ("state=x", "since=now", "cursor=x", "limit=501"):
        assert up.curl(f"/-/uploads?{query}", token=up.token).status == 400


def test_an_account_sees_its_own_records_without_plugins(up: Installation) -> None:
    keys = {name: up.account(name, "upload") for name in ("kim", "lee")}
    # Both gateways read the accounts in their own time.
    for key in keys.values():
        until(partial(known_everywhere, up, key))
    tokens = {name: up.log_on(key) for name, key in keys.items()}
    body = up.file("f", b"content")
    refused = up.upload(body, "/upload/customer/of-kim", token=tokens["kim"])
    wanted = str(refused.headers["X-Request-Id"])
    assert record(up, wanted, "refused")["account"] == "kim"

    own = up.curl(f"/-/uploads/{wanted}", token=tokens["kim"])
    assert own.status == 200
    assert own.json["cause"] == {"code": "refused-by-plugin", "reason": ""}
    assert "gate" not in own.text and str(up.base) not in own.text
    assert [entry["request_id"] for entry in listed(up, "", tokens["kim"])] == [wanted]
    assert listed(up, "account=lee", tokens["kim"]) == []
    assert up.curl(f"/-/uploads/{wanted}", token=tokens["lee"]).status == 404
    assert up.curl(f"/-/uploads/{wanted}").status == 401
    assert up.curl("/-/uploads?state=lost").status == 401
    assert up.curl("/-/uploads?state=lost", token=up.token).status == 400

    ended = up.run("records", "forget", "--account=kim", f"--base_dir={up.base}")
    assert ended.stdout.startswith("1 record(s) deleted"), ended.stderr
    assert up.curl(f"/-/uploads/{wanted}", token=up.token).status == 404
