"""The link: whole values, however the bytes come."""

import asyncio
import pickle
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.errors import BadPlace
from qmonus_lite.writer.ipc import Frames, connected, listening


def frame(value: object) -> bytes:
    body = pickle.dumps([value])
    return len(body).to_bytes(4, "big") + body


@given(
    values=st.lists(st.binary(max_size=50) | st.text(max_size=20)),
    cuts=st.lists(st.integers(1, 40), min_size=1),
)
def test_values_come_whole_and_in_order(values: list[object], cuts: list[int]) -> None:
    came: list[object] = []
    frames = Frames(came.append, lambda: None)
    data, at, turn = b"".join(map(frame, values)), 0, 0
    while at < len(data):
        step = cuts[turn % len(cuts)]
        frames.data_received(data[at : at + step])
        at, turn = at + step, turn + 1

    assert came == values


async def test_both_ends_talk_and_hear_of_the_end(tmp_path: Path) -> None:
    # Longer than the address of a socket may be.
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    loop = asyncio.get_running_loop()
    came: list[Any] = []
    lost = asyncio.Event()
    ends: list[Frames] = []

    def end() -> Frames:
        ends.append(Frames(lambda value: ends[0].send(("heard", value)), lost.set))
        return ends[0]

    server = await loop.create_unix_server(end, sock=listening(folder))
    own = Frames(came.append, lambda: None)
    own.send("nobody is there yet")
    await loop.create_unix_connection(lambda: own, sock=connected(folder))
    own.send({"a": b"b"})
    while not came:
        await asyncio.sleep(0.01)
    own.close()
    async with asyncio.timeout(5):
        await lost.wait()
    server.close()

    assert came == [("heard", {"a": b"b"})]


def test_the_socket_of_a_former_keeper_is_replaced(tmp_path: Path) -> None:
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
    with pytest.raises(BadPlace, match="--data_dir=/proc: no socket can be made here"):
        listening(Path("/proc"))
