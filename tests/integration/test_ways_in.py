"""One request for each rule, by each way in: the same refusal, the same record, nothing on disk.

A rule without a case fails the first test.
"""

import asyncio
import base64
import errno
import hashlib
import json
import logging
import os
import random
import ssl
from asyncio import StreamWriter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from qmonus_lite import rate_limited_log
from qmonus_lite.apigw import server as apigw_server
from qmonus_lite.apigw.upload_rules import ALL_RULES
from qmonus_lite.auth.gate_depth import GateDepths
from qmonus_lite.errors import BadRequest, PublicationInDoubt, Stage
from qmonus_lite.event_logs.sqlite.event_log import SqliteEventLog
from qmonus_lite.events.log import EventLogFailed
from qmonus_lite.http import framing
from qmonus_lite.http.framing import RequestHead
from qmonus_lite.http.state import ServerState
from qmonus_lite.stores.file.filesystem import Filesystem
from qmonus_lite.uploads.active import ActiveUpload
from qmonus_lite.uploads.completion import Completion
from qmonus_lite.uploads.receipt import Receipt
from qmonus_lite.uploads.store import Condition
from tests.integration.two_processes import TwoProcesses

BODY = b"hello"
#: Chunks that are so many that a thread copies those that follow.
LONG_BEGINNING = 12 * (b"fde8\r\n" + bytes(65_000) + b"\r\n")
#: Header fields that each response has its own of, or that depend on the text of a problem.
OWN = {"date", "x-request-id", "content-length"}
WRONG = base64.b64encode(bytes(32)).decode()
RIGHT = base64.b64encode(hashlib.sha256(BODY).digest()).decode()


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A PUT before it is put into bytes."""

    method: str = "PUT"
    target: str = "/upload/x"
    version: str = "HTTP/1.1"
    fields: tuple[str, ...] = ()
    #: Fields that are sent instead of those that tell the length.
    framing: tuple[str, ...] = ()
    #: False for a request without a token.
    token: bool = True
    host: str = "Host: a"
    #: What is sent instead of the body, as it is.
    body: bytes | None = None
    #: Bytes at the end of the body that are not sent.
    withheld: int = 0


#: Makes an operation of the server fail.
Fault = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A request that a rule refuses."""

    sent: Sent = Sent()
    status: int
    code: str
    #: The server that refuses it, of `SERVERS`.
    server: str = "plain"
    #: The ways by which the rule can be broken; all, if empty.
    ways: frozenset[str] = frozenset()
    fault: Fault | None = None
    #: False if there is no request to record, since the connection is refused.
    recorded: bool = True
    #: True if the connection is closed only where the body was not read to its end.
    closes_if_unread: bool = False
    #: True if the bytes are kept, as proof of what became of them.
    keeps_bytes: bool = False


