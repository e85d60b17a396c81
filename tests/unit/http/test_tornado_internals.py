"""Each private name of Tornado does what is relied on; a release that changes one fails here."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator

import pytest
from tornado.iostream import IOStream, StreamClosedError

from qmonus_lite.byte_source import ByteSource
from qmonus_lite.http.body import Body, discard
from qmonus_lite.http.request import Request
from qmonus_lite.http.response import Response
from qmonus_lite.http.tornado_internals import (
    can_detach,
    detached,
    stop_watching,
    unread,
    written_bytes,
)
from tests.unit.http.server import serve


class Ends:
    """Tornado's end of a connection, and the client's."""

    def __init__(self) -> None:
        ours, self.client = socket.socketpair()
        self.stream = IOStream(ours, read_chunk_size=64)

    async def read(self) -> bytes:
        return bytes(await asyncio.wait_for(self.stream.read_bytes(64, partial=True), 5))


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    ends = Ends()
    yield ends
    ends.stream.close()
    ends.client.close()


async def waited_once(ends: Ends) -> None:
    """Have Tornado wait for bytes, so that it watches the socket from now on."""
    reading = asyncio.create_task(ends.read())
    await asyncio.sleep(0)
    ends.client.sendall(b"first")
    assert await reading == b"first"


@pytest.mark.parametrize("watched", [False, True])
async def test_what_comes_while_it_is_lent_is_left_to_the_borrower(
    ends: Ends, watched: bool
) -> None:
    if watched:
        await waited_once(ends)
    assert can_detach(ends.stream)
    with detached(ends.stream) as connection:
        ends.client.sendall(b"second")
        await asyncio.sleep(0.05)
        assert connection.recv(100) == b"second"
    ends.client.sendall(b"third")

    assert await ends.read() == b"third"


async def test_tornado_waits_again_afterwards(ends: Ends) -> None:
    await waited_once(ends)
    with detached(ends.stream):
        await asyncio.sleep(0)
    reading = asyncio.create_task(ends.read())
    await asyncio.sleep(0.05)
    ends.client.sendall(b"late")

    assert await reading == b"late"


async def test_a_connection_closed_meanwhile_stays_closed(ends: Ends) -> None:
    await waited_once(ends)
    with detached(ends.stream) as connection:
        ends.stream.close()
        # Still ours: no other file has taken its number.
        ends.client.sendall(b"x")
        assert connection.recv(100) == b"x"

    assert connection.fileno() == -1
    with pytest.raises(StreamClosedError):
        await ends.read()


async def test_a_client_that_goes_while_it_is_lent_is_noticed_afterwards(ends: Ends) -> None:
    await waited_once(ends)
    with detached(ends.stream):
        ends.client.close()
        await asyncio.sleep(0.05)
        assert not ends.stream.closed()

    with pytest.raises(StreamClosedError):
        await ends.read()


async def test_is_not_lent_while_tornado_holds_bytes_of_it(ends: Ends) -> None:
    ends.client.sendall(b"head\r\n\r\nbody")
    assert await ends.stream.read_until(b"\r\n\r\n") == b"head\r\n\r\n"

    assert not can_detach(ends.stream)
    assert await ends.read() == b"body"
    assert can_detach(ends.stream)


async def test_a_stream_that_is_not_watched_reads_again_when_asked_to(ends: Ends) -> None:
    await waited_once(ends)
    stop_watching(ends.stream)
    ends.client.sendall(b"unseen")
    await asyncio.sleep(0.05)
    assert os.read(ends.stream.socket.fileno(), 100) == b"unseen"
    ends.client.sendall(b"seen")

    assert await ends.read() == b"seen"


async def test_bytes_that_are_put_back_are_read_before_what_comes(ends: Ends) -> None:
    ends.client.sendall(b"first second third")
    assert await ends.read() == b"first second third"
    unread(ends.stream, b"third")
    unread(ends.stream, b"second ")
    ends.client.sendall(b" fourth")

    assert not can_detach(ends.stream)
    assert await ends.stream.read_until(b"fourth") == b"second third fourth"


async def test_tells_how_many_bytes_went_to_the_socket(ends: Ends) -> None:
    before = written_bytes(ends.stream)
    pending = ends.stream.write(b"x" * (64 << 20))
    await asyncio.sleep(0.05)
    some = written_bytes(ends.stream) - before
    ends.client.setblocking(False)
    while len(await asyncio.get_running_loop().sock_recv(ends.client, 1 << 20)) == 1 << 20:
        pass
    await asyncio.sleep(0.05)

    assert 0 < some < written_bytes(ends.stream) - before < 64 << 20
    pending.add_done_callback(lambda done: done.exception())


async def respond(request: Request, body: Body) -> Response:
    """Discard the body unless the path is /early, and respond with the fields as received."""
    if request.path != "/early":
        await discard(body, 1 << 30)
    return Response(status=200, body=repr(request.head.fields).encode())


async def exchange(port: int, sent: bytes) -> tuple[bytes, bool]:
    """What comes back, and whether the server then closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
    answer = head + await reader.readexactly(length)
    try:
        closed = await asyncio.wait_for(reader.read(1), 0.3) == b""
    except TimeoutError:
        closed = False
    writer.close()
    return answer, closed


