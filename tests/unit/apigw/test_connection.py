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
from tornado.web import Application, RequestHandler

from qmonus_lite.apigw import connection
from qmonus_lite.apigw.accept import GuardedServer, make_server
from qmonus_lite.apigw.access import AccessRecord
from qmonus_lite.apigw.answers import Response
from qmonus_lite.apigw.buffered import BufferedPut, BufferedUploads, ParsedPut
from qmonus_lite.apigw.idle_timeout import IdleTimeout
from qmonus_lite.uploads.record import UploadRecord

#: Seconds that the server of these tests waits for a head.
PATIENCE = 1.0
#: Connections at once.
MOST = 20
#: What Tornado answers.
TORNADO = b"by tornado"


class Recorder(BufferedUploads):
    """Takes what goes to /whole, and waits with the answer as long as it is told to."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        #: How many more are taken.
        self.most = 1000
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.answer = Response(status=201, headers={}, body=b"whole")

    def find(self, put: ParsedPut) -> BufferedPut | None:
        if not put.head.target.startswith("/whole") or not self.most:
            return None
        return BufferedPut(head=put.head, path=put.head.target, query="", values={})

    def begin(self, put: BufferedPut) -> None:
        self.most -= 1

    async def take(
        self, put: BufferedPut, body: bytes, remote: str
    ) -> tuple[Response, AccessRecord]:
        self.taken.append(body)
        await self.may_answer.wait()
        record = UploadRecord(request_id="id")
        access = AccessRecord(
            method="PUT", path=put.path, status=201, seconds=0, peer=remote, record=record
        )
        return self.answer, access


class _Door(RequestHandler):
    async def prepare(self) -> None:
        heads: IdleTimeout = self.settings["heads"]
        heads.came(self.request.server_connection)  # type: ignore[arg-type]

    async def get(self) -> None:
        self.write(TORNADO)

    put = get


@dataclass
class Place:
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
async def serving(send_buffer: int = 0) -> AsyncIterator[Place]:
    whole = Recorder()
    application = Application([(r".*", _Door)], heads=IdleTimeout(PATIENCE), whole=whole)
    server = make_server(application, tls=None, max_connections=MOST, timeout_seconds=30)
    listening, port = bind_unused_port()
    if send_buffer:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    server.add_sockets([listening])
    place = Place(server, port, whole)
    try:
        yield place
    finally:
        for writer in place.writers:
            writer.close()
        server.stop()
        await asyncio.wait_for(server.close_all_connections(), 10)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with serving() as place:
        yield place


def put(path: str, body: bytes = b"x", length: int | None = None) -> bytes:
    length = len(body) if length is None else length
    return f"PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n".encode() + body


async def answer(reader: asyncio.StreamReader) -> bytes:
    """The body of one answer."""
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).lower()
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return await asyncio.wait_for(reader.readexactly(length), 10)


async def ended(reader: asyncio.StreamReader) -> bool:
    return await asyncio.wait_for(reader.read(), 10 * PATIENCE) == b""


async def nobody_left(place: Place) -> None:
    """All connections have ended, well before anybody's patience does."""
    for _ in range(50):
        if not place.server._connections:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{len(place.server._connections)} connections are still there")


async def test_turns_change_as_often_as_the_requests_do(place: Place) -> None:
    reader, writer = await place.connect()
    for number in range(3):
        writer.write(put("/whole", b"%d" % number))
        assert await answer(reader) == b"whole"
        writer.write(put("/other"))
        assert await answer(reader) == TORNADO
        for piece in (b"GET / HTTP/1.1\r\n", b"Host: a\r\n\r\n"):
            writer.write(piece)
            await asyncio.sleep(0.02)
        assert await answer(reader) == TORNADO

    assert place.whole.taken == [b"0", b"1", b"2"]


async def test_what_stands_behind_a_request_waits_for_its_turn(place: Place) -> None:
    place.whole.may_answer.clear()
    reader, writer = await place.connect()
    writer.write(put("/whole", b"1") + put("/whole", b"2") + put("/other") + put("/whole", b"3"))
    await asyncio.sleep(0.1)
    assert place.whole.taken == [b"1"]
    place.whole.may_answer.set()

    # The last one Tornado had read already.
    assert [await answer(reader) for _ in range(4)] == [b"whole", b"whole", TORNADO, TORNADO]
    assert place.whole.taken == [b"1", b"2"]


