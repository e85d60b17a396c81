"""An APIGW and a worker on real sockets, from the request to the event."""

import asyncio
import gc
import hashlib
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from qmonus_lite.auth import apikey
from qmonus_lite.compose.apigw import compose_apigw
from qmonus_lite.errors import BadResource
from qmonus_lite.http import connection
from qmonus_lite.http.request import Request
from qmonus_lite.http.tornado_adapter import StreamHandler
from qmonus_lite.http.tornado_internals import RequestConnection
from qmonus_lite.uploads.active import ActiveUpload
from tests.integration.two_processes import TwoProcesses, events, until

UPLOADING, UPLOADED = "APIGW.OnFileUploading", "APIGW.OnFileUploaded"

#: A field without a value, which no whole upload has.
TO_TORNADO = {"X-Nothing": ""}


def stored(two: TwoProcesses) -> list[str]:
    """Everything in the launch directory but state, plugins and notes."""
    ours = {".qmonus-lite", "plugins"}
    return sorted(
        str(path.relative_to(two.folder))
        for path in two.folder.rglob("*")
        if path.is_file()
        and path.relative_to(two.folder).parts[0] not in ours
        and path.suffix != ".events"
    )


def staged(two: TwoProcesses) -> list[str]:
    return os.listdir(two.folder / ".qmonus-lite" / "staging")


async def test_a_handler_stores_uploads_beside_an_existing_file(two: TwoProcesses) -> None:
    two.handler("beside", UPLOADING, "event['limits'] = {'if_exists': 'rename', 'max_bytes': 9}")
    noted = two.noting("note", UPLOADED)
    await two.start()
    answers = [
        await two.send("PUT", "/upload/a.txt", data=f"hello {number}".encode())
        for number in range(3)
    ]
    status, problem = await two.send("PUT", "/upload/a.txt", data=b"0123456789")
    await until(lambda: len(events(noted)) == 3)

    paths = ["/upload/a.txt", "/upload/a (2).txt", "/upload/a (3).txt"]
    assert [status for status, _ in answers] == [201, 201, 201]
    assert [receipt["path"] for _, receipt in answers] == paths
    assert [receipt.get("renamed") for _, receipt in answers] == [None, True, True]
    assert answers[2][1]["filename"] == "a (3).txt"
    assert (status, problem["code"]) == (413, "too-large")
    assert [event["path"] for event in events(noted)] == paths
    assert {event["filepath"] for event in events(noted)} == {f"{two.folder}{p}" for p in paths}
    texts = {p: (two.folder / p[1:]).read_text() for p in paths}
    assert texts == {path: f"hello {number}" for number, path in enumerate(paths)}


async def test_a_delivered_event_publishes_when_it_ends_well(two: TwoProcesses) -> None:
    made = two.noting("made", "Made")
    two.handler(
        "making",
        UPLOADED,
        "made = await publish('Made', {'path': event['path'], 'try': handle.attempt})",
        "assert len(made) == 36",
        "await publish('Made', {'headers': {'X-Auth-Token': 'secret', 'X-Other': 'x'}})",
        "if handle.attempt == 1: raise Error(503, 'later')",
    )
    await two.start()
    _, receipt = await two.send("PUT", "/upload/a", data=b"x", headers=two.admin)
    await until(lambda: len(events(made)) == 2)
    listing = (await two.send("GET", "/-/events?state=delivered", headers=two.admin))[1]["events"]

    # What the first attempt published is not sent: the second one published it again.
    masked = {"headers": {"X-Auth-Token": "********", "X-Other": "x"}}
    assert events(made) == [{"path": "/upload/a", "try": 2}, masked]
    assert receipt["event_id"] in {event["id"] for event in listing}


async def test_a_route_publishes_durably_and_a_refused_question_does_not(
    two: TwoProcesses,
) -> None:
    made = two.noting("made", "Made")
    two.handler(
        "deciding",
        UPLOADING,
        "await publish('Made', {'from': event['path'], 'upload': handle.upload_id})",
        "if event['path'] == '/upload/no': await handle.terminate(403)",
    )
    two.route(
        "/v1/now", "return {'id': await publish('Made', {'from': 'route'})}", auth_mode="none"
    )
    two.route("/v1/no", "return await publish('APIGW.OnFileUploaded', {})", auth_mode="none")
    two.route("/v1/big", "return await publish('Made', {'x': 300000 * 'x'})", auth_mode="none")
    await two.start()
    status, answer = await two.send("GET", "/v1/now")
    shown = await two.send("GET", f"/-/events/{answer['id']}", headers=two.admin)
    refused = [await two.status("GET", path) for path in ("/v1/no", "/v1/big")]
    assert await two.status("PUT", "/upload/no", data=b"x") == 403
    _, receipt = await two.send("PUT", "/upload/yes", data=b"x")
    await until(lambda: len(events(made)) == 2)

    assert (status, shown[0], refused) == (200, 200, [500, 500])
    said = {"from": "/upload/yes", "upload": receipt["upload_id"]}
    assert events(made) == [{"from": "route"}, said]