def disk_is_full(patch: pytest.MonkeyPatch) -> None:
    def fail(*_given: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    patch.setattr(Filesystem, "write", fail)


def upload_is_given_up(patch: pytest.MonkeyPatch) -> None:
    commit = ActiveUpload.commit

    async def abort_first(upload: ActiveUpload) -> Receipt:
        await upload.abort()
        return await commit(upload)

    patch.setattr(ActiveUpload, "commit", abort_first)


def file_appears_meanwhile(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Condition, "check", lambda _condition, _exists: None)


def store_cannot_tell(patch: pytest.MonkeyPatch) -> None:
    async def fail(_completion: Completion, _accepted: object) -> None:
        raise PublicationInDoubt

    patch.setattr(Completion, "complete", fail)


def event_log_fails(patch: pytest.MonkeyPatch) -> None:
    def fail(_log: SqliteEventLog, events: Sequence[object]) -> list[EventLogFailed]:
        return [EventLogFailed("the disk failed") for _ in events]

    patch.setattr(SqliteEventLog, "prepare", fail)


#: At least one case for each rule, under its name; others show further problems of a rule.
CASES: dict[str, Case] = {
    "connection-limit": Case(
        status=503, code="connection-limit-reached", server="four connections", recorded=False
    ),
    "version": Case(sent=Sent(version="HTTP/1.9"), status=505, code="http-version-not-supported"),
    "request-line": Case(
        sent=Sent(target="/upload/" + 9000 * "x"), status=414, code="target-too-long"
    ),
    "header-block": Case(sent=Sent(fields=101 * ("X: x",)), status=431, code="head-too-large"),
    "target": Case(sent=Sent(target="/upload/a#b"), status=400, code="invalid-target"),
    "host": Case(sent=Sent(host="Host:"), status=400, code="invalid-target"),
    "transfer-encoding": Case(
        sent=Sent(fields=("Transfer-Encoding: gzip",)), status=400, code="invalid-framing"
    ),
    "content-length": Case(
        sent=Sent(fields=("Content-Length: +5",)), status=400, code="invalid-framing"
    ),
    "expect": Case(sent=Sent(fields=("Expect: 200-ok",)), status=417, code="expectation-failed"),
    "stopping": Case(status=503, code="stopping", server="stopping"),
    "body-size": Case(
        sent=Sent(target="/-/x"),
        status=413,
        code="too-large",
        ways=frozenset({"60 kB", "long"}),
    ),
    "length": Case(sent=Sent(framing=("X-Other: x",)), status=411, code="length-required"),
    "method": Case(sent=Sent(method="POST"), status=405, code="method-not-allowed"),
    "whole-file": Case(
        sent=Sent(fields=("Content-Range: bytes 0-4/9",)),
        status=400,
        code="content-range-not-supported",
    ),
    "upload-limit": Case(status=503, code="upload-limit-reached", server="one upload"),
    "query": Case(sent=Sent(target="/upload/x?a=%ff"), status=400, code="invalid-query"),
    "upload-size": Case(
        status=413,
        code="too-large",
        server="four bytes",
        ways=frozenset(
            {"with its head", "behind its head", "a field without value", "expect", "60 kB", "long"}
        ),
    ),
    "digest-fields": Case(
        sent=Sent(fields=("Repr-Digest: sha-256",)), status=400, code="invalid-digest"
    ),
    "path": Case(sent=Sent(target="/upload/a%2Fb"), status=400, code="invalid-path"),
    "credential-in-query": Case(
        sent=Sent(target="/upload/x?X-Auth-Token=x"), status=400, code="credential-in-query"
    ),
    "file-name": Case(sent=Sent(target="/upload/.."), status=400, code="invalid-path"),
    "worker": Case(status=503, code="no-worker", server="no worker"),
    "gate-loop": Case(
        sent=Sent(fields=("X-Qmonus-Lite-Gate-Depth: signed",)),
        status=508,
        code="loop-detected",
        server="handlers",
        fault=lambda patch: patch.setattr(GateDepths, "read", lambda *_: 2),
    ),
    "verdict": Case(sent=Sent(target="/upload/no"), status=451, code="no", server="handlers"),
    "handler-failure": Case(
        sent=Sent(target="/upload/fails"), status=500, code="script-failed", server="handlers"
    ),
    "authorization": Case(sent=Sent(token=False), status=401, code="unauthorized"),
    "authorization, two credentials": Case(
        sent=Sent(token=False, fields=("Authorization: Bearer a, Bearer b",)),
        status=400,
        code="ambiguous-credentials",
    ),
    "chosen-path": Case(
        sent=Sent(target="/upload/elsewhere"), status=502, code="bad-gateway", server="handlers"
    ),
    "limits": Case(
        sent=Sent(target="/upload/unclear"), status=502, code="bad-gateway", server="handlers"
    ),
    "limits, too large": Case(
        sent=Sent(target="/upload/limited"),
        status=413,
        code="too-large",
        server="handlers",
    ),
    "forbidden-path": Case(sent=Sent(target="/upload/link"), status=403, code="forbidden-path"),
    "forbidden-path, a link on the way": Case(
        sent=Sent(target="/upload/link/x"), status=403, code="forbidden"
    ),
    "occupied-path": Case(sent=Sent(target="/upload/dir"), status=409, code="conflict"),
    "precondition": Case(
        sent=Sent(fields=("If-Match: *",)), status=412, code="precondition-failed"
    ),
    "precondition, of a handler": Case(
        sent=Sent(target="/upload/there"),
        status=412,
        code="precondition-failed",
        server="handlers",
    ),
    "free-space": Case(status=507, code="insufficient-storage", server="no space"),
    "body-timeout": Case(
        sent=Sent(withheld=1), status=408, code="request-timeout", server="impatient"
    ),
    **{
        f"{name}{where}": Case(
            sent=Sent(body=begun + body),
            status=400,
            code="invalid-framing",
            ways=frozenset({"chunked"}),
        )
        for where, begun in {"": b"", ", long": LONG_BEGINNING}.items()
        for name, body in {
            "chunks": b"5\r\nhello\r\nz\r\n",
            "chunks, long line": b"5\r\nhello\r\n" + b"0" * 65,
            "chunks, long extension": b"5;" + b"a" * 200 + b"\r\nhello\r\n0\r\n\r\n",
            "chunks, extension": b"5;a=b\r\nhello\r\n0\r\n\r\n",
            "chunks, LF": b"5\nhello\n0\n\n",
            "chunks, no CRLF": b"5\r\nhelloXX0\r\n\r\n",
            "chunks, too large": b"1000000000000000\r\nhello",
            "chunks, trailer": b"5\r\nhello\r\n0\r\nA: b\r\n\r\n",
        }.items()
    },
    "received-size": Case(
        status=413,
        code="too-large",
        server="four bytes",
        ways=frozenset({"chunked", "long, chunked"}),
    ),
    "file-system": Case(
        status=507, code="insufficient-storage", fault=disk_is_full, closes_if_unread=True
    ),
    "given-up": Case(status=503, code="unavailable", fault=upload_is_given_up),
    "digest": Case(
        sent=Sent(fields=(f"Repr-Digest: sha-256=:{WRONG}:",)), status=422, code="digest-mismatch"
    ),
    "event-log": Case(
        status=503, code="event-log-unavailable", server="handlers", fault=event_log_fails
    ),
    "precondition-at-publish": Case(
        sent=Sent(target="/upload/there", fields=("If-None-Match: *",)),
        status=412,
        code="precondition-failed",
        fault=file_appears_meanwhile,
    ),
    "precondition-at-publish, of a handler": Case(
        sent=Sent(target="/upload/there"),
        status=412,
        code="precondition-failed",
        server="handlers",
        fault=file_appears_meanwhile,
    ),
    "in-doubt": Case(
        status=503, code="publication-in-doubt", fault=store_cannot_tell, keeps_bytes=True
    ),
    # No rule: what is no upload.
    "no endpoint": Case(sent=Sent(target="/upload"), status=404, code="not-found"),
}


#: A client that waits for `100 Continue` is refused in these stages without it.
BEFORE_BODY = {Stage.HEAD, Stage.AFTER_VERDICT}
STAGES = {rule.name: rule.stage for rule in ALL_RULES}


def test_every_rule_has_a_case() -> None:
    assert {rule.name for rule in ALL_RULES} - set(CASES) == set()


def test_a_case_shows_a_problem_of_its_rule() -> None:
    for rule in ALL_RULES:
        shown = (CASES[rule.name].status, CASES[rule.name].code)
        listed = [(int(problem.status), problem.code) for problem in rule.problems]
        assert shown in listed or not listed, rule.name


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a request reaches the server."""

    #: Fields that tell the length of a body.
    framing: Callable[[bytes], tuple[str, ...]]
    #: The body in bytes.
    body: Callable[[bytes], bytes] = bytes
    size: int = len(BODY)
    #: Seconds between head and body.
    pause: float = 0
    #: Whether the client sends its body only after `100 Continue`.
    waits: bool = False


def _length(body: bytes) -> tuple[str, ...]:
    return (f"Content-Length: {len(body)}",)


def _chunked(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


def _in_chunks(body: bytes) -> bytes:
    pieces = [body[start : start + 65_000] for start in range(0, len(body), 65_000)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


WAYS = {
    "with its head": Way(framing=_length),
    "behind its head": Way(framing=_length, pause=0.02),
    "a field without value": Way(framing=lambda body: (*_length(body), "X-Nothing:")),
    "expect": Way(framing=lambda body: (*_length(body), "Expect: 100-continue"), waits=True),
    "chunked": Way(framing=lambda _: ("Transfer-Encoding: chunked",), body=_chunked),
    "60 kB": Way(framing=_length, size=60_000),
    "long": Way(framing=_length, size=300_000),
    "long, chunked": Way(
        framing=lambda _: ("Transfer-Encoding: chunked",), body=_in_chunks, size=800_000
    ),
}


async def exchange(
    port: int, way: Way, sent: Sent, token: str, tls: bool
) -> tuple[bytes, bytes, bool]:
    """Head and body of the response to a request, and whether `100 Continue` came before it."""
    context = ssl._create_unverified_context() if tls else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    body = BODY.ljust(way.size, b"x")
    data = way.body(body) if sent.body is None else sent.body
    data = data[: len(data) - sent.withheld]
    fields = [sent.host, *(sent.framing or way.framing(body)), *sent.fields]
    if sent.token:
        fields.append(f"X-Auth-Token: {token}")
    head = "\r\n".join([f"{sent.method} {sent.target} {sent.version}", *fields, "", ""]).encode()
    try:
        async with asyncio.timeout(10):
            writer.write(head if way.pause or way.waits else head + data)
            await asyncio.sleep(way.pause)
            if way.pause:
                writer.write(data)
            response = await reader.readuntil(b"\r\n\r\n")
            invited = response.startswith(b"HTTP/1.1 100 ")
            if invited:
                writer.write(data)
                response = await reader.readuntil(b"\r\n\r\n")
            length = int(response.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            return response, await reader.readexactly(length), invited
    finally:
        writer.close()


class Refusals:
    """Sends requests to an APIGW, and tells what came of each."""

    def __init__(self, two: TwoProcesses, caplog: pytest.LogCaptureFixture, *, tls: bool) -> None:
        self._two = two
        self._caplog = caplog
        self._tls = tls

    async def send(self, way: Way, sent: Sent, *, recorded: bool = True) -> dict[str, object]:
        """Status, code, header fields and access record of a request, and what it left on disk."""
        self._caplog.clear()
        token, before = self._two.admin["X-Auth-Token"], self._files()
        head, body, invited = await exchange(self._two.flags["port"], way, sent, token, self._tls)
        lines = head.decode("latin-1").split("\r\n")[1:-2]
        fields = {name.lower(): value for name, _, value in (li.partition(": ") for li in lines)}
        return {
            "status": int(head.split()[1]),
            "code": json.loads(body).get("code"),
            "fields": {name: value for name, value in fields.items() if name not in OWN},
            "record": await self._record(fields["x-request-id"]) if recorded else {},
            "left": sorted(self._files() - before),
            "invited": invited,
        }

    async def _record(self, request_id: str) -> dict[str, object]:
        while True:
            for record in self._caplog.records:
                values = vars(record)
                if (values.get("action"), values.get("request_id")) == ("request", request_id):
                    names = ("rule", "plugin", "account", "peer")
                    found = {name: values.get(name) for name in names}
                    refused_with = values["status"] if found["rule"] else None
                    return found | {"code": refused_with, "text": record.message}
            await asyncio.sleep(0.01)

    def _files(self) -> set[str]:
        folder: Path = self._two.folder
        return {
            str(path.relative_to(folder))
            for place in ("upload", ".qmonus-lite/staging")
            for path in (folder / place).rglob("*")
        }


async def started(
    two: TwoProcesses,
    caplog: pytest.LogCaptureFixture,
    tls: tuple[Path, Path] | None = None,
    *,
    worker: bool = True,
    **flags: object,
) -> Refusals:
    two.flags |= flags
    if tls:
        two.flags |= {"certfile": tls[0], "keyfile": tls[1]}
    if worker:
        await two.start_worker()
    await two.start_apigw()
    caplog.set_level(logging.INFO)
    refusals = Refusals(two, caplog, tls=bool(tls))
    async with asyncio.timeout(10):
        # Until a worker has answered, uploads are refused.
        probe = replace(CASES["precondition"].sent, fields=("If-Match: *",))
        while worker and (await refusals.send(WAYS["with its head"], probe))["status"] == 503:
            await asyncio.sleep(0.05)
    return refusals


#: Flags of the servers that refuse by a limit.
LIMITS: dict[str, dict[str, object]] = {
    "four connections": {"max_connections": 4},
    "one upload": {"max_uploads": 1},
    "four bytes": {"max_upload_bytes": len(BODY) - 1},
    "no space": {"min_free_bytes": 1 << 60},
    "impatient": {"body_stall_timeout": 0.3},
    "no worker": {"worker": False},
}
SERVERS = ("plain", "stopping", "handlers", *LIMITS)


def place_obstacles(folder: Path) -> None:
    """What stands in the way of some cases."""
    (folder / "upload" / "dir").mkdir(parents=True)
    (folder / "upload" / "there").write_bytes(b"old")
    (folder / "upload" / "link").symlink_to(folder / "upload" / "dir")


def add_handlers(two: TwoProcesses) -> None:
    """Handlers of both events."""
    two.handler(
        "deciding",
        "APIGW.OnFileUploading",
        "if event['path'] == '/upload/no': handle.terminate(451, {'code': 'no'})",
        "if event['path'] == '/upload/elsewhere': event['path'] = '/upload/../x'",
        "if event['path'] == '/upload/fails': raise ValueError",
        "if event['path'] == '/upload/limited': event['limits'] = {'max_bytes': 4}",
        "if event['path'] == '/upload/unclear': event['limits'] = {'max_bytes': '5'}",
        "if event['path'] == '/upload/there': event['limits'] = {'if_exists': 'fail'}",
    )
    two.handler("noting", "APIGW.OnFileUploaded", "pass")


async def hold(two: TwoProcesses, count: int, tls: bool) -> list[StreamWriter]:
    """Connections with an upload each that does not go on."""
    context = ssl._create_unverified_context() if tls else None
    lines = ("PUT /upload/held HTTP/1.1", "Host: a", "Transfer-Encoding: chunked")
    token = f"X-Auth-Token: {two.admin['X-Auth-Token']}"
    held = []
    for _ in range(count):
        _, writer = await asyncio.open_connection("127.0.0.1", two.flags["port"], ssl=context)
        writer.write("\r\n".join([*lines, token, "", ""]).encode())
        held.append(writer)
    return held


async def until_refused(refusals: Refusals, case: Case) -> None:
    """Wait until a case is refused."""
    async with asyncio.timeout(10):
        while True:
            found = await refusals.send(WAYS["with its head"], case.sent, recorded=False)
            if found["code"] == case.code:
                return
            await asyncio.sleep(0.05)


async def check(refusals: Refusals, names: list[str], patch: pytest.MonkeyPatch) -> None:
    """Every case of `names`, by every way."""
    wrong: dict[str, object] = {}
    for name in names:
        case = CASES[name]
        first: dict[str, object] | None = None
        for way_name in case.ways or WAYS:
            with patch.context() as faulty:
                if case.fault is not None:
                    case.fault(faulty)
                found = await refusals.send(WAYS[way_name], case.sent, recorded=case.recorded)
            expected = {"status": case.status, "code": case.code, "left": []}
            if case.keeps_bytes:
                found["left"] = []
            if found.pop("invited") and STAGES.get(name.split(",")[0]) in BEFORE_BODY:
                wrong[f"{name}, {way_name}, 100"] = (True, False)
            if case.closes_if_unread:
                found["fields"].pop("connection", None)  # type: ignore[attr-defined]
            first = first or found
            if found != first or any(found[key] != value for key, value in expected.items()):
                wrong[f"{name}, {way_name}"] = (found, first)
    assert wrong == {}


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("server", SERVERS)
async def test_every_rule_refuses_by_every_way(
    two: TwoProcesses,
    caplog: pytest.LogCaptureFixture,
    tls_files: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    server: str,
    secure: bool,
) -> None:
    states: list[ServerState] = []

    def recorded_state(**given: Any) -> ServerState:
        states.append(ServerState(**given))
        return states[-1]

    monkeypatch.setattr(apigw_server, "ServerState", recorded_state)
    place_obstacles(two.folder)
    if server == "handlers":
        add_handlers(two)
    names = [name for name, case in CASES.items() if case.server == server]
    flags: Any = LIMITS.get(server, {})
    refusals = await started(two, caplog, tls_files if secure else None, **flags)
    held = await hold(two, {"four connections": 4, "one upload": 1}.get(server, 0), secure)
    if held:
        await until_refused(refusals, CASES[names[0]])
    states[0].draining = server == "stopping"

    await check(refusals, names, monkeypatch)

    states[0].draining = False
    for writer in held:
        writer.close()


async def test_a_rule_that_is_added_in_one_place_refuses_by_every_way(
    two: TwoProcesses, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def evil(head: RequestHead) -> None:
        if head.values("x-evil"):
            raise BadRequest("evil")

    monkeypatch.setattr(framing, "_CHECKS", (*framing._CHECKS, evil))
    refusals = await started(two, caplog)
    sent = Sent(fields=("X-Evil: 1",))
    empty = Way(framing=_length, size=0)
    for way in (*WAYS.values(), replace(empty, body=lambda _: b"")):
        found = await refusals.send(way, sent)
        assert (found["status"], found["code"], found["left"]) == (400, "bad-request", [])


WRAPPED = {
    "multipart": ("Content-Type: Multipart/Form-Data; boundary=x",),
    "aws-chunked": ("Content-Encoding: gzip, aws-chunked",),
    "signed": ("X-Amz-Content-SHA256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD",),
}
NOT_WRAPPED = {
    "mixed": ("Content-Type: multipart/mixed; boundary=x",),
    "gzip": ("Content-Encoding: gzip", "X-Amz-Content-SHA256: UNSIGNED-PAYLOAD"),
}


async def test_a_body_in_the_format_of_another_protocol_is_stored_as_sent_and_warned_of(
    two: TwoProcesses, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limited_log, "INTERVAL_SECONDS", 0)
    refusals = await started(two, caplog)
    for name, fields in (WRAPPED | NOT_WRAPPED).items():
        for way in (WAYS["with its head"], WAYS["chunked"]):
            sent = Sent(target=f"/upload/{name}", fields=fields)
            assert (await refusals.send(way, sent))["status"] in {200, 201}
            warned = [record for record in caplog.records if hasattr(record, "path")]
            actions = [(vars(record)["action"], vars(record)["path"]) for record in warned]
            assert (("body_wrapped", f"/upload/{name}") in actions) == (name in WRAPPED)
        assert (two.folder / "upload" / name).read_bytes() == BODY


FIELDS = [
    "If-None-Match: *",
    "If-Match: *",
    'If-Match: "x"',
    "Content-Range: bytes 0-1/2",
    "Want-Repr-Digest: sha-256=1",
    "Repr-Digest: sha-256=:AAAA:",
    f"Repr-Digest: sha-256=:{RIGHT}:",
    f"Content-Digest: sha-256=:{WRONG}:",
    "Content-Type: text/plain",
    "X-Auth-Token: x",
    "Authorization: Bearer x",
    "Connection: keep-alive",
    "Accept: */*",
    "X-Forwarded-For: 1.2.3.4",
]
TARGETS = [
    *("/upload/a", "/upload/a/b", "/upload/a//b", "/upload/%C3%A9", "/upload/%ff", "/upload/a%00"),
    *("/upload/a?x=1&x=2", "/upload/a?x=%ff", "/upload/..", "/upload/", "/none", "/-/x"),
    *("//upload/a", "/upload/.qmonus-lite/x", "/upload/" + 300 * "n", "/-/logon?x"),
]


async def test_generated_requests_are_answered_alike_by_every_way(
    two: TwoProcesses, caplog: pytest.LogCaptureFixture
) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    refusals = await started(two, caplog)
    same_size = [way for way in WAYS.values() if way.size == len(BODY)]
    loop = asyncio.get_running_loop()
    end = loop.time() + 4
    while loop.time() < end:
        fields = tuple(dice.sample(FIELDS, dice.randrange(4)))
        sent = Sent(target=dice.choice(TARGETS), fields=fields, token=dice.random() < 0.8)
        seen = []
        conditional = "If-None-Match: *" in fields or "If-Match: *" in fields
        if conditional:
            # Each way finds what the others do: nothing, also what an earlier request stored.
            _empty(two.folder / "upload")
        for way in same_size:
            found = await refusals.send(way, sent)
            # A file that is replaced is answered 200, a new one 201; both are stored.
            found["status"] = 201 if found["status"] == 200 else found["status"]
            found["record"] = {**found["record"], "text": None}  # type: ignore[dict-item]
            seen.append(found)
            found.pop("left")
            found.pop("invited")
            if conditional:
                _empty(two.folder / "upload")
        assert all(found == seen[0] for found in seen), (seed, sent, seen)


def _empty(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
