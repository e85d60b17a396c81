"""Our own endpoints: their methods, and a readiness that knows of tasks that keep failing."""

import asyncio
import json
import os

import pytest

from qmonus_lite import background, supervisor_channel
from qmonus_lite.auth import apikey
from qmonus_lite.catalog import live
from tests.integration.two_processes import TwoProcesses

METHODS = (
    *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
    # What else comes: of WebDAV, unknown, and names of what Tornado's handlers have.
    *("PROPFIND", "MKCOL", "TRACE", "NONSENSE", "FINISH", "PREPARE", "HEAD_", "REQUEST"),
)
READING, POSTING, UPLOADING = {"GET", "HEAD"}, {"POST"}, {"PUT"}
NO_EVENT = "00000000-0000-0000-0000-000000000000"
#: What each endpoint offers.
ENDPOINTS = {
    "/-/live": READING,
    "/-/ready": READING,
    "/-/openapi.json": READING,
    "/-/plugins": READING,
    "/-/events": READING,
    "/-/events?state=nonsense": READING,
    f"/-/events/{NO_EVENT}": READING | {"DELETE"},
    "/-/uploads": READING,
    "/-/uploads?state=nonsense": READING,
    "/-/uploads/none": READING,
    "/-/logon": POSTING,
    f"/-/events/{NO_EVENT}/retry": POSTING,
    f"/-/events/{NO_EVENT}/replay": POSTING,
    "/upload/a": UPLOADING,
    "/v1/get": READING,
    "/v1/any": READING | {"PUT", "POST", "PATCH", "DELETE", "OPTIONS"},
}
#: Headers that each answer has its own of.
OWN = {"date", "x-request-id"}


async def answer(
    two: TwoProcesses, method: str, path: str, headers: dict[str, str]
) -> tuple[int, dict[str, str], bytes]:
    body = b"x" if method in {"PUT", "POST"} else None
    async with two.http.request(method, two.url + path, headers=headers, data=body) as given:
        found = {name.lower(): value for name, value in given.headers.items()}
        return given.status, found, await given.read()


@pytest.mark.parametrize(
    ("line", "status"),
    [("POST /-/logon", 401), ("GET /-/live", 200), ("GET /-/events", 401), ("PUT /-/x", 404)],
)
async def test_an_endpoint_without_use_for_a_body_does_not_ask_for_it(
    two: TwoProcesses, line: str, status: int
) -> None:
    await two.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", two.flags["port"])
    fields = "Host: a\r\nContent-Length: 9\r\nExpect: 100-continue"
    writer.write(f"{line} HTTP/1.1\r\n{fields}\r\n\r\n".encode())
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    writer.close()

    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"\r\nConnection: close\r\n" in head


async def test_serves_the_methods_that_allow_names_and_no_others(two: TwoProcesses) -> None:
    two.route("/v1/any", "return 'any'", auth_mode="none")
    two.put(
        "get.yml",
        "- authorities: ['127.0.0.1:1']\n  proxy:\n    path: /v1/get\n"
        "    authorization: {auth_mode: none}\n"
        "  spec: [{command: get, method: GET, usage: gets}]\n"
        "  request_forbidden_process: |-\n    return 'get'\n",
    )
    await two.start()
    for path, offered in ENDPOINTS.items():
        for method in METHODS:
            status, headers, _body = await answer(two, method, path, two.admin)
            assert (status == 405) == (method not in offered), (method, path, status)
            assert status != 500, (method, path)
            if status == 405:
                assert set(headers["allow"].split(", ")) == offered, (method, path)
    for path in ("/-/nothing", "/v1/nothing"):
        for method in METHODS:
            assert (await answer(two, method, path, two.admin))[0] == 404, (method, path)


