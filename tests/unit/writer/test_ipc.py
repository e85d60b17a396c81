"""Framing: whole messages in their order, however the bytes arrive; malformed ones end it."""

import asyncio
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.errors import BadResource
from qmonus_lite.writer.ipc import Frames, connected, listening
from qmonus_lite.writer.messages import MAX_MESSAGE_BYTES, BadMessage


def frame(message: bytes) -> bytes:
    return len(message).to_bytes(4, "big") + message


@given(
    messages=st.lists(st.binary(max_size=50)),
    cuts=st.lists(st.integers(1, 40), min_size=1),
)
def test_messages_arrive_whole_and_in_order(messages: list[bytes], cuts: list[int]) -> None:
    # Views, since a message may be kept while further bytes arrive.
    received: list[memoryview] = []
    frames = Frames(received.append, lambda: None)
    data, at, turn = b"".join(map(frame, messages)), 0, 0
    while at < len(data):
        step = cuts[turn % len(cuts)]
        frames.data_received(data[at : at + step])
        at, turn = at + step, turn + 1

    assert received == messages


async def test_both_ends_talk_and_hear_of_the_end(tmp_path: Path) -> None:
    # Longer than the address of a socket may be.
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    loop = asyncio.get_running_loop()
    received: list[bytes] = []
    lost = asyncio.Event()
    ends: list[Frames] = []

    def end() -> Frames:
        ends.append(Frames(lambda message: ends[0].send(b"heard " + message), lost.set))
        return ends[0]

    server = await loop.create_unix_server(end, sock=listening(folder))
    own = Frames(lambda message: received.append(bytes(message)), lambda: None)
    own.send(b"not connected yet")
    await loop.create_unix_connection(lambda: own, sock=connected(folder))
    own.send(b"one")
    own.send(b"")
    while len(received) < 2:
        await asyncio.sleep(0.01)
    own.close()
    async with asyncio.timeout(5):
        await lost.wait()
    server.close()

    assert received == [b"heard one", b"heard "]


class Malformed:
    """One end of a connection that refuses the message `bad`; the test has the other end."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.lost = asyncio.Event()
        self.frames = Frames(self._receive, self.lost.set)

    def _receive(self, message: memoryview) -> None:
        if bytes(message) == b"bad":
            raise BadMessage("not a valid message")
        self.received.append(bytes(message))
        self.frames.send(b"answer to " + message)

    async def read(self, data: bytes) -> bytes:
        """What this end sends until it closes the connection, when it gets `data`."""
        own, other = socket.socketpair()
        own.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self.frames, sock=own)
        reader, writer = await asyncio.open_connection(sock=other)
        writer.write(data)
        async with asyncio.timeout(5):
            answer = await reader.read()
            await self.lost.wait()
        writer.close()
        return answer


@pytest.mark.parametrize(
    ("malformed", "reason"),
    [
        (frame(b"bad"), "not a valid message"),
        (b"GET / HTTP/1.1\r\n\r\n", f"{0x47455420} bytes; at most {MAX_MESSAGE_BYTES} are allowed"),
    ],
    ids=["a bad message", "another protocol"],
)
async def test_a_malformed_message_is_logged_once_and_closes_the_connection(
    malformed: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    end = Malformed()
    sent = await end.read(frame(b"first") + malformed + frame(b"after"))

    # What was asked before is answered.
    assert end.received == [b"first"]
    assert sent == frame(b"answer to first")
    [record] = [record for record in caplog.records if record.name == "qmonus_lite.writer.ipc"]
    assert record.getMessage() == f"malformed message, connection closed: {reason}"


def test_the_socket_of_a_former_writer_process_is_replaced(tmp_path: Path) -> None:
    first = listening(tmp_path)
    first.close()
    with pytest.raises(ConnectionRefusedError):
        connected(tmp_path)
    second = listening(tmp_path)
    other: socket.socket = connected(tmp_path)
    other.close()
    second.close()


def test_says_where_no_socket_can_be_made() -> None:
    # A file system that takes no sockets.
    with pytest.raises(BadResource, match="--data_dir=/proc: no socket can be made here"):
        listening(Path("/proc"))