@pytest.mark.parametrize(
    ("value", "last"),
    [("close, x", True), ("x,CLOSE", True), ("close", True), ("closed", False), ("", False)],
)
async def test_finds_close_among_other_words(value: str, last: bool) -> None:
    async with serve(respond) as served:
        sent = f"GET / HTTP/1.1\r\nHost: a\r\nConnection: {value}\r\n\r\n".encode()
        answer, closed = await exchange(served.port, sent)

    assert (b"\r\nConnection: close\r\n" in answer, closed) == (last, last)


async def test_keeps_the_fields_as_they_came() -> None:
    async with serve(respond) as served:
        sent = b"GET / HTTP/1.1\r\nHost: a\r\nexpect: x\r\nX-A: 1\r\nX-A: 2\r\n\r\n"
        answer, _ = await exchange(served.port, sent.replace(b"expect: x", b"expect: 100-continue"))

    assert b"('Expect', '100-continue'), ('X-A', '1'), ('X-A', '2')" in answer


@pytest.mark.parametrize("path", [b"/", b"/early"])
async def test_tornado_sends_no_100_unless_the_body_is_read(path: bytes) -> None:
    async with serve(respond) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        fields = b"Host: a\r\nContent-Length: 2\r\nExpect: 100-continue"
        writer.write(b"PUT %b HTTP/1.1\r\n%b\r\n\r\n" % (path, fields))
        first = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        writer.write(b"ab")
        if path == b"/early":
            assert first.startswith(b"HTTP/1.1 200 ") and b"Connection: close" in first
        else:
            assert first == b"HTTP/1.1 100 (Continue)\r\n\r\n"
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
        writer.close()


async def test_a_client_of_http_1_0_gets_no_100() -> None:
    async with serve(respond) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        head = b"PUT / HTTP/1.0\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue"
        writer.write(head + b"\r\n\r\n")
        await asyncio.sleep(0.05)
        writer.write(b"ab")
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()

    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_body_that_was_read_beside_tornado_is_not_read_again() -> None:
    length = 3 << 20
    content = os.urandom(length)
    came = bytearray()

    class Copying:
        async def write(self, chunk: bytes) -> None:
            came.extend(chunk)

        async def copy_from(self, source: ByteSource) -> int:
            buffer = memoryview(bytearray(100_000))
            count = await asyncio.to_thread(source.read_into, buffer)
            came.extend(buffer[:count])
            return count

    async def copy(_request: Request, body: Body) -> Response:
        await body.copy_to(Copying())
        return Response(status=200, body=b"ok")

    async with serve(copy) as served:
        head = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length
        next_one = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\ny"
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        for _ in range(2):
            writer.write(head + content + next_one)
            for _ in range(2):
                assert b" 200 " in await asyncio.wait_for(reader.readuntil(b"ok"), 10)
        writer.close()

    assert bytes(came) == 2 * (content + b"y")


async def test_open_connections_are_known_and_closed_by_the_server() -> None:
    async with serve(respond) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        while len(list(served.server.open_connections)) != 1:
            await asyncio.sleep(0.01)
        await served.server.close_all_connections()

        assert await asyncio.wait_for(reader.read(1), 10) == b""
        assert list(served.server.open_connections) == []
        writer.close()


async def test_a_client_that_leaves_in_its_body_ends_its_request() -> None:
    async with serve(respond) as served:
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nX-Empty:\r\n\r\nabc")
        while not served.state.active:
            await asyncio.sleep(0.01)
        writer.close()
        async with asyncio.timeout(5):
            while served.state.active or list(served.server.open_connections):
                await asyncio.sleep(0.01)
