"""Sources of bytes: sockets, plain and by TLS, and what ends them."""

import asyncio
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tornado.iostream import SSLIOStream, StreamClosedError

from qmonus_lite.http.socket_source import CountedSource, SocketSource
from qmonus_lite.http.tornado_internals import can_detach, detached

ROOM = 256 << 10


class TlsEnds:
    """Both ends of a connection by TLS after the handshake; what the client encrypts is held."""

    def __init__(self, files: tuple[Path, Path]) -> None:
        ours, self.raw = _connected()
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(*files)
        self._received, self._sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl._create_unverified_context()
        self.client = context.wrap_bio(self._received, self._sent)
        handshake = threading.Thread(target=self._shake_hands)
        handshake.start()
        self.ours = server.wrap_socket(ours, server_side=True)
        handshake.join()
        self.ours.setblocking(False)

    def _shake_hands(self) -> None:
        while True:
            try:
                self.client.do_handshake()
            except ssl.SSLWantReadError:
                self.raw.sendall(self._sent.read())
                self._received.write(self.raw.recv(1 << 16))
            else:
                self.raw.sendall(self._sent.read())
                return

    def records(self, data: bytes) -> bytes:
        """What the client sends for these bytes."""
        self.client.write(data)
        return self._sent.read()

    def close_notify(self) -> bytes:
        """What the client sends before it closes."""
        with pytest.raises(ssl.SSLWantReadError):
            self.client.unwrap()
        return self._sent.read()

    def reset(self) -> None:
        """Close the client's socket by RST."""
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.raw.close()


def _connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return server.accept()[0], client


@pytest.fixture
def tls(tls_files: tuple[Path, Path]) -> Iterator[TlsEnds]:
    ends = TlsEnds(tls_files)
    yield ends
    ends.ours.close()
    ends.raw.close()


def taken(source: SocketSource | CountedSource, room: int = ROOM) -> bytes:
    """What one call reads."""
    buffer = bytearray(room)
    return bytes(buffer[: source.read_into(memoryview(buffer))])


def test_reads_until_the_buffer_is_full_or_nothing_is_there() -> None:
    ours, client = _connected()
    with ours, client:
        ours.setblocking(False)
        source = SocketSource(ours)
        client.sendall(b"abcdef")
        assert taken(source, 4) == b"abcd"
        assert taken(source, 4) == b"ef"
        assert taken(source, 4) == b""
        client.sendall(b"abc")
        counted = CountedSource(source, 2)
        assert [taken(counted), taken(counted), counted.left] == [b"ab", b"", 0]
        client.close()
        assert [taken(source), taken(source)] == [b"c", b""]


def test_waits_a_moment_for_the_first_byte() -> None:
    ours, client = _connected()
    with ours, client:
        ours.setblocking(False)
        source, found = SocketSource(ours), b""
        late = threading.Thread(target=client.sendall, args=(b"late",))
        late.start()
        while not found:
            found = taken(source)
        late.join()
        assert found == b"late"


def test_reads_many_records_at_once_also_those_that_are_in_the_tls_object(tls: TlsEnds) -> None:
    content, source = os.urandom(5 * (16 << 10) + 7), SocketSource(tls.ours)
    tls.raw.sendall(tls.records(content))
    time.sleep(0.05)
    first = taken(source, 1000)
    assert tls.ours.pending()

    assert first + taken(source) == content
    assert taken(source) == b""


def test_a_part_of_a_record_gives_nothing_until_the_rest_comes(tls: TlsEnds) -> None:
    record, source = tls.records(b"x" * 1000), SocketSource(tls.ours)
    for byte in record[:-1]:
        tls.raw.send(bytes([byte]))
    assert taken(source) == b""
    tls.raw.send(record[-1:])
    found = b""
    while not found:
        found = taken(source)

    assert found == b"x" * 1000


def close_notify(tls: TlsEnds) -> None:
    tls.raw.sendall(tls.close_notify())


def eof(tls: TlsEnds) -> None:
    tls.raw.close()


def eof_in_a_record(tls: TlsEnds) -> None:
    tls.raw.sendall(tls.records(b"cut off")[:-1])
    tls.raw.close()


def reset_in_a_record(tls: TlsEnds) -> None:
    tls.raw.sendall(tls.records(b"cut off")[:-1])
    tls.reset()


def broken_record(tls: TlsEnds) -> None:
    record = bytearray(tls.records(b"broken"))
    record[-1] ^= 1
    tls.raw.sendall(record)


def no_tls(tls: TlsEnds) -> None:
    tls.raw.sendall(b"GET / HTTP/1.1\r\n\r\n")


def closed_by_alert(tls: TlsEnds) -> None:
    tls.raw.sendall(b"\x15\x03\x03\x00\x02\x02\x28")


ENDS = [
    *(close_notify, eof, eof_in_a_record, reset_in_a_record),
    *(broken_record, no_tls, closed_by_alert),
]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
async def test_what_ended_a_connection_is_left_to_its_next_reader(
    tls: TlsEnds, end: Callable[[TlsEnds], None]
) -> None:
    stream = SSLIOStream(tls.ours)
    await stream.wait_for_handshake()
    tls.raw.sendall(tls.records(b"before"))
    assert await stream.read_bytes(1) == b"b"
    assert await stream.read_bytes(5) == b"efore"
    assert can_detach(stream)
    tls.raw.sendall(tls.records(b"in the burst"))
    with detached(stream) as connection:
        source = SocketSource(connection)
        assert await asyncio.to_thread(taken, source) == b"in the burst"
        end(tls)
        await asyncio.sleep(0.05)
        assert await asyncio.to_thread(taken, source) == b""
        assert await asyncio.to_thread(taken, source) == b""

    with pytest.raises(OSError) as raised:
        await asyncio.wait_for(stream.read_bytes(1), 5)
    assert stream.closed()
    assert isinstance(raised.value, StreamClosedError | ssl.SSLError | ConnectionError)


async def test_a_stream_that_is_closed_meanwhile_is_closed_afterwards(tls: TlsEnds) -> None:
    stream = SSLIOStream(tls.ours)
    await stream.wait_for_handshake()
    with detached(stream) as connection:
        stream.close()
        tls.raw.sendall(tls.records(b"still read"))
        await asyncio.sleep(0.05)
        assert await asyncio.to_thread(taken, SocketSource(connection)) == b"still read"

    assert connection.fileno() == -1
    tls.raw.settimeout(5)
    while tls.raw.recv(1 << 16):
        pass
