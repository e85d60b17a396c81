"""One request for each rule, by each way in: the same refusal, the same record, nothing on disk.

A rule without a case fails the first test.
"""

import asyncio
import base64
import hashlib
import json
import logging
import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from qmonus_lite.apigw.protocols import put
from qmonus_lite.errors import BadRequest
from qmonus_lite.http import framing
from qmonus_lite.http.framing import RequestHead
from qmonus_lite.uploads import rules
from tests.integration.stage import TwoProcesses

BODY = b"hello"
#: Header fields that each response has its own of, or that depend on the text of a problem.
OWN = {"date", "x-request-id", "content-length"}
WRONG = base64.b64encode(bytes(32)).decode()
RIGHT = base64.b64encode(hashlib.sha256(BODY).digest()).decode()


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A PUT before it is put into bytes."""

    target: str = "/upload/x"
    version: str = "HTTP/1.1"
    fields: tuple[str, ...] = ()
    #: Fields that are sent instead of those that tell the length.
    framing: tuple[str, ...] = ()
    #: False for a request without a token.
    token: bool = True
    host: str = "Host: a"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A request that a rule refuses."""

    sent: Sent
    status: int
    code: str


CASES: dict[str, Case] = {
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
    "whole-file": Case(
        sent=Sent(fields=("Content-Range: bytes 0-4/9",)),
        status=400,
        code="content-range-not-supported",
    ),
    "query": Case(sent=Sent(target="/upload/x?a=%ff"), status=400, code="invalid-query"),
    "upload-size": Case(sent=Sent(target="/upload/large"), status=413, code="too-large"),
    "digest-fields": Case(
        sent=Sent(fields=("Repr-Digest: sha-256",)), status=400, code="invalid-digest"
    ),
    "path": Case(sent=Sent(target="/upload/a%2Fb"), status=400, code="invalid-path"),
    "credential-in-query": Case(
        sent=Sent(target="/upload/x?X-Auth-Token=x"), status=400, code="credential-in-query"
    ),
    "file-name": Case(sent=Sent(target="/upload/.."), status=400, code="invalid-path"),
    # Not in a list, since they need the verdict, the disk or the whole body.
    "authorization": Case(sent=Sent(token=False), status=401, code="unauthorized"),
    "a directory is there": Case(sent=Sent(target="/upload"), status=404, code="not-found"),
    "precondition": Case(
        sent=Sent(fields=("If-Match: *",)), status=412, code="precondition-failed"
    ),
    "digest": Case(
        sent=Sent(fields=(f"Repr-Digest: sha-256=:{WRONG}:",)), status=422, code="digest-mismatch"
    ),
}
#: Cases that need a setting under which every upload is refused.
LIMITED = {"upload-size": {"max_upload_bytes": len(BODY) - 1}}

RULES = [
    *(rule.name for rule in framing.RULES),
    *(rule.name for rule in put.RULES),
    *(rule.name for rule in rules.RULES),
]


def test_every_rule_has_a_case() -> None:
    assert set(RULES) - set(CASES) == set()
    assert len(RULES) == len(set(RULES))


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


WAYS = {
    "with its head": Way(framing=_length),
    "behind its head": Way(framing=_length, pause=0.02),
    "a field without value": Way(framing=lambda body: (*_length(body), "X-Nothing:")),
    "expect": Way(framing=lambda body: (*_length(body), "Expect: 100-continue"), waits=True),
    "chunked": Way(framing=lambda _: ("Transfer-Encoding: chunked",), body=_chunked),
    "60 kB": Way(framing=_length, size=60_000),
    "long": Way(framing=_length, size=300_000),
}


