"""Whose turn it is on a connection: ours, or Tornado's."""

import asyncio
import errno
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from tornado.testing import bind_unused_port

from qmonus_lite.errors import Unavailable
from qmonus_lite.http import connection
from qmonus_lite.http.accept import GuardedServer, make_server
from qmonus_lite.http.body import Body, BufferedBody, discard
from qmonus_lite.http.body_memory import BodyMemory, BufferedBytes
from qmonus_lite.http.body_timeout import BodyRate
from qmonus_lite.http.limits import TrustedProxies
from qmonus_lite.http.pipeline import Pipeline
from qmonus_lite.http.request import Request
from qmonus_lite.http.response import Response
from qmonus_lite.http.state import ServerState
from qmonus_lite.observations import Observers
from qmonus_lite.values import changed

#: Seconds that the server of these tests waits for a head.
PATIENCE = 1.0
#: Connections at once.
MOST = 20
#: What Tornado answers.
TORNADO = b"by tornado"


class Recorder:
    """An endpoint that responds according to who read the request, as late as it is told to."""

    def __init__(self) -> None:
        #: Bodies of the requests that were buffered.
        self.taken: list[bytes] = []
        #: How many buffered requests are answered; the others are refused.
        self.most = 1000
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.answer = Response(status=201, body=b"whole")

    async def handle(self, request: Request, body: Body) -> Response:
        if not isinstance(body, BufferedBody):
            await discard(body, 1 << 30)
            return Response(status=200, body=TORNADO)
        if not self.most:
            raise Unavailable("no more")
        self.most -= 1
        kept = BufferedBytes(BodyMemory())
        await body.copy_to(kept)
        self.taken.append(kept.take())
        await self.may_answer.wait()
        return self.answer


@dataclass
class ServerSetup:
    """A server, and what it gave to us."""

    server: GuardedServer
    port: int
    whole: Recorder
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        return reader, writer


@asynccontextmanager
async def serving(send_buffer: int = 0) -> AsyncIterator[ServerSetup]:
    whole = Recorder()
    state = ServerState(body_rate=BodyRate(stall=30, rate=0), proxies=TrustedProxies())
    server = make_server(
        Pipeline(whole.handle, state, Observers()),
        tls=None,
        max_connections=MOST,
        timeout_seconds=30,
        idle_seconds=PATIENCE,
    )
    listening, port = bind_unused_port()
    if send_buffer:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    server.add_sockets([listening])
    setup = ServerSetup(server, port, whole)
    try:
        yield setup
    finally:
        for writer in setup.writers:
            writer.close()
        server.stop()
        await asyncio.wait_for(server.close_all_connections(), 10)


@pytest.fixture
async def setup() -> AsyncIterator[ServerSetup]:
    async with serving() as setup:
        yield setup


def put(path: str, body: bytes = b"x", length: int | None = None) -> bytes:
    """A PUT; one of another path than /whole has a form that is left to Tornado."""
    length = len(body) if length is None else length
    more = "" if path.startswith("/whole") else "X-Nothing:\r\n"
    head = f"PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{more}\r\n"
    return head.encode() + body


async def answer(reader: asyncio.StreamReader) -> bytes:
    """The body of one answer."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).lower()
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return await asyncio.wait_for(reader.readexactly(length), 10)


async def ended(reader: asyncio.StreamReader) -> bool:
    return await asyncio.wait_for(reader.read(), 10 * PATIENCE) == b""


async def nobody_left(setup: ServerSetup) -> None:
    """All connections have ended, well before anybody's patience does."""
    for _ in range(50):
        if not setup.server.open_connections:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{len(list(setup.server.open_connections))} connections are still there")


async def test_turns_change_as_often_as_the_requests_do(setup: ServerSetup) -> None:
    reader, writer = await setup.connect()
    for number in range(3):
        writer.write(put("/whole", b"%d" % number))
        assert await answer(reader) == b"whole"
        writer.write(put("/other"))
        assert await answer(reader) == TORNADO
        for piece in (b"GET / HTTP/1.1\r\n", b"Host: a\r\n\r\n"):
            writer.write(piece)
            await asyncio.sleep(0.02)
        assert await answer(reader) == TORNADO

    assert setup.whole.taken == [b"0", b"1", b"2"]


async def test_what_stands_behind_a_request_waits_for_its_turn(setup: ServerSetup) -> None:
    setup.whole.may_answer.clear()
    reader, writer = await setup.connect()
    writer.write(put("/whole", b"1") + put("/whole", b"2") + put("/other") + put("/whole", b"3"))
    await asyncio.sleep(0.1)
    assert setup.whole.taken == [b"1"]
    setup.whole.may_answer.set()

    # The last one Tornado had read already.
    assert [await answer(reader) for _ in range(4)] == [b"whole", b"whole", TORNADO, TORNADO]
    assert setup.whole.taken == [b"1", b"2"]