async def test_the_local_admin_uploads_and_the_event_follows(two: TwoProcesses) -> None:
    noted = two.noting("note", UPLOADED)
    await two.start()
    status, receipt = await two.send(
        "PUT",
        "/upload/a/b.txt?imageID=1&imageID=2",
        data=b"hello",
        headers={**two.admin, "Content-Type": "text/plain", "X-More": "yes"},
    )
    await until(lambda: events(noted))

    assert (status, receipt["path"], receipt["bytes"]) == (201, "/upload/a/b.txt", 5)
    assert (two.folder / "upload/a/b.txt").read_bytes() == b"hello"
    [event] = events(noted)
    assert event.pop("headers")["X-More"] == "yes"
    assert event == {
        "path": "/upload/a/b.txt",
        "resources": {"filepath": "a/b.txt"},
        "params": {"imageID": ["1", "2"]},
        "address": "127.0.0.1",
        "port": two.flags["port"],
        "filepath": str(two.folder / "upload/a/b.txt"),
        "mime": "text/plain",
        "bytes": 5,
        "account": {"name": "admin", "roles": ["admin"]},
        "length": 5,
    }


async def test_only_what_is_no_whole_upload_goes_through_tornado(
    two: TwoProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    await two.start()
    by_tornado = []

    class Counted(RequestConnection):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            by_tornado.append(self)

    monkeypatch.setattr(connection, "RequestConnection", Counted)
    small = [await two.status("PUT", f"/upload/{n}", data=b"x", headers=two.admin) for n in "ab"]
    assert (small, by_tornado) == ([201, 201], [])

    other = {**two.admin, **TO_TORNADO}
    assert await two.status("PUT", "/upload/c", data=b"x", headers=other) == 201
    assert len(by_tornado) == 1


@pytest.mark.parametrize("way", [{}, TO_TORNADO], ids=["whole", "by Tornado"])
async def test_an_upload_leaves_nothing_to_the_garbage_collector(
    two: TwoProcesses, way: dict[str, str]
) -> None:
    await two.start()
    headers = {**two.admin, **way}
    await two.send("PUT", "/upload/a", data=b"x", headers=headers)
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        await two.send("PUT", "/upload/b", data=b"x", headers=headers)
        gc.collect()
        left = [
            found
            for found in gc.garbage
            if isinstance(found, (StreamHandler, Request, ActiveUpload))
        ]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()

    assert left == []


async def test_a_second_upload_of_a_path_replaces_the_first(two: TwoProcesses) -> None:
    await two.start()
    first = await two.send("PUT", "/upload/a", data=b"one", headers=two.admin)
    second = await two.send("PUT", "/upload/a", data=b"two", headers=two.admin)

    assert (first[0], first[1]["replaced"]) == (201, False)
    assert (second[0], second[1]["replaced"]) == (200, True)
    assert (two.folder / "upload/a").read_text() == "two"


async def test_create_only_is_412_when_it_exists(two: TwoProcesses) -> None:
    await two.start()
    headers = {**two.admin, "If-None-Match": "*"}
    statuses = await asyncio.gather(
        *(two.status("PUT", "/upload/a", data=b"%d" % n, headers=headers) for n in range(6))
    )

    assert sorted(statuses) == [201] + [412] * 5
    assert (two.folder / "upload/a").read_text() == str(statuses.index(201))
    assert staged(two) == []


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_a_large_body_of_unknown_length_arrives_whole(two: TwoProcesses) -> None:
    await two.start()
    parts = [random.randbytes(300_000) for _ in range(12)]
    status, receipt = await two.send("PUT", "/upload/big", data=pieces(*parts), headers=two.admin)

    assert (status, receipt["bytes"]) == (201, 3_600_000)
    content = (two.folder / "upload/big").read_bytes()
    assert hashlib.sha256(content).digest() == hashlib.sha256(b"".join(parts)).digest()


async def test_many_uploads_of_one_path_leave_one_of_them_whole(two: TwoProcesses) -> None:
    noted = two.noting("note", UPLOADED)
    await two.start()
    bodies = [bytes([n]) * (100_000 + n) for n in range(10)]
    await asyncio.gather(
        *(two.send("PUT", "/upload/a", data=body, headers=two.admin) for body in bodies)
    )
    await until(lambda: len(events(noted)) == 10)

    content = (two.folder / "upload/a").read_bytes()
    assert content in bodies
    assert events(noted)[-1]["bytes"] == len(content)


@pytest.mark.parametrize("headers", [{}, {"X-Auth-Token": "nonsense"}])
async def test_nobody_uploads_without_a_credential(
    two: TwoProcesses, headers: dict[str, str]
) -> None:
    await two.start()
    status, problem = await two.send("PUT", "/upload/a", data=b"x" * 100_000, headers=headers)

    assert (status, problem["status"], problem["title"]) == (401, 401, "Unauthorized")
    assert stored(two) == [] and staged(two) == []


async def test_the_handler_of_the_founding_page_decides(two: TwoProcesses) -> None:
    two.handler(
        "gate",
        UPLOADING,
        'if not event.get("X-Auth-Token", None):',
        '    return await handle.terminate(code=401, output="Unauthorized")',
        'event["path"] = "/accountA" + event["path"]',
        'await handle.terminate(code=200, output="Success")',
    )
    noted = two.noting("note", UPLOADED)
    await two.start()
    refused = await two.send("PUT", "/upload/a", data=b"x")
    status, receipt = await two.send("PUT", "/upload/a", data=b"x", headers={"X-Auth-Token": "x"})
    await until(lambda: events(noted))

    assert refused == (401, "Unauthorized")
    assert (status, receipt["path"]) == (201, "/accountA/upload/a")
    assert stored(two) == ["accountA/upload/a"]
    assert events(noted)[0]["filepath"] == str(two.folder / "accountA/upload/a")


@pytest.mark.parametrize(
    "path",
    [
        "'../x'", "'/upload/../../x'", "'/a\\0b'", "'/' + 'a' * 300", "'relative'", "''", "None",
        "5", "'/.qmonus-lite/x'", "'/plugins/x.yml'", "'/plugins'", "'/there'", "'/there/'",
        "'/file/below'", "'/link/x'", "'/link'",
    ],
)  # fmt: skip
async def test_a_path_that_a_plugin_may_not_choose_is_502_and_its_name_is_logged(
    two: TwoProcesses, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    two.handler("mover", UPLOADING, f"event['path'] = {path}")
    (two.folder / "there").mkdir()
    (two.folder / "file").write_text("x")
    (two.folder / "link").symlink_to("/etc")
    await two.start()
    status, problem = await two.send("PUT", "/upload/a", data=b"x")

    assert (status, problem["detail"]) == (502, "a plugin gave a path that cannot be stored")
    assert stored(two) == ["file"] and staged(two) == []
    refused = [record for record in caplog.records if vars(record).get("action") == "path_refused"]
    assert ["mover" in record.getMessage() for record in refused] == [True]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/upload/%2e%2e/x", 400),
        ("/upload/a%00b", 400),
        ("/upload/a//b", 400),
        ("/upload/a%2Fb", 400),
        ("/upload/there", 409),
        ("/upload/there/file/below", 409),
        ("/upload/link", 403),
        ("/upload/link/x", 403),
        ("/other/a", 404),
        ("/-/nothing", 404),
    ],
)
async def test_a_path_that_a_client_may_not_choose_is_its_own_fault(
    two: TwoProcesses, path: str, status: int
) -> None:
    (two.folder / "upload/there").mkdir(parents=True)
    (two.folder / "upload/there/file").write_text("x")
    (two.folder / "upload/link").symlink_to("/etc")
    await two.start()
    target = URL(two.url + path, encoded=True)
    async with two.http.put(target, data=b"x", headers=two.admin) as answer:
        assert answer.status == status
        assert answer.content_type == "application/problem+json"
    assert stored(two) == ["upload/there/file"]


