"""Clients of other protocols than HTTP/1 on a plain port: each is answered at once, and logged."""

import asyncio
import json
import logging
import ssl
import struct

import pytest

from qmonus_lite.http import foreign_protocols
from qmonus_lite.http.body import Body
from qmonus_lite.http.request import Request
from qmonus_lite.http.response import Response
from qmonus_lite.rate_limited_log import RateLimitedLog
from tests.unit.http.server import serve

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\0\0\6\4\0\0\0\0\0" + struct.pack(">HI", 3, 100)
#: `:method: GET` and so on, from the static table.
HEADERS = b"\0\0\3\1\5\0\0\0\1\x82\x86\x84"


@pytest.fixture(autouse=True)
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    log = RateLimitedLog(logging.getLogger(foreign_protocols.__name__))
    monkeypatch.setattr(foreign_protocols, "_rate_limited_log", log)


async def never(_request: Request, _body: Body) -> Response:
    raise AssertionError("no request reaches the pipeline")


async def answer(data: bytes) -> bytes:
    """All that a server sends to these bytes, until it closes the connection."""
    async with serve(never) as served, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(data)
        received = await reader.read()
        writer.close()
        return received


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        vars(record)["protocol"]
        for record in caplog.records
        if vars(record).get("action") == "foreign_protocol"
    ]


@pytest.mark.parametrize(
    "data",
    [b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12)],
)
async def test_the_proxy_protocol_is_400_with_what_to_do(
    caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    head, _, body = (await answer(data)).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 400 ") and b"Connection: close" in head
    assert "switch it off at the balancer" in json.loads(body)["detail"]
    assert logged(caplog) == ["PROXY protocol"]


async def test_tls_is_answered_at_once_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with serve(never) as served, asyncio.timeout(10):
        with pytest.raises(ssl.SSLError, match="(?i)wrong.version.number"):
            await asyncio.open_connection(
                "127.0.0.1", served.port, ssl=ssl.create_default_context(), server_hostname="a"
            )

    assert logged(caplog) == ["TLS"]


async def test_http_2_is_answered_in_its_own_frames(caplog: pytest.LogCaptureFixture) -> None:
    received = await answer(PREFACE + SETTINGS + HEADERS)
    frames = []
    while received:
        length = int.from_bytes(received[:3], "big")
        frames.append((received[3], received[9 : 9 + length]))
        received = received[9 + length :]

    assert [kind for kind, _ in frames] == [4, 4, 1, 0, 7]
    assert b"\x08\x03505" in frames[2][1]
    problem = json.loads(frames[3][1])
    assert (problem["status"], problem["code"]) == (505, "http-version-not-supported")
    assert logged(caplog) == ["HTTP/2"]


@pytest.mark.parametrize(
    "rest", [b"", SETTINGS[:4], b"\xff\xff\xff\4\0\0\0\0\0", b"\0\0\0\0\0\0\0\0\0"]
)
async def test_an_http_2_client_that_asks_nothing_is_closed(
    monkeypatch: pytest.MonkeyPatch, rest: bytes
) -> None:
    monkeypatch.setattr(foreign_protocols, "ANSWER_SECONDS", 0.1)

    assert (await answer(PREFACE + rest)).startswith(b"\0\0\0\4")


@pytest.mark.parametrize(
    "data", [b"", b"P", b"PUT / HTTP/1.1\r\n", b"PRI /x HTTP/1.1\r\n", b"\x16"]
)
def test_what_may_be_http_1_is_none_of_them(data: bytes) -> None:
    assert foreign_protocols.recognize(memoryview(data)) is None
