"""Chunked bodies: the same bytes however they come, and a reason for each that is none."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.iostream import IOStream, StreamClosedError

from qmonus_lite.errors import InvalidFraming
from qmonus_lite.http.chunked import (
    MAX_FRAMING_READ_BYTES,
    MAX_LINE_BYTES,
    MAX_SOURCE_BYTES,
    MAX_SOURCE_CHUNKS,
    ChunkedReader,
    ChunkedSource,
    ChunkParser,
)


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


class Received:
    """A source of bytes that come in pieces."""

    def __init__(self, sent: bytes, cuts: list[int]) -> None:
        ends = sorted({cut % (len(sent) + 1) for cut in cuts} | {len(sent)})
        starts = [0, *ends]
        self._pieces = [sent[start:end] for start, end in zip(starts, ends, strict=False)]

    def read_into(self, buffer: memoryview) -> int:
        while self._pieces and not self._pieces[0]:
            del self._pieces[0]
        if not self._pieces:
            return 0
        count = min(len(buffer), len(self._pieces[0]))
        buffer[:count], self._pieces[0] = self._pieces[0][:count], self._pieces[0][count:]
        return count

    @property
    def rest(self) -> bytes:
        return b"".join(self._pieces)


#: Data, bytes behind the body, and what is wrong with it.
Outcome = tuple[bytes, bytes, str]


async def on_the_loop(sent: bytes, cut: int, max_bytes: int) -> Outcome:
    """What a reader makes of it; without data if anything is wrong."""
    ends = Ends()
    ends.client.sendall(sent[:cut])
    reading = asyncio.create_task(ends.rest(max_bytes))
    await asyncio.sleep(0)
    ends.client.sendall(sent[cut:])
    ends.client.shutdown(socket.SHUT_WR)
    try:
        data = await reading
        return data, await ends.stream.read_until_close(), ""
    except InvalidFraming as error:
        return b"", b"", error.detail
    except StreamClosedError:
        return b"", b"", "closed"
    finally:
        ends.close()


def on_a_thread(sent: bytes, cuts: list[int], room: int) -> Outcome:
    """What a source makes of it, with a buffer of this size."""
    received, parser, buffer = Received(sent, cuts), ChunkParser(), memoryview(bytearray(room))
    data, count = b"", 1
    while count:
        count = 0
        for _ in range(3):
            # Several times: each source ends after some chunks.
            source = ChunkedSource(received, parser)
            while more := source.read_into(buffer):
                data += buffer[:more]
                count += more
    if parser.fault is not None:
        return b"", b"", parser.fault.detail
    return (data, parser.behind + received.rest, "") if parser.ended else (b"", b"", "closed")


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=10),
    st.integers(0, 61),
    st.lists(st.tuples(st.integers(0, 300), st.binary(max_size=3), st.integers(0, 3)), max_size=3),
    st.lists(st.integers(0, 1000), max_size=6),
    st.tuples(st.integers(1, 100), st.integers(1, 100)),
)
def test_the_loop_and_a_thread_read_the_same(
    chunks: list[bytes],
    zeros: int,
    faults: list[tuple[int, bytes, int]],
    cuts: list[int],
    rooms: tuple[int, int],
) -> None:
    sent = encoded(chunks, zeros) + b"next"
    for place, inserted, removed in faults:
        place %= len(sent) + 1
        sent = sent[:place] + inserted + sent[place + removed :]
    cut = cuts[0] % (len(sent) + 1) if cuts else 0

    assert asyncio.run(on_the_loop(sent, cut, rooms[0])) == on_a_thread(sent, cuts, rooms[1])


def test_a_source_of_tiny_chunks_ends_early() -> None:
    received, parser = Received(encoded([b"x"] * 100_000), []), ChunkParser()
    source, buffer = ChunkedSource(received, parser), memoryview(bytearray(512 << 10))
    count = 0
    while more := source.read_into(buffer):
        count += more

    assert MAX_SOURCE_CHUNKS <= count < 10 * MAX_SOURCE_CHUNKS


def test_a_source_gives_no_more_than_is_checked_at_once() -> None:
    chunk = bytes(1 << 20)
    received, parser = Received(encoded([chunk] * 20), []), ChunkParser()
    source, buffer = ChunkedSource(received, parser), memoryview(bytearray(512 << 10))
    count = 0
    while more := source.read_into(buffer):
        count += more

    assert count == MAX_SOURCE_BYTES


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

    first = await ends.chunks.read(64 << 10)
    assert 0 < len(first) <= 1 + MAX_FRAMING_READ_BYTES // len(b"1\r\nx\r\n")
    assert first + await ends.rest() == b"x" * 1000


async def test_a_client_that_leaves_in_a_chunk_is_noticed(ends: Ends) -> None:
    ends.client.sendall(b"5\r\nhel")
    ends.client.close()

    assert await ends.chunks.read(100) == b"hel"
    with pytest.raises(StreamClosedError):
        await ends.chunks.read(100)