async def test_a_question_without_a_worker_is_503_and_nothing_is_stored(
    two: TwoProcesses,
) -> None:
    two.handler("gate", UPLOADING, "pass")
    await two.start()
    assert await two.stop_worker()
    status, problem = await two.send("PUT", "/upload/a", data=b"x", headers=two.admin)

    assert (status, problem["title"]) == (503, "Service Unavailable")
    assert stored(two) == [] and staged(two) == []
    await two.start_worker()
    await two.ready()
    assert await two.status("PUT", "/upload/a", data=b"x") == 201


async def test_uploads_that_nobody_is_asked_about_go_on_without_a_worker(
    two: TwoProcesses,
) -> None:
    noted = two.noting("note", UPLOADED)
    await two.start()
    assert await two.stop_worker()
    assert await two.status("PUT", "/upload/a", data=b"x", headers=two.admin) == 201
    assert await two.status("PUT", "/upload/b", data=b"x") == 401
    await two.start_worker()
    await until(lambda: events(noted))

    assert [event["path"] for event in events(noted)] == ["/upload/a"]


async def test_an_event_outlives_both_processes(two: TwoProcesses) -> None:
    noted = two.noting("note", UPLOADED)
    await two.start()
    await two.stop_worker()
    await two.send("PUT", "/upload/a", data=b"x", headers=two.admin)
    assert await two.stop_apigw()
    await two.start()
    await until(lambda: events(noted))

    assert [event["path"] for event in events(noted)] == ["/upload/a"]


