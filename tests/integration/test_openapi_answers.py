"""Real answers, held against what the OpenAPI document says of them."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from qmonus_lite.apigw.endpoints import ADMIN, UPLOAD
from qmonus_lite.auth import apikey
from qmonus_lite.schema import Schema
from tests.integration.two_processes import TwoProcesses

NO_EVENT = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A request, and the row and status that answer it."""

    row: str
    path: str
    status: int
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    data: bytes | None = None


def cases(admin: dict[str, str], key: str, ids: "Ids") -> list[Case]:
    """Every answer of every operation, and refusals of each kind of credential."""
    upload, event, replay = "/upload/{filepath}", "/-/events/{id}", "/-/events/{id}/replay"
    wants = {**admin, "Want-Repr-Digest": "sha-256=1", "Content-Type": "text/plain"}
    put: dict[str, Any] = {"row": upload, "method": "PUT", "data": b"x"}
    listing: dict[str, Any] = {"row": "/-/events", "headers": admin}
    post: dict[str, Any] = {"row": replay, "method": "POST", "headers": admin}
    retry = {**post, "row": "/-/events/{id}/retry"}
    drop: dict[str, Any] = {"row": event, "method": "DELETE", "headers": admin}
    record = "/-/uploads/{id}"
    records: dict[str, Any] = {"row": "/-/uploads", "headers": admin}
    logon: dict[str, Any] = {"row": "/-/logon", "path": "/-/logon", "method": "POST"}
    return [
        Case(**put, path="/upload/new", status=201, headers=wants),
        Case(**put, path="/upload/new", status=200, headers=admin),
        Case(**put, path="/upload/new", status=401),
        Case(**put, path="/upload/new", status=412, headers={**admin, "If-None-Match": "*"}),
        Case(**put, path="/upload/a//b", status=400, headers=admin),
        Case(row=upload, path="/upload/new", status=405),
        Case(row="/-/live", path="/-/live", status=200),
        Case(row="/-/ready", path="/-/ready", status=200),
        Case(**logon, status=200, headers={"X-API-Key": key}),
        Case(**logon, status=401),
        Case(row="/-/plugins", path="/-/plugins", status=200, headers=admin),
        Case(row="/-/plugins", path="/-/plugins", status=401),
        Case(row="/-/metrics", path="/-/metrics", status=200, headers=admin),
        Case(row="/-/openapi.json", path="/-/openapi.json", status=200, headers=admin),
        Case(**listing, path="/-/events", status=200),
        Case(**listing, path="/-/events?state=dead", status=200),
        Case(**listing, path="/-/events?state=nonsense", status=400),
        Case(row=event, path=f"/-/events/{ids.dead}", status=200, headers=admin),
        Case(row=event, path=f"/-/events/{NO_EVENT}", status=404, headers=admin),
        Case(**post, path=f"/-/events/{ids.dead}/replay", status=202),
        Case(**post, path=f"/-/events/{NO_EVENT}/replay", status=409),
        Case(**retry, path=f"/-/events/{ids.waiting}/retry", status=202),
        Case(**drop, path=f"/-/events/{ids.dropped}", status=200),
        Case(**retry, path=f"/-/events/{NO_EVENT}/retry", status=409),
        Case(**drop, path=f"/-/events/{NO_EVENT}", status=409),
        Case(**records, path="/-/uploads", status=200),
        Case(**records, path="/-/uploads?limit=0", status=400),
        Case(row="/-/uploads", path="/-/uploads", status=401),
        Case(row=record, path=f"/-/uploads/{ids.dead}", status=200, headers=admin),
        Case(row=record, path=f"/-/uploads/{NO_EVENT}", status=404, headers=admin),
    ]


def mismatches(document: Any, case: Case, content_type: str, body: Any) -> list[str]:
    """How an answer differs from the document."""
    operation = document["paths"][case.row].get(case.method.lower(), {"responses": {}})
    responses = operation["responses"]
    described = responses.get(str(case.status), document["components"]["responses"]["Problem"])
    if "$ref" in described:
        described = document["components"]["responses"]["Problem"]
    schema = described["content"][content_type]["schema"]
    validator = Schema({**schema, "components": document["components"]})
    return [f"{found.pointer}: {found.message}" for found in validator.mismatches(body)]


async def until_logged_on(two: TwoProcesses, key: str) -> None:
    """Add an account with this key, and wait until it is in force."""
    two.put("role.yml", "- {name: r, authorities: []}\n")
    two.put("u.yml", f"- {{username: u, role: r, api_key_hash: '{apikey.digest(key)}'}}\n")
    async with asyncio.timeout(5):
        while (await two.send("POST", "/-/logon", headers={"X-API-Key": key}))[0] != 200:
            await asyncio.sleep(0.05)


async def until_faulty(two: TwoProcesses) -> None:
    """Add a faulty plugin, and wait until it is listed."""
    two.put("broken.yml", "name: [\n")
    async with asyncio.timeout(5):
        while not (await two.send("GET", "/-/plugins", headers=two.admin))[1]["faults"]:
            await asyncio.sleep(0.05)


@dataclass(frozen=True, kw_only=True)
class Ids:
    """Events of an outbox: two that their handler refuses, and one that waits for another."""

    dead: str
    dropped: str
    waiting: str


async def unfinished_events(two: TwoProcesses) -> Ids:
    """Start both processes, and upload files whose events are not delivered."""
    code = "400 if event['path'] < '/upload/c' else 503"
    two.handler("refusing", "APIGW.OnFileUploaded", f"raise Error({code}, 'never')")
    await two.start()
    ids = []
    for name in ("a", "b", "c", "c"):
        _, stored = await two.send("PUT", f"/upload/{name}", data=b"x", headers=two.admin)
        ids.append(str(stored["event_id"]))
    async with asyncio.timeout(5):
        while (await two.send("GET", "/-/events", headers=two.admin))[1]["counts"].get("dead") != 2:
            await asyncio.sleep(0.02)
    return Ids(dead=ids[0], dropped=ids[1], waiting=ids[3])


async def test_every_answer_is_as_the_document_says(two: TwoProcesses) -> None:
    key = apikey.new_key()
    two.handler("late", "Late", "asyncio.sleep(1)")
    ids = await unfinished_events(two)
    await until_logged_on(two, key)
    await until_faulty(two)
    async with asyncio.timeout(5):
        while await two.status("GET", f"/-/uploads/{ids.dead}", headers=two.admin) != 200:
            await asyncio.sleep(0.05)
    tried = cases(two.admin, key, ids)
    document = (await two.send("GET", "/-/openapi.json", headers=two.admin))[1]
    for case in tried:
        async with two.http.request(
            case.method, two.url + case.path, headers=case.headers, data=case.data
        ) as given:
            text = await given.text()
            body: Any = text if given.content_type == "text/plain" else json.loads(text)
            assert given.status == case.status, (case, body)
            assert mismatches(document, case, given.content_type, body) == [], (case, body)
            if given.status >= 400:
                assert body["type"].endswith(f"#{body['code']}")
                assert body["request_id"] == given.headers["X-Request-Id"]

    answered = {(case.row, case.method, case.status) for case in tried if case.status < 400}
    assert answered == {
        (row.path, operation.method, answer.status)
        for row in (UPLOAD, *ADMIN)
        for operation in row.operations
        for answer in operation.answers
    }
