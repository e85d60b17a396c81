"""Connections on which no head comes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from qmonus_lite.http.body import Body
from qmonus_lite.http.request import Request
from qmonus_lite.http.response import Response
from tests.unit.http.server import serve

#: Seconds that the server of these tests waits for a head.
PATIENCE = 1.0


async def wait_and_answer(request: Request, _body: Body) -> Response:
    await asyncio.sleep(float(request.query.partition("=")[2] or 0))
    return Response(status=200, body=b"ok")


@asynccontextmanager
async def client() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a server that waits for its head."""
    async with serve(wait_and_answer, idle_seconds=PATIENCE) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        try:
            yield reader, writer
        finally:
            writer.close()


async def answer(reader: asyncio.StreamReader) -> None:
    """Read one whole answer."""
    assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(2) == b"ok"


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n"], ids=["none", "half"])
async def test_a_head_that_does_not_come_is_not_waited_for(begun: bytes) -> None:
    loop = asyncio.get_running_loop()
    # The time of a connection begins as it is accepted, which is before the client goes on.
    began = loop.time()
    async with client() as (reader, writer):
        writer.write(begun)
        assert await asyncio.wait_for(reader.read(), 10 * PATIENCE) == b""

        assert loop.time() - began >= PATIENCE


async def test_each_request_has_the_whole_time_and_the_next_does_not_come() -> None:
    async with client() as (reader, writer):
        for _ in range(4):
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await answer(reader)
            await asyncio.sleep(PATIENCE / 2)

        assert await asyncio.wait_for(reader.read(), 10 * PATIENCE) == b""


async def test_a_request_under_way_may_take_its_time() -> None:
    async with client() as (reader, writer):
        writer.write(b"GET /?wait=%.1f HTTP/1.1\r\nHost: a\r\n\r\n" % (3 * PATIENCE))
        await asyncio.wait_for(answer(reader), 10 * PATIENCE)