async def test_a_lambda_plugin_calls_a_route_of_ours_without_a_token(two: TwoProcesses) -> None:
    two.route("/v1/{name}", "return {'by': request.method, 'name': resources['name']}")
    place = two.folder / "answers.events"
    two.handler(
        "caller",
        UPLOADED,
        "answers = []",
        "for path in ('/v1/x', '/v1/日本', '/v1/a b', '/v1/100%25', '/-/plugins'):",
        '    answer = await callout(endpoint="%s:%d" % (event["address"], event["port"]),',
        "                           path=path, method=PUT, body=dict(a=1))",
        "    answers.append([answer.code, answer.body.decode()])",
        f"with open({str(place)!r}, 'a') as f: f.write(json.dumps(answers) + '\\n')",
    )
    await two.start()
    await two.send("PUT", "/upload/a", data=b"x", headers=two.admin)
    await until(lambda: events(place))

    answers: Any = events(place)[0]
    assert [code for code, _ in answers] == [200, 200, 200, 200, 403]
    assert '"name": "100%"' in answers[3][1]
    assert await two.status("PUT", "/v1/x", data=b"") == 401


async def test_a_lambda_plugin_uploads_to_our_own_gateway(two: TwoProcesses) -> None:
    two.handler(
        "again",
        UPLOADED,
        "if 'copy' in event['path']: return",
        "for name in ('copy', '日本 copy', 'copy%25'):",
        "    await callout(path='/upload/' + name, method=PUT, body='copied')",
    )
    await two.start()
    await two.send("PUT", "/upload/a", data=b"x", headers=two.admin)

    await until(lambda: len(stored(two)) == 4)
    assert set(stored(two)) == {
        "upload/a",
        "upload/copy",
        "upload/日本 copy",
        "upload/copy%",
    }


async def test_a_route_publishes_an_event_and_hears_what_became_of_it(two: TwoProcesses) -> None:
    two.handler("adder", "Add", "event['sum'] = event['a'] + event['b']")
    two.handler("teller", "Tell", "await handle.terminate(409, 'no')")
    two.route(
        "/v1/add",
        "made = await lambda_event('Add', {'a': int(parameters['a'][0]), 'b': 1})",
        "told = await lambda_event('Tell', {})",
        "return [made.event.sum, told.code, told.output]",
        auth_mode="none",
    )
    await two.start()
    answers = await asyncio.gather(*(two.send("GET", f"/v1/add?a={n}") for n in range(8)))

    assert answers == [(200, [n + 1, 409, "no"]) for n in range(8)]
    assert await two.status("PUT", "/upload/a", data=b"x", headers=two.admin) == 201


async def test_a_route_hears_that_no_worker_answers(two: TwoProcesses) -> None:
    two.route("/v1/add", "return await lambda_event('Add', {})", auth_mode="none")
    await two.start()
    await two.stop_worker()
    await asyncio.sleep(0.05)
    status, problem = await two.send("GET", "/v1/add")

    assert (status, problem["detail"]) == (503, "no Lambda worker answers")


async def test_a_plugin_works_as_soon_as_it_is_there(two: TwoProcesses) -> None:
    await two.start()
    two.handler("gate", UPLOADING, "await handle.terminate(418, 'teapot')")
    two.route("/v1/new", "return 'new'", auth_mode="none")

    async with asyncio.timeout(3):
        while await two.status("PUT", "/upload/a", data=b"x") != 418:
            await asyncio.sleep(0.02)
        while await two.status("GET", "/v1/new") != 200:
            await asyncio.sleep(0.02)