async def test_the_rest_of_a_body_is_waited_for_a_moment(
    setup: ServerSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = await setup.connect()
    for timeout_seconds, pause, taken in ((10, 0, 1), (10, 0.05, 2), (0.05, 0.2, 2)):
        monkeypatch.setattr(connection, "BODY_WAIT_SECONDS", timeout_seconds)
        writer.write(put("/whole", b"", length=2))
        await writer.drain()
        await asyncio.sleep(pause)
        # The head is there: this connection is no longer one that waits for it.
        assert pause != 0.05 or not setup.server.service.idle._waiting
        writer.write(b"ab")
        await answer(reader)
        assert len(setup.whole.taken) == taken

    writer.write(put("/whole", b"a"))
    assert await answer(reader) == b"whole"


async def test_a_client_that_leaves_is_noticed_in_either_turn(setup: ServerSetup) -> None:
    for request in (b"", put("/whole"), put("/other"), put("/whole", b"", 2), b"GET"):
        for _ in range(MOST // 4):
            _, writer = await setup.connect()
            writer.write(request)
            await asyncio.sleep(0.01)
            writer.close()
        await nobody_left(setup)


@pytest.mark.parametrize("behind", [b"", b"and more"])
async def test_a_client_that_breaks_off_is_noticed_in_either_turn(
    setup: ServerSetup, caplog: pytest.LogCaptureFixture, behind: bytes
) -> None:
    for request in (b"", put("/whole"), put("/other"), put("/whole", b"", 2), b"GET"):
        for pause in (0, 0.05):
            client = socket.create_connection(("127.0.0.1", setup.port))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(request + behind)
            await asyncio.sleep(pause)
            # A reset, perhaps in the same turn of the loop as the request.
            client.close()
        await nobody_left(setup)

    assert not [record for record in caplog.records if record.exc_info]


async def test_the_next_request_does_not_come(setup: ServerSetup) -> None:
    loop = asyncio.get_running_loop()
    for request in (b"", put("/whole"), put("/other"), put("/whole")[:20]):
        reader, writer = await setup.connect()
        writer.write(request)
        if request.endswith(b"x"):
            await answer(reader)
        began = loop.time()

        assert await ended(reader)
        assert loop.time() - began > 0.9 * PATIENCE


async def test_half_a_head_gives_no_time_beyond_that(setup: ServerSetup) -> None:
    reader, writer = await setup.connect()
    waiting = setup.server.service.idle._waiting
    while not waiting:
        await asyncio.sleep(0.01)
    began = dict(waiting)
    writer.write(b"P")
    await asyncio.sleep(0.1)

    assert waiting == began
    assert await ended(reader)


async def test_a_refusal_is_sent_as_any_other_response(setup: ServerSetup) -> None:
    setup.whole.most = 2
    setup.whole.may_answer.clear()
    pairs = [await setup.connect() for _ in range(MOST)]
    for _, writer in pairs:
        writer.write(put("/whole"))
    await asyncio.sleep(0.2)
    setup.whole.may_answer.set()

    said = [await answer(reader) for reader, _ in pairs]
    assert said.count(b"whole") == len(setup.whole.taken) == 2
    refused = [problem for problem in said if b'"status": 503' in problem]
    assert len(refused) == MOST - 2


async def test_one_under_way_may_take_its_time(setup: ServerSetup) -> None:
    setup.whole.may_answer.clear()
    reader, writer = await setup.connect()
    writer.write(put("/whole"))
    asyncio.get_running_loop().call_later(2.5 * PATIENCE, setup.whole.may_answer.set)

    assert await answer(reader) == b"whole"


@pytest.mark.parametrize("closing", [False, True])
async def test_a_client_that_reads_slowly_finds_the_whole_answer(closing: bool) -> None:
    async with serving(send_buffer=4096) as setup:
        long = bytes(range(256)) * 8192
        given = Response(status=201, body=long)
        setup.whole.answer = changed(given, closes=closing)
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(slow, ("127.0.0.1", setup.port))
        await loop.sock_sendall(slow, put("/whole"))
        came, end = bytearray(), loop.time() + 2 * PATIENCE
        while not came.endswith(long):
            # More slowly than heads are waited for.
            if loop.time() < end:
                await asyncio.sleep(PATIENCE / 10)
            more = await asyncio.wait_for(loop.sock_recv(slow, 65536), 10)
            assert more, len(came)
            came += more
        if not closing:
            await loop.sock_sendall(slow, put("/other"))
            assert TORNADO in await asyncio.wait_for(loop.sock_recv(slow, 65536), 10)
            await loop.sock_sendall(slow, put("/whole"))
            assert await asyncio.wait_for(loop.sock_recv(slow, 65536), 10)
            assert len(setup.whole.taken) == 2
        slow.close()
        await nobody_left(setup)


async def test_the_last_answer_of_a_connection_is_read_before_it_ends(setup: ServerSetup) -> None:
    setup.whole.answer = changed(setup.whole.answer, closes=True)
    reader, writer = await setup.connect()
    writer.write(put("/whole") + 10 * put("/whole"))

    assert await answer(reader) == b"whole"
    assert await ended(reader)
    assert setup.whole.taken == [b"x"]


async def test_all_connections_are_closed_whatever_they_do(setup: ServerSetup) -> None:
    setup.whole.may_answer.clear()
    readers = []
    for request in (b"", put("/whole"), put("/other")[:-1]):
        reader, writer = await setup.connect()
        writer.write(request)
        readers.append(reader)
    await asyncio.sleep(0.05)
    closing = asyncio.create_task(setup.server.close_all_connections())
    for reader in readers:
        assert await ended(reader)
    # What is under way is not torn away from those who close what it needs.
    assert not closing.done()
    setup.whole.may_answer.set()

    await asyncio.wait_for(closing, 10)


async def test_a_connection_that_failed_is_closed_and_logged(
    setup: ServerSetup, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreachable(_stream: object) -> None:
        raise OSError(errno.EHOSTUNREACH, "no way there")

    monkeypatch.setattr(connection, "lingering_close", unreachable)
    setup.whole.answer = changed(setup.whole.answer, closes=True)
    reader, writer = await setup.connect()
    writer.write(put("/whole"))

    assert await answer(reader) == b"whole"
    await nobody_left(setup)
    assert [record.message for record in caplog.records if record.exc_info] == ["connection failed"]
