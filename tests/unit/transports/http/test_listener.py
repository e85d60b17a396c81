"""The listener, on real sockets: small, strict, and never stuck."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from qmonus_lite.transports.http import listener as listener_module
from qmonus_lite.transports.http.codec import (
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    HttpRequest,
    HttpResponse,
)
from qmonus_lite.transports.http.listener import Listener


class EchoListener:
    """A listener that echoes, and connections to it."""

    def __init__(self) -> None:
        self.received: list[HttpRequest] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.listener = Listener(self._answer)
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def _answer(self, message: HttpRequest) -> HttpResponse:
        self.received.append(message)
        await self.hold.wait()
        if message.path == "/fail":
            raise ValueError("hush")
        return HttpResponse(headers={"X-Path": message.path}, body=message.body.upper())

    async def start(self) -> None:
        server = socket.create_server(("127.0.0.1", 0))
        self.port = server.getsockname()[1]
        await self.listener.listen([server])

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(writer)
        return reader, writer

    async def close(self) -> None:
        await self.listener.close()
        for writer in self._writers:
            writer.close()
        await asyncio.sleep(0)


@pytest.fixture
async def echo() -> AsyncIterator[EchoListener]:
    echo = EchoListener()
    await echo.start()
    yield echo
    await echo.close()


def post(body: bytes, path: str = "/x", *, more: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


async def reply(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    async with asyncio.timeout(5):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.split("\r\n")[:-2]
        fields = dict(line.split(": ", 1) for line in lines)
        return first, fields, await reader.readexactly(int(fields["Content-Length"]))


async def ended(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5):
        return await reader.read()


async def test_answers_one_message_after_the_other(echo: EchoListener) -> None:
    reader, writer = await echo.connect()
    for n in range(3):
        writer.write(post(b"body%d" % n, f"/{n}", more="X-Field:  value \r\n"))
        first, fields, body = await reply(reader)

        assert (first, fields["X-Path"], body) == ("HTTP/1.1 200 OK", f"/{n}", b"BODY%d" % n)
    assert echo.received[0].headers["x-field"] == "value"


async def test_takes_a_message_byte_by_byte_and_several_at_once(echo: EchoListener) -> None:
    reader, writer = await echo.connect()
    for byte in post(b"slow"):
        writer.write(bytes([byte]))
        await asyncio.sleep(0)
    assert (await reply(reader))[2] == b"SLOW"

    writer.write(post(b"one") + post(b"two") + post(b""))
    assert [(await reply(reader))[2] for _ in range(3)] == [b"ONE", b"TWO", b""]


async def test_one_connection_waits_for_no_other(echo: EchoListener) -> None:
    echo.hold.clear()
    reader, writer = await echo.connect()
    writer.write(post(b"held"))
    while not echo.received:
        await asyncio.sleep(0.01)
    echo.hold.set()
    echo.hold = asyncio.Event()
    echo.hold.set()
    other_reader, other = await echo.connect()
    other.write(post(b"free"))

    assert (await reply(other_reader))[2] == b"FREE"
    assert (await reply(reader))[2] == b"HELD"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "405"),
        (b"POST /x HTTP/1.0\r\nContent-Length: 0\r\n\r\n", "400"),
        (b"POST /x\r\n\r\n", "400"),
        (b"nonsense\r\n\r\n", "400"),
        (b"\r\n\r\n", "400"),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", "400"),
        (b"POST /x HTTP/1.1\r\n\r\n", "411"),
        (b"POST /x HTTP/1.1\r\nContent-Length: x\r\n\r\n", "411"),
        (b"POST /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "411"),
        (b"POST /x HTTP/1.1\r\nContent-Length: +1\r\n\r\n", "411"),
        (b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "411"),
        (
            b"POST /x HTTP/1.1\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "411",
        ),
        (b"POST /x HTTP/1.1\r\nContent-Length: 0\r\ncontent-length: 5\r\n\r\n", "400"),
        (b"POST /x HTTP/1.1\r\nno colon\r\nContent-Length: 0\r\n\r\n", "400"),
        (f"POST /x HTTP/1.1\r\nContent-Length: {MAX_BODY_BYTES + 1}\r\n\r\n".encode(), "413"),
        (f"POST /x HTTP/1.1\r\nContent-Length: {'9' * 5000}\r\n\r\n".encode(), "413"),
        (b"POST /x HTTP/1.1\r\nX: " + b"y" * MAX_HEAD_BYTES + b"\r\n", "431"),
    ],
)
async def test_refuses_what_no_apigw_of_ours_sends_and_hangs_up(
    echo: EchoListener, sent: bytes, status: str
) -> None:
    reader, writer = await echo.connect()
    writer.write(sent)
    first, _, _ = await reply(reader)

    assert first.startswith(f"HTTP/1.1 {status} ")
    assert await ended(reader) == b""
    assert echo.received == []


async def test_a_message_that_fails_is_500_and_the_next_is_answered(
    echo: EchoListener, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await echo.connect()
    writer.write(post(b"", "/fail"))
    first, _, body = await reply(reader)
    assert (first, body) == ("HTTP/1.1 500 Internal Server Error", b"")
    assert [vars(record)["action"] for record in caplog.records] == ["message_failed"]

    writer.write(post(b"next"))
    assert (await reply(reader))[2] == b"NEXT"


async def test_what_runs_goes_on_when_the_apigw_leaves(echo: EchoListener) -> None:
    echo.hold.clear()
    _, writer = await echo.connect()
    writer.write(post(b"alone"))
    while not echo.received:
        await asyncio.sleep(0.01)
    writer.close()
    await asyncio.sleep(0.05)
    echo.hold.set()
    reader, writer = await echo.connect()
    writer.write(post(b"next"))

    assert (await reply(reader))[2] == b"NEXT"


async def test_a_half_message_is_left_alone_after_a_while(
    echo: EchoListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "IDLE_SECONDS", 0.05)
    reader, writer = await echo.connect()
    writer.write(post(b"whole")[:-1])

    assert await ended(reader) == b""


async def test_a_stop_answers_what_is_under_way_and_hangs_up(echo: EchoListener) -> None:
    idle_reader, idle_writer = await echo.connect()
    idle_writer.write(post(b"idle"))
    await reply(idle_reader)
    echo.hold.clear()
    reader, writer = await echo.connect()
    writer.write(post(b"busy") + post(b"too late"))
    while len(echo.received) < 2:
        await asyncio.sleep(0.01)
    echo.listener.stop()

    assert await ended(idle_reader) == b""
    with pytest.raises(OSError):
        await echo.connect()
    echo.hold.set()
    _, fields, body = await reply(reader)
    assert (body, fields["Connection"]) == (b"BUSY", "close")
    assert await ended(reader) == b""
    assert len(echo.received) == 2


async def test_closing_hangs_up_everywhere(echo: EchoListener) -> None:
    echo.hold.clear()
    reader, writer = await echo.connect()
    writer.write(post(b"busy"))
    while not echo.received:
        await asyncio.sleep(0.01)
    await echo.listener.close()

    assert await ended(reader) == b""
    echo.hold.set()
