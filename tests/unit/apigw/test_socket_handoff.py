"""Lending: while a socket is lent Tornado leaves it alone, and then goes on where it was."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator

import pytest
from tornado.iostream import IOStream, StreamClosedError

from qmonus_lite.apigw.socket_handoff import can_detach, detached


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
    with detached(ends.stream) as descriptor:
        ends.client.sendall(b"second")
        await asyncio.sleep(0.05)
        assert os.read(descriptor, 100) == b"second"
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
    with detached(ends.stream) as descriptor:
        ends.stream.close()
        # Still ours: no other file has taken its number.
        ends.client.sendall(b"x")
        assert os.read(descriptor, 100) == b"x"

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
