"""Write timeout: a connection of which the kernel tells nothing is watched like the others."""

import asyncio
import socket
from collections.abc import Iterator

import pytest
from tornado.iostream import IOStream

from qmonus_lite.http.write_timeout import WriteTimeout


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """A connection of which the kernel tells nothing (EOPNOTSUPP), and one of TCP."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        server, _address = listening.accept()
    pairs = [socket.socketpair(socket.AF_UNIX), (server, client)]
    yield pairs
    for pair in pairs:
        for end in pair:
            end.close()


async def test_cuts_off_who_takes_nothing_also_where_the_kernel_does_not_tell(
    pairs: list[tuple[socket.socket, socket.socket]],
) -> None:
    watch = WriteTimeout(0.2)
    streams = [IOStream(ours) for ours, _theirs in pairs]
    for stream in streams:
        watch.add(stream)
        written = stream.write(b"x" * (64 << 20))
        written.add_done_callback(lambda done: done.exception())
    watch.start()

    async with asyncio.timeout(10):
        while not all(stream.closed() for stream in streams):
            await asyncio.sleep(0.02)
    watch._looking.stop()
