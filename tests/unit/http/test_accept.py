"""The accept loop where a process runs out of descriptors."""

import asyncio
import os
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from qmonus_lite.http import accept


@contextmanager
def no_more_descriptors() -> Iterator[None]:
    """This process cannot open anything within."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_one = os.dup(0)
    os.close(next_one)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_one, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_takes_those_who_waited_once_there_are_descriptors_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    taken: list[socket.socket] = []

    def take(connection: socket.socket, _address: Any) -> None:
        taken.append(connection)

    with ExitStack() as held:
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        place = listening.getsockname()
        for _ in range(3):
            held.enter_context(socket.create_connection(place))
        acceptor = accept.Acceptor(listening, take)
        with no_more_descriptors():
            began = time.process_time()
            await asyncio.sleep(1)
            assert time.process_time() - began < 0.3
            assert taken == []
        assert [record.message for record in caplog.records] == [
            "cannot accept: Too many open files"
        ]
        await asyncio.sleep(2 * accept.ACCEPT_BACKOFF_SECONDS)
        acceptor.close()
        assert len(taken) == 3
        for connection in taken:
            connection.close()


async def test_takes_one_at_a_time_of_a_socket_that_others_accept_from() -> None:
    taken: list[socket.socket] = []
    turns: list[int] = []

    def take(connection: socket.socket, _address: Any) -> None:
        taken.append(connection)
        asyncio.get_running_loop().call_soon(lambda: turns.append(len(taken)))

    with ExitStack() as held:
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        for _ in range(3):
            held.enter_context(socket.create_connection(listening.getsockname()))
        acceptor = accept.Acceptor(listening, take, batch=accept.SHARED_ACCEPT_BATCH)
        while len(turns) < 3:
            await asyncio.sleep(0.01)
        acceptor.close()
        for connection in taken:
            connection.close()

    assert turns == [1, 2, 3]


async def test_can_be_closed_while_it_rests() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    with socket.create_connection(listening.getsockname()):
        acceptor = accept.Acceptor(listening, lambda connection, _address: connection.close())
        with no_more_descriptors():
            await asyncio.sleep(0.1)
            acceptor.close()

    assert listening.fileno() == -1