async def test_the_rest_of_a_body_is_waited_for_a_moment(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = await place.connect()
    for timeout_seconds, pause, taken in ((10, 0, 1), (10, 0.05, 2), (0.05, 0.2, 2)):
        monkeypatch.setattr(connection, "BODY_WAIT_SECONDS", timeout_seconds)
        writer.write(put("/whole", b"", length=2))
        await writer.drain()
        await asyncio.sleep(pause)
        # The head is there: this connection is no longer one that waits for it.
        assert pause != 0.05 or not place.server.service.heads._waiting
        writer.write(b"ab")
        await answer(reader)
        assert len(place.whole.taken) == taken

    writer.write(put("/whole", b"a"))
    assert await answer(reader) == b"whole"


async def test_a_client_that_leaves_is_noticed_in_either_turn(place: Place) -> None:
    for request in (b"", put("/whole"), put("/other"), put("/whole", b"", 2), b"GET"):
        for _ in range(MOST // 4):
            _, writer = await place.connect()
            writer.write(request)
            await asyncio.sleep(0.01)
            writer.close()
        await nobody_left(place)


@pytest.mark.parametrize("behind", [b"", b"and more"])
async def test_a_client_that_breaks_off_is_noticed_in_either_turn(
    place: Place, caplog: pytest.LogCaptureFixture, behind: bytes
) -> None:
    for request in (b"", put("/whole"), put("/other"), put("/whole", b"", 2), b"GET"):
        for pause in (0, 0.05):
            one = socket.create_connection(("127.0.0.1", place.port))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.sendall(request + behind)
            await asyncio.sleep(pause)
            # A reset, perhaps in the same turn of the loop as the request.
            one.close()
        await nobody_left(place)

    assert not [record for record in caplog.records if record.exc_info]


async def test_the_next_request_does_not_come(place: Place) -> None:
    loop = asyncio.get_running_loop()
    for request in (b"", put("/whole"), put("/other"), put("/whole")[:20]):
        reader, writer = await place.connect()
        writer.write(request)
        if request.endswith(b"x"):
            await answer(reader)
        began = loop.time()

        assert await ended(reader)
        assert loop.time() - began > 0.9 * PATIENCE


async def test_half_a_head_gives_no_time_beyond_that(place: Place) -> None:
    reader, writer = await place.connect()
    waiting = place.server.service.heads._waiting
    while not waiting:
        await asyncio.sleep(0.01)
    began = dict(waiting)
    writer.write(b"P")
    await asyncio.sleep(0.1)

    assert waiting == began
    assert await ended(reader)


async def test_no_more_are_taken_than_there_are_places(place: Place) -> None:
    place.whole.most = 2
    place.whole.may_answer.clear()
    pairs = [await place.connect() for _ in range(MOST)]
    for _, writer in pairs:
        writer.write(put("/whole"))
    await asyncio.sleep(0.2)
    place.whole.may_answer.set()

    said = [await answer(reader) for reader, _ in pairs]
    assert said.count(b"whole") == len(place.whole.taken) == 2
    assert said.count(TORNADO) == MOST - 2


async def test_one_under_way_may_take_its_time(place: Place) -> None:
    place.whole.may_answer.clear()
    reader, writer = await place.connect()
    writer.write(put("/whole"))
    asyncio.get_running_loop().call_later(2.5 * PATIENCE, place.whole.may_answer.set)

    assert await answer(reader) == b"whole"


@pytest.mark.parametrize("closing", [False, True])
async def test_a_client_that_reads_slowly_finds_the_whole_answer(closing: bool) -> None:
    async with serving(send_buffer=4096) as place:
        long = bytes(range(256)) * 8192
        given = Response(status=201, headers={}, body=long)
        place.whole.answer = given.closing() if closing else given
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(slow, ("127.0.0.1", place.port))
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
            assert len(place.whole.taken) == 2
        slow.close()
        await nobody_left(place)


async def test_the_last_answer_of_a_connection_is_read_before_it_ends(place: Place) -> None:
    place.whole.answer = place.whole.answer.closing()
    reader, writer = await place.connect()
    writer.write(put("/whole") + 10 * put("/whole"))

    assert await answer(reader) == b"whole"
    assert await ended(reader)
    assert place.whole.taken == [b"x"]


async def test_all_connections_are_closed_whatever_they_do(place: Place) -> None:
    place.whole.may_answer.clear()
    readers = []
    for request in (b"", put("/whole"), put("/other")[:-1]):
        reader, writer = await place.connect()
        writer.write(request)
        readers.append(reader)
    await asyncio.sleep(0.05)
    closing = asyncio.create_task(place.server.close_all_connections())
    for reader in readers:
        assert await ended(reader)
    # What is under way is not torn away from those who close what it needs.
    assert not closing.done()
    place.whole.may_answer.set()

    await asyncio.wait_for(closing, 10)


async def test_a_connection_that_failed_is_closed_and_logged(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreachable(_stream: object) -> None:
        raise OSError(errno.EHOSTUNREACH, "no way there")

    monkeypatch.setattr(connection, "lingering_close", unreachable)
    place.whole.answer = place.whole.answer.closing()
    reader, writer = await place.connect()
    writer.write(put("/whole"))

    assert await answer(reader) == b"whole"
    await nobody_left(place)
    assert [record.message for record in caplog.records if record.exc_info] == ["connection failed"]
