"""Chunked bodies: the same bytes however they come, and a reason for each that is none."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.iostream import IOStream, StreamClosedError

from qmonus_lite.errors import InvalidFraming
from qmonus_lite.http.chunked import MAX_CHUNKS_PER_READ, MAX_LINE_BYTES, ChunkedReader


class Ends:
    """A stream of the server, and the client's end."""

    def __init__(self) -> None:
        ours, self.client = socket.socketpair()
        self.stream = IOStream(ours, read_chunk_size=64 << 10)
        self.chunks = ChunkedReader(self.stream)

    async def rest(self, max_bytes: int = 64 << 10) -> bytes:
        found = b""
        async with asyncio.timeout(10):
            while piece := await self.chunks.read(max_bytes):
                assert len(piece) <= max_bytes
                found += piece
        return found

    def close(self) -> None:
        self.stream.close()
        self.client.close()


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    ends = Ends()
    yield ends
    ends.close()


def encoded(chunks: list[bytes], zeros: int = 0) -> bytes:
    lines = [b"%s%X\r\n%b\r\n" % (b"0" * zeros, len(chunk), chunk) for chunk in chunks]
    return b"".join(lines) + b"0\r\n\r\n"


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=10),
    st.integers(0, 20),
    st.integers(1, 50),
    st.data(),
)
def test_the_bytes_are_the_same_however_they_come(
    chunks: list[bytes], zeros: int, max_bytes: int, data: st.DataObject
) -> None:
    sent = encoded(chunks, zeros)
    cut = data.draw(st.integers(0, len(sent)))

    async def exchange() -> tuple[bytes, bytes]:
        ends = Ends()
        ends.client.sendall(sent[:cut])
        reading = asyncio.create_task(ends.rest(max_bytes))
        await asyncio.sleep(0)
        ends.client.sendall(sent[cut:] + b"next")
        found = await reading, await ends.stream.read_bytes(4)
        ends.close()
        return found

    assert asyncio.run(exchange()) == (b"".join(chunks), b"next")


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"z\r\n", "no hexadecimal number"),
        (b"\r\n", "no hexadecimal number"),
        (b"-1\r\n", "no hexadecimal number"),
        (b"0x5\r\n", "no hexadecimal number"),
        (b"5 \r\n", "no hexadecimal number"),
        (b"5\n", "does not end with CRLF"),
        (b"5;a=b\r\n", "extensions"),
        (b"5;" + b"a" * 20 + b'="\n', "extensions"),
        (b"0" * MAX_LINE_BYTES, "longer than 64 bytes"),
        (b"0" * (MAX_LINE_BYTES - 1) + b"\r\n", "longer than 64 bytes"),
        (b"5;" + b"a" * 9000 + b"\r\nhello", "longer than 64 bytes"),
        (b"1" + b"0" * 15 + b"\r\n", "beyond what any file has"),
        (b"1\r\nxy\r\n", "longer than its size"),
        (b"1\r\nx\n\n", "longer than its size"),
        (b"0\r\nA: b\r\n\r\n", "trailer"),
    ],
)
async def test_says_what_is_wrong_with_a_chunk(ends: Ends, sent: bytes, reason: str) -> None:
    ends.client.sendall(encoded([b"good"])[: -len(b"0\r\n\r\n")] + sent)

    with pytest.raises(InvalidFraming, match=reason):
        await ends.rest()
    # A response can be sent.
    assert not ends.stream.closed()


async def test_a_line_may_be_as_long_as_the_limit(ends: Ends) -> None:
    ends.client.sendall(b"5".rjust(MAX_LINE_BYTES - 2, b"0") + b"\r\nhello\r\n0\r\n\r\n")

    assert await ends.rest() == b"hello"


async def test_hands_over_what_has_come_before_it_waits(ends: Ends) -> None:
    ends.client.sendall(b"1\r\na\r\n1\r\nb\r\n")

    async with asyncio.timeout(10):
        assert await ends.chunks.read(100) == b"ab"


async def test_gives_the_loop_its_turn_after_many_small_chunks(ends: Ends) -> None:
    ends.client.sendall(encoded([b"x"] * 1000))

    assert await ends.chunks.read(64 << 10) == b"x" * (MAX_CHUNKS_PER_READ - 1)
    assert len(await ends.rest()) == 1001 - MAX_CHUNKS_PER_READ


async def test_a_client_that_leaves_in_a_chunk_is_noticed(ends: Ends) -> None:
    ends.client.sendall(b"5\r\nhel")
    ends.client.close()

    assert await ends.chunks.read(100) == b"hel"
    with pytest.raises(StreamClosedError):
        await ends.chunks.read(100)
