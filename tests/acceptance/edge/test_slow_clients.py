"""Clients that send, or read, so slowly that nobody has to wait for them."""

import socket
import time
from collections.abc import Iterator

import pytest

from tests.acceptance.edge.raw import request
from tests.acceptance.harness import UPLOADING, Installation
from tests.acceptance.process import until

#: Seconds that a client may be silent, and bytes a second that it has to send.
STALL, RATE = 1.0, 8 << 10


@pytest.fixture(scope="module")
def watched(shared: Installation) -> Iterator[Installation]:
    """An installation of little patience, where a handler lets everybody in."""
    shared.record(UPLOADING)
    shared.up(f"--body_stall_timeout={STALL:g}", f"--min_body_rate={RATE}")
    yield shared


def connect(watched: Installation, sent: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", watched.port), timeout=30)
    connection.sendall(sent)
    return connection


def trickle(connection: socket.socket, size: int, seconds: float) -> float:
    """Send so much ten times a second, until there is an answer; the seconds until then."""
    began = time.monotonic()
    connection.settimeout(0.1)
    while time.monotonic() - began < seconds:
        connection.sendall(b"x" * size)
        try:
            connection.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            continue
        break
    connection.settimeout(30)
    return time.monotonic() - began


def test_a_body_that_trickles_is_answered_408(watched: Installation) -> None:
    stored = watched.stored()
    head = request("PUT", "/upload/slow", "Content-Length: 1000000")
    with connect(watched, head) as connection:
        took = trickle(connection, RATE // 100, seconds=10)

        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 408 ")
        # Never silent for long, and not judged before it was waited for twice as long.
        assert 2 * STALL - 0.1 < took < 2 * STALL + 2
    until(lambda: watched.stored() == stored, report=watched.stored)


def test_a_body_that_comes_fast_enough_is_taken_however_long_it_takes(
    watched: Installation,
) -> None:
    head = request("PUT", "/upload/steady", "Transfer-Encoding: chunked")
    size = RATE // 10 * 2
    with connect(watched, head) as connection:
        began = time.monotonic()
        while time.monotonic() - began < 3 * STALL:
            connection.sendall(b"%x\r\n" % size + b"x" * size + b"\r\n")
            time.sleep(0.1)
        connection.sendall(b"0\r\n\r\n")

        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 201 ")