async def test_a_faulty_plugin_changes_nothing_and_is_shown(two: TwoProcesses) -> None:
    two.route("/v1/old", "return 'old'", auth_mode="none")
    await two.start()
    two.route("/v1/new", "return 'new'", auth_mode="none")
    text = "name: bad\nevent: E\nscript: |-\n  async def run(event):\n      pass\n"
    bad = two.put("bad.yml", text)

    async with asyncio.timeout(3):
        while not (shown := await two.send("GET", "/-/plugins", headers=two.admin))[1]["faults"]:
            await asyncio.sleep(0.02)
    [fault] = shown[1]["faults"]
    assert (fault["file"], fault["line"], fault["column"]) == (str(bad), 4, 3)
    assert await two.send("GET", "/v1/old") == (200, "old")
    assert await two.status("GET", "/v1/new") == 404
    assert await two.status("GET", "/-/plugins") == 401


async def test_an_account_logs_on_and_is_out_at_once_when_it_goes(two: TwoProcesses) -> None:
    key = apikey.new_key()
    two.put("roles.yml", "- name: r\n  authorities: [{regex: /upload/a, methods: [PUT]}]\n")
    account = two.put(
        "u.yml", f"- {{username: u, role: r, api_key_hash: '{apikey.digest(key)}'}}\n"
    )
    await two.start()
    status, given = await two.send("POST", "/-/logon", headers={"X-API-Key": key})
    headers = {"Authorization": f"Bearer {given['token']}"}

    assert (status, given["username"]) == (200, "u")
    assert await two.status("PUT", "/upload/a1", data=b"x", headers=headers) == 201
    assert await two.status("PUT", "/upload/b", data=b"x", headers=headers) == 403
    assert await two.status("POST", "/-/logon", headers={"X-API-Key": key + "x"}) == 401
    account.write_text("- {username: other}\n")
    async with asyncio.timeout(3):
        while await two.status("PUT", "/upload/a1", data=b"x", headers=headers) != 401:
            await asyncio.sleep(0.02)


async def connect(two: TwoProcesses, head: str) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection("127.0.0.1", two.flags["port"])
    token = two.admin["X-Auth-Token"]
    writer.write(f"{head}Host: h\r\nX-Auth-Token: {token}\r\n\r\n".encode())
    return writer


async def test_a_client_that_leaves_amid_its_body_leaves_no_trace(two: TwoProcesses) -> None:
    await two.start()
    writer = await connect(two, "PUT /upload/a HTTP/1.1\r\nContent-Length: 9000000\r\n")
    writer.write(b"x" * 3_000_000)
    await writer.drain()
    await until(lambda: staged(two))
    writer.close()

    await until(lambda: not staged(two))
    assert stored(two) == []


async def test_a_client_that_leaves_behind_its_body_leaves_all_of_it_or_nothing(
    two: TwoProcesses,
) -> None:
    noted = two.noting("note", UPLOADED)
    await two.start()
    size = 2_500_000
    for n in range(12):
        writer = await connect(two, f"PUT /upload/{n} HTTP/1.1\r\nContent-Length: {size}\r\n")
        writer.write(bytes([n]) * size)
        await writer.drain()
        writer.close()
    await until(lambda: not staged(two))
    await until(lambda: len(events(noted)) == len(stored(two)))

    for name in stored(two):
        content = (two.folder / name).read_bytes()
        assert content == bytes([int(Path(name).name)]) * size
    assert staged(two) == []


async def test_a_stop_lets_an_upload_end(two: TwoProcesses) -> None:
    await two.start()
    writer = await connect(two, "PUT /upload/a HTTP/1.1\r\nContent-Length: 2000000\r\n")
    writer.write(b"x" * 1_500_000)
    await writer.drain()
    await until(lambda: staged(two))
    stopping = asyncio.create_task(two.stop_apigw())
    await asyncio.sleep(0.1)
    assert not stopping.done()
    writer.write(b"x" * 500_000)

    assert await stopping
    assert (two.folder / "upload/a").stat().st_size == 2_000_000
    writer.close()


async def test_a_second_apigw_on_the_same_data_is_refused(two: TwoProcesses) -> None:
    await two.start()
    with pytest.raises(BadResource, match="another APIGW runs on it"):
        compose_apigw(two.settings, {}, print)
