"""Lingering close: a client that reads late is told why it was refused; none can stay for ever."""

import asyncio
import contextlib

from tornado.iostream import IOStream

from qmonus_lite.errors import Unauthorized
from qmonus_lite.http.body import Body
from qmonus_lite.http.lingering_close import lingering_close
from qmonus_lite.http.request import Request
from qmonus_lite.http.response import Response
from tests.unit.http.server import serve

MIB = 1 << 20


async def refuse(_request: Request, _body: Body) -> Response:
    raise Unauthorized("no token")


async def test_a_client_that_sends_its_whole_body_first_reads_why_it_was_refused() -> None:
    async with serve(refuse) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (100 * MIB))
        async with asyncio.timeout(20):
            for _ in range(100):
                writer.write(bytes(MIB))
                await writer.drain()
            answer = await reader.read()
        writer.close()

    assert answer.startswith(b"HTTP/1.1 401 ") and b"no token" in answer


async def test_a_client_that_never_stops_sending_is_cut_off() -> None:
    ended = asyncio.Event()

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = IOStream(writer.get_extra_info("socket")._sock.dup())
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await lingering_close(stream, seconds=0.1)
        ended.set()
        writer.transport.abort()

    async with await asyncio.start_server(close, "127.0.0.1", 0) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                while not ended.is_set():
                    writer.write(bytes(MIB))
                    await writer.drain()
        writer.close()

    assert ended.is_set()
