"""What a stranger who reaches the port of a worker can make it keep, do and write: little."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from qmonus_lite import rate_limited_log
from qmonus_lite.transports.http.codec import MAX_BODY_BYTES, HttpRequest, HttpResponse
from qmonus_lite.transports.http.connection_limits import SMALL_BODY_BYTES, ConnectionLimits
from qmonus_lite.transports.http.listener import Listener
from qmonus_lite.transports.http.signature import Signer
from tests.unit.transports.http.test_listener import EchoListener, ended, post, reply

#: Bytes that a connection may keep beside one message: what is read at once.
BESIDE = 1 << 20


class Known(EchoListener):
    """One that refuses what is sent to /no."""

    max_connections = 3

    def __init__(self) -> None:
        super().__init__()
        self.listener = Listener(self._judge, max_connections=self.max_connections)

    async def _judge(self, message: HttpRequest) -> HttpResponse:
        answer = await self._answer(message)
        return HttpResponse(status=404) if message.path == "/no" else answer

    @property
    def kept(self) -> int:
        """Bytes in the buffers of all connections."""
        return sum(
            vars(connection)["_reader"].pending for connection in self.listener._limits.connections
        )


@pytest.fixture
async def echo() -> AsyncIterator[Known]:
    echo = Known()
    await echo.start()
    yield echo
    await echo.close()


def signed(body: bytes) -> bytes:
    fields = Signer(b"secret").sign("id", body)
    return post(body, more="".join(f"{name}: {value}\r\n" for name, value in fields.items()))


async def until_heard(echo: EchoListener, count: int) -> None:
    async with asyncio.timeout(5):
        while len(echo.received) < count:
            await asyncio.sleep(0.01)


async def test_nothing_is_read_behind_a_message_that_is_under_way(echo: Known) -> None:
    echo.hold.clear()
    _, writer = await echo.connect()
    writer.write(post(b"") * 400_000)
    await until_heard(echo, 1)
    await asyncio.sleep(0.1)

    assert len(echo.received) == 1
    assert echo.kept < BESIDE
    writer.transport.abort()
    echo.hold.set()


async def test_messages_behind_one_another_are_all_answered(echo: Known) -> None:
    reader, writer = await echo.connect()
    writer.write(post(b"x" * 1000) * 3000)
    for _ in range(3000):
        assert (await reply(reader))[2] == b"X" * 1000


async def test_what_came_of_a_message_is_dropped_when_the_client_leaves(echo: Known) -> None:
    _, writer = await echo.connect()
    writer.write(signed(b"x" * MAX_BODY_BYTES)[:-1])
    async with asyncio.timeout(5):
        while echo.kept < MAX_BODY_BYTES - 1:
            await asyncio.sleep(0.01)
    [connection] = echo.listener._limits.connections
    left = echo.listener._limits._left
    writer.transport.abort()
    async with asyncio.timeout(5):
        while echo.listener._limits.connections:
            await asyncio.sleep(0.01)

    assert vars(connection)["_reader"].pending == 0
    assert echo.listener._limits._left == left + MAX_BODY_BYTES


async def test_a_refused_message_ends_its_connection(echo: Known) -> None:
    reader, writer = await echo.connect()
    writer.write(post(b"", "/no") * 1000)
    first, fields, _ = await reply(reader)

    assert (first, fields["Connection"]) == ("HTTP/1.1 404 Not Found", "close")
    with pytest.raises((EOFError, ConnectionError)):
        await reply(reader)
    assert len(echo.received) == 1


async def test_a_connection_that_brought_nothing_makes_way(echo: Known) -> None:
    known_reader, known = await echo.connect()
    known.write(post(b"known"))
    await reply(known_reader)
    idle = [(await echo.connect())[0] for _ in range(10)]
    reader, writer = await echo.connect()
    writer.write(post(b"new"))

    assert (await reply(reader))[2] == b"NEW"
    assert await ended(idle[0]) == b""
    known.write(post(b"again"))
    assert (await reply(known_reader))[2] == b"AGAIN"
    assert len(echo.listener._limits.connections) == echo.max_connections


async def test_one_connection_too_many_is_calls_so(echo: Known) -> None:
    for _ in range(echo.max_connections):
        reader, writer = await echo.connect()
        writer.write(post(b"known"))
        await reply(reader)
    reader, _ = await echo.connect()

    assert (await reply(reader))[0] == "HTTP/1.1 503 Service Unavailable"
    assert await ended(reader) == b""


async def test_a_long_body_is_read_only_behind_a_head_that_is_signed(echo: Known) -> None:
    reader, writer = await echo.connect()
    writer.write(post(b"x" * SMALL_BODY_BYTES))
    assert (await reply(reader))[0] == "HTTP/1.1 200 OK"
    reader, writer = await echo.connect()
    writer.write(post(b"x" * (SMALL_BODY_BYTES + 1))[:200])
    assert (await reply(reader))[0] == "HTTP/1.1 401 Unauthorized"
    assert await ended(reader) == b""

    reader, writer = await echo.connect()
    writer.write(signed(b"x" * MAX_BODY_BYTES))
    assert (await reply(reader))[2] == b"X" * MAX_BODY_BYTES


async def test_long_bodies_of_unknown_clients_wait_for_one_another(echo: Known) -> None:
    room = echo.listener._limits
    assert room.reserve(_Connection(), room._left - MAX_BODY_BYTES)
    first_reader, first = await echo.connect()
    first.write(signed(b"a" * MAX_BODY_BYTES)[:-1])
    await asyncio.sleep(0.1)
    second_reader, second = await echo.connect()
    second.write(signed(b"b" * MAX_BODY_BYTES))
    await asyncio.sleep(0.1)

    assert echo.kept < MAX_BODY_BYTES + BESIDE
    first.write(b"a")
    assert (await reply(first_reader))[2] == b"A" * MAX_BODY_BYTES
    assert (await reply(second_reader))[2] == b"B" * MAX_BODY_BYTES


@dataclass(eq=False)
class _Connection:
    authenticated: bool = False
    busy: bool = False
    calls: list[str] = field(default_factory=list)

    def close(self) -> None:
        self.calls.append("closed")

    def resume(self) -> None:
        self.calls.append("resumed")


def test_who_leaves_the_line_does_not_hold_up_the_next() -> None:
    room, first, long, small = (
        ConnectionLimits(max_connections=9, max_bytes=10),
        *(_Connection(), _Connection(), _Connection()),
    )
    assert room.reserve(first, 6)
    assert not room.reserve(long, 9)
    assert not room.reserve(small, 4)
    room.remove(long)

    assert (long.calls, small.calls) == ([], ["resumed"])


async def test_refusals_are_logged_now_and_then_with_the_number_of_those_left_out(
    echo: Known, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused() -> None:
        reader, writer = await echo.connect()
        writer.write(b"nonsense\r\n\r\n")
        await reply(reader)

    for _ in range(20):
        await refused()
    monkeypatch.setattr(rate_limited_log, "INTERVAL_SECONDS", 0)
    echo.listener._rate_limited_log._next.clear()
    await refused()

    said = [
        vars(record)["held_back"] for record in caplog.records if record.levelno == logging.WARNING
    ]
    assert said == [0, 19]
