"""Routes: to a backend as they are, or answered by a script; described in OpenAPI."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance.harness import Installation
from tests.acceptance.process import until
from tests.acceptance.servers import Rclone, Sampler

FILES = """\
- authorities: ["{place}"]
  proxy:
    path: /v1/files/{{name}}
  target:
    path: /{{name}}
"""
ANSWERS = """\
- authorities: [127.0.0.1]
  proxy:
    path: /v1/answers/{kind}
    authorization: {auth_mode: none}
  request_forbidden_process: |-
    if request.method != GET:
        raise HTTPError(405)
    if resources["kind"] == "dict":
        return dict(kind="dict")
    if resources["kind"] == "list":
        return [1, 2]
    if resources["kind"] == "text":
        return "text"
    if resources["kind"] == "pair":
        return 202, {"later": True}
    if resources["kind"] == "finish":
        finish({"done": True}, code=207)
    raise Error(409, "no such kind")
"""
ORDERS = """\
- authorities: [127.0.0.1]
  proxy:
    path: /v1/orders
    authorization: {auth_mode: none}
  request_forbidden_process: |-
    return json.loads(request.body)
  spec:
    - command: order
      method: POST
      usage: orders something
      schema:
        request:
          body:
            type: object
            required: [what]
            properties:
              what: {type: string}
              amount: {type: integer, default: 1}
        response:
          normal:
            codes: [200]
"""
#: Blocks its thread, hashes, and computes, for half a second each.
BUSY = """\
- authorities: [127.0.0.1]
  proxy:
    path: /v1/busy
    authorization: {auth_mode: none}
  request_forbidden_process: |-
    import hashlib
    time.sleep(0.5)
    end = time.time() + 0.5
    while time.time() < end:
        hashlib.sha256(bytes(1 << 24)).digest()
    end = time.time() + 0.5
    while time.time() < end:
        pass
    return "done"
"""


@pytest.fixture(scope="module")
def up(shared: Installation) -> Installation:
    """An installation with routes that scripts answer."""
    shared.plugin("answers.yml", ANSWERS)
    shared.plugin("orders.yml", ORDERS)
    shared.plugin("busy.yml", BUSY)
    shared.up()
    return shared


def test_a_route_without_a_script_hands_requests_to_its_backend(
    up: Installation, webdav: Rclone
) -> None:
    up.plugin("files.yml", FILES.format(place=webdav.place))
    until(lambda: up.curl("/v1/files/none").status == 401)
    file = up.file("note", b"a note")

    put = up.upload(file, "/v1/files/a%20note%3F.txt", token=up.token)
    got = up.curl("/v1/files/a%20note%3F.txt", token=up.token)

    assert put.status == 201
    assert (webdav.files / "a note?.txt").read_bytes() == b"a note"
    assert (got.status, got.body) == (200, b"a note")
    assert got.headers["Content-Type"].startswith("text/plain")
    assert got.headers["Last-Modified"]


def test_a_route_answers_502_when_its_backend_is_down(up: Installation, webdav: Rclone) -> None:
    up.plugin("files.yml", FILES.format(place=webdav.place))
    (webdav.files / "note").write_bytes(b"a note")
    until(lambda: up.curl("/v1/files/note", token=up.token).status == 200)

    webdav.end()
    answer = up.curl("/v1/files/note", token=up.token)

    assert answer.status == 502
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["request_id"]


def test_a_route_needs_a_token_unless_it_says_otherwise(up: Installation) -> None:
    up.plugin("files.yml", FILES.format(place="127.0.0.1:9"))
    until(lambda: up.curl("/v1/files/note", token=up.token).status == 502)

    assert up.curl("/v1/files/note").status == 401
    assert up.curl("/v1/answers/text").status == 200


@pytest.mark.parametrize(
    ("kind", "status", "mime", "body"),
    [
        ("dict", 200, "application/json", b'{"kind": "dict"}'),
        ("list", 200, "application/json", b"[1, 2]"),
        ("text", 200, "text/plain; charset=utf-8", b"text"),
        ("pair", 202, "application/json", b'{"later": true}'),
        ("finish", 207, "application/json", b'{"done": true}'),
    ],
)
def test_a_script_answers_with_what_it_gives(
    up: Installation, kind: str, status: int, mime: str, body: bytes
) -> None:
    answer = up.curl(f"/v1/answers/{kind}")

    assert (answer.status, answer.headers["Content-Type"], answer.body) == (status, mime, body)


def test_a_script_answers_with_what_it_raises(up: Installation) -> None:
    assert up.curl("/v1/answers/other").status == 409
    assert up.curl("/v1/answers/dict", "-X", "DELETE").status == 405


@pytest.mark.serial
def test_a_busy_script_holds_up_neither_requests_nor_uploads(up: Installation) -> None:
    file = up.file("large", bytes(16 << 20))

    with ThreadPoolExecutor() as clients, Sampler(up.port) as sampler:
        busy = [clients.submit(up.curl, "/v1/busy") for _ in range(2)]
        stored = up.upload(file, "/upload/large", token=up.token)
        still_busy = not any(future.done() for future in busy)
        answers = [future.result().text for future in busy]

    assert (stored.status, still_busy, answers) == (201, True, ["done", "done"])
    assert sampler.seen.slowest[0].took < 0.1, sampler.seen


def test_a_body_that_the_schema_refuses_is_answered_with_every_fault(up: Installation) -> None:
    answer = up.curl("/v1/orders", "--json", json.dumps({"amount": "many"}))

    assert answer.status == 400
    assert "what" in answer.json["detail"]
    assert "/amount" in answer.json["detail"]


def test_a_script_finds_the_defaults_of_the_schema_in_the_body(up: Installation) -> None:
    answer = up.curl("/v1/orders", "--json", json.dumps({"what": "tea"}))

    assert (answer.status, answer.json) == (200, {"what": "tea", "amount": 1})


def test_openapi_describes_the_routes_and_the_upload_api(up: Installation) -> None:
    answer = up.curl("/-/openapi.json", token=up.token)

    assert answer.json["openapi"].startswith("3.1")
    assert "put" in answer.json["paths"]["/upload/{filepath}"]
    order = answer.json["paths"]["/v1/orders"]["post"]
    assert (order["summary"], order["description"]) == ("order", "orders something")
    assert list(answer.json["paths"]["/v1/orders"]) == ["post"]


def test_openapi_is_for_those_whom_a_role_allows(up: Installation) -> None:
    assert up.curl("/-/openapi.json").status == 401