async def test_head_gives_what_get_gives_without_the_body(two: TwoProcesses) -> None:
    two.handler("refusing", "APIGW.OnFileUploaded", "raise Error(400, 'never')")
    await two.start()
    status, stored = await two.send("PUT", "/upload/a", data=b"x", headers=two.admin)
    assert status == 201
    event = f"/-/events/{stored['event_id']}"
    async with asyncio.timeout(5):
        while (await two.send("GET", "/-/events?state=dead", headers=two.admin))[1]["events"] == []:
            await asyncio.sleep(0.02)
    paths = [path for path, offered in ENDPOINTS.items() if offered == READING and "v1" not in path]
    for path in [*paths, event]:
        status, headers, body = await answer(two, "GET", path, two.admin)
        head_status, head_headers, head_body = await answer(two, "HEAD", path, two.admin)

        assert head_status == status
        assert body and head_body == b""
        assert int(head_headers["content-length"]) > 0
        for name in (headers.keys() | head_headers.keys()) - OWN:
            same = headers.get(name) == head_headers.get(name)
            assert same or (name == "content-length" and status >= 400), (path, name)


async def test_head_of_readiness_is_503_while_not_ready(two: TwoProcesses) -> None:
    await two.start_apigw()

    status, headers, body = await answer(two, "HEAD", "/-/ready", {})
    assert (status, body) == (503, b"")
    assert int(headers["content-length"]) > 0


async def test_who_may_get_an_endpoint_may_ask_for_the_head_of_it(two: TwoProcesses) -> None:
    key = apikey.new_key()
    two.put(
        "role.yml",
        "- name: r\n  authorities:\n    - {regex: /-/plugins, methods: [GET]}\n"
        "    - {regex: /-/events, methods: [POST]}\n",
    )
    two.put("u.yml", f"- {{username: u, role: r, api_key_hash: '{apikey.digest(key)}'}}\n")
    await two.start()
    given = (await two.send("POST", "/-/logon", headers={"X-API-Key": key}))[1]
    reader = {"X-Auth-Token": given["token"]}

    assert (await answer(two, "HEAD", "/-/plugins", reader))[0] == 200
    assert (await answer(two, "HEAD", "/-/events", reader))[0] == 403
    assert (await answer(two, "DELETE", "/-/plugins", reader))[0] == 403
    assert (await answer(two, "HEAD", "/-/plugins", {}))[0] == 401


async def test_readiness_names_a_task_that_keeps_failing(
    two: TwoProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "MIN_DELAY_SECONDS", 0.01)
    monkeypatch.setattr(background, "STABLE_AFTER_SECONDS", 0.1)
    closed = os.open(os.devnull, os.O_RDONLY)
    await two.start()
    # What the heartbeat is written to takes nothing: EBADF.
    with monkeypatch.context() as broken:
        broken.setattr(supervisor_channel._notify_pipe, "descriptor", closed)
        async with asyncio.timeout(5):
            while (await two.send("GET", "/-/ready"))[0] == 200:
                await asyncio.sleep(0.02)
        _status, problem = await two.send("GET", "/-/ready")
        assert problem["detail"] == "heartbeat: keeps failing; see the log"
    os.close(closed)

    await two.ready()


async def test_readiness_tells_that_the_plugin_folders_cannot_be_looked_at(
    two: TwoProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    await two.start()
    monkeypatch.setattr(live, "SCAN_TIMEOUT_SECONDS", 0.0)

    status, problem = await two.send("GET", "/-/ready")
    assert (status, "could not be looked at" in problem["detail"]) == (503, True)
    monkeypatch.undo()
    await two.ready()


async def test_an_upload_without_a_name_is_told_that_it_needs_one(two: TwoProcesses) -> None:
    await two.start()

    for path in ("/upload/", "/upload"):
        status, _headers, body = await answer(two, "PUT", path, two.admin)
        assert (status, json.loads(body)["detail"]) == (
            404,
            "nothing is served at this path;"
            " an upload is PUT /upload/{filepath}, with a name in it",
        )
    for method, path in (("PUT", "/uploads/x"), ("GET", "/upload/")):
        _status, _headers, body = await answer(two, method, path, two.admin)
        assert json.loads(body)["detail"] == "nothing is served at this path"