async def exchange(port: int, way: Way, sent: Sent, token: str, tls: bool) -> tuple[bytes, bytes]:
    """Head and body of the response to a request."""
    context = ssl._create_unverified_context() if tls else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    body = BODY.ljust(way.size, b"x")
    fields = [sent.host, *(sent.framing or way.framing(body)), *sent.fields]
    if sent.token:
        fields.append(f"X-Auth-Token: {token}")
    head = "\r\n".join([f"PUT {sent.target} {sent.version}", *fields, "", ""]).encode()
    try:
        async with asyncio.timeout(10):
            writer.write(head if way.pause or way.waits else head + way.body(body))
            await asyncio.sleep(way.pause)
            if way.pause:
                writer.write(way.body(body))
            response = await reader.readuntil(b"\r\n\r\n")
            if response.startswith(b"HTTP/1.1 100 "):
                writer.write(way.body(body))
                response = await reader.readuntil(b"\r\n\r\n")
            length = int(response.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            return response, await reader.readexactly(length)
    finally:
        writer.close()


class Refusals:
    """Sends requests to an APIGW, and tells what came of each."""

    def __init__(self, two: TwoProcesses, caplog: pytest.LogCaptureFixture, *, tls: bool) -> None:
        self._two = two
        self._caplog = caplog
        self._tls = tls

    async def send(self, way: Way, sent: Sent) -> dict[str, object]:
        """Status, code, header fields and access record of a request, and what it left on disk."""
        self._caplog.clear()
        token = self._two.admin["X-Auth-Token"]
        head, body = await exchange(self._two.flags["port"], way, sent, token, self._tls)
        lines = head.decode("latin-1").split("\r\n")[1:-2]
        fields = {name.lower(): value for name, _, value in (li.partition(": ") for li in lines)}
        return {
            "status": int(head.split()[1]),
            "code": json.loads(body).get("code"),
            "fields": {name: value for name, value in fields.items() if name not in OWN},
            "record": await self._record(fields["x-request-id"]),
            "left": self._left(),
        }

    async def _record(self, request_id: str) -> dict[str, object]:
        while True:
            for record in self._caplog.records:
                values = vars(record)
                if (values.get("action"), values.get("request_id")) == ("request", request_id):
                    names = ("code", "rule", "plugin", "account", "peer")
                    return {name: values.get(name) for name in names} | {"text": record.message}
            await asyncio.sleep(0.01)

    def _left(self) -> list[str]:
        folder: Path = self._two.folder
        return sorted(
            str(path.relative_to(folder))
            for place in ("upload", ".qmonus-lite/staging")
            for path in (folder / place).rglob("*")
        )


async def started(
    two: TwoProcesses,
    caplog: pytest.LogCaptureFixture,
    tls: tuple[Path, Path] | None = None,
    **flags: object,
) -> Refusals:
    two.flags |= flags
    if tls:
        two.flags |= {"certfile": tls[0], "keyfile": tls[1]}
    await two.start_worker()
    await two.start_apigw()
    caplog.set_level(logging.INFO)
    refusals = Refusals(two, caplog, tls=bool(tls))
    async with asyncio.timeout(10):
        # Until a worker has answered, uploads are refused.
        probe = replace(CASES["precondition"].sent, fields=("If-Match: *",))
        while (await refusals.send(WAYS["with its head"], probe))["status"] == 503:
            await asyncio.sleep(0.05)
    return refusals


async def check(refusals: Refusals, names: list[str]) -> None:
    """Every case of `names`, by every way.

    A body in chunks shows its size only after its account was read: then records differ in that.
    """
    wrong: dict[str, object] = {}
    for name in names:
        case = CASES[name]
        first: dict[str, object] | None = None
        for way_name, way in WAYS.items():
            found = await refusals.send(way, case.sent)
            if name in LIMITED:
                found["record"] = {**found["record"], "account": None}  # type: ignore[dict-item]
            expected = {"status": case.status, "code": case.code, "left": []}
            first = first or found
            if found != first or any(found[key] != value for key, value in expected.items()):
                wrong[f"{name}, {way_name}"] = (found, first)
    assert wrong == {}


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
async def test_every_rule_refuses_by_every_way(
    two: TwoProcesses,
    caplog: pytest.LogCaptureFixture,
    tls_files: tuple[Path, Path],
    secure: bool,
) -> None:
    refusals = await started(two, caplog, tls_files if secure else None)

    await check(refusals, [name for name in CASES if name not in LIMITED])


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("name", LIMITED)
async def test_a_limit_refuses_by_every_way(
    two: TwoProcesses,
    caplog: pytest.LogCaptureFixture,
    tls_files: tuple[Path, Path],
    secure: bool,
    name: str,
) -> None:
    refusals = await started(two, caplog, tls_files if secure else None, **LIMITED[name])

    await check(refusals, [name])


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
        for way in same_size:
            found = await refusals.send(way, sent)
            # A file that is replaced is answered 200, a new one 201; both are stored.
            found["status"] = 201 if found["status"] == 200 else found["status"]
            found["record"] = {**found["record"], "text": None}  # type: ignore[dict-item]
            seen.append(found)
            found.pop("left")
            if "If-None-Match: *" in fields or "If-Match: *" in fields:
                _empty(two.folder / "upload")
        assert all(found == seen[0] for found in seen), (seed, sent, seen)


def _empty(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
