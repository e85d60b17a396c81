"""Bodies that go from their socket to the disk past the loop: whole, bounded, and given up in time.

Sent over raw sockets, in pieces and with pauses, so that bytes change between the two ways.
"""

import hashlib
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.edge.raw import PATIENCE, request
from tests.acceptance.edge.test_floods import RESET, apigw, files
from tests.acceptance.harness import UPLOADING, Installation
from tests.acceptance.process import connections, until

MIB = 1 << 20


@pytest.fixture
def open_to_all(installation: Installation) -> Installation:
    """An installation where a handler allows every upload."""
    installation.record(UPLOADING)
    return installation


@contextmanager
def sending(
    installation: Installation, path: str, length: int, *fields: str
) -> Iterator[socket.socket]:
    """A connection that has sent the head of a PUT."""
    with socket.create_connection(("127.0.0.1", installation.port), timeout=PATIENCE) as client:
        client.sendall(request("PUT", path, f"Content-Length: {length}", *fields))
        yield client


def answer(client: socket.socket) -> bytes:
    """The first bytes that come back."""
    return client.recv(1 << 16)


def test_a_body_in_pieces_of_every_size_arrives_whole(open_to_all: Installation) -> None:
    apigw(open_to_all)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    content = dice.randbytes(24 * MIB)
    with sending(open_to_all, "/upload/pieces", len(content)) as client:
        left = memoryview(content)
        while left:
            piece = dice.choice([1, 100, 64 << 10, (64 << 10) + 1, MIB, 5 * MIB])
            client.sendall(left[:piece])
            left = left[piece:]
            time.sleep(dice.choice([0, 0, 0.001, 0.01]))
        assert b" 201 " in answer(client)

    assert (open_to_all.base / "upload/pieces").read_bytes() == content


def test_a_request_behind_a_long_body_is_answered_too(open_to_all: Installation) -> None:
    apigw(open_to_all)
    content = os.urandom(6 * MIB + 17)
    behind = request("GET", "/-/live")
    with sending(open_to_all, "/upload/first", len(content)) as client:
        client.sendall(content + behind)
        came = b""
        while came.count(b"HTTP/1.1 ") < 2:
            came += answer(client)

    assert b" 201 " in came.split(b"\r\n")[0] and came.rstrip().endswith(b"}")
    assert (open_to_all.base / "upload/first").read_bytes() == content


def test_a_long_body_is_summed_up_and_invited(open_to_all: Installation) -> None:
    apigw(open_to_all)
    content = os.urandom(9 * MIB)
    fields = ("Expect: 100-continue", "Want-Repr-Digest: sha-256=10")
    with sending(open_to_all, "/upload/digest", len(content), *fields) as client:
        assert answer(client) == b"HTTP/1.1 100 (Continue)\r\n\r\n"
        client.sendall(content)
        assert hashlib.sha256(content).hexdigest().encode() in answer(client)


def test_a_long_body_that_stops_is_given_up(open_to_all: Installation) -> None:
    pid = apigw(open_to_all, "--body_stall_timeout=1")
    stored = open_to_all.stored()
    with sending(open_to_all, "/upload/stalled", 90 * MIB) as client:
        client.sendall(bytes(5 * MIB))
        began = time.monotonic()

        assert b"HTTP/1.1 408 " in answer(client)
        assert time.monotonic() - began < 5
    until(lambda: open_to_all.stored() == stored, report=open_to_all.stored)
    until(lambda: connections(pid, open_to_all.port) == 0)


def test_long_bodies_that_are_reset_leave_nothing(open_to_all: Installation) -> None:
    pid = apigw(open_to_all)
    stored, held = open_to_all.stored(), files(pid, open_to_all.base)

    def send_and_reset(number: int) -> None:
        with sending(open_to_all, f"/upload/reset-{number}", 900 * MIB) as client:
            client.sendall(bytes(MIB * (1 + number % 5)))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    threads = [threading.Thread(target=send_and_reset, args=(n,)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    until(lambda: open_to_all.stored() == stored, report=open_to_all.stored)
    until(lambda: files(pid, open_to_all.base) == held)
    until(lambda: connections(pid, open_to_all.port) == 0)
    assert "request_failed" not in open_to_all.log


@pytest.mark.parametrize("cut", [False, True], ids=["drained", "cut"])
def test_a_stop_in_a_long_body_is_clean(open_to_all: Installation, cut: bool) -> None:
    running = open_to_all.up("--drain_timeout=2" if cut else "--drain_timeout=30")
    content = os.urandom(8 * MIB)
    with sending(open_to_all, "/upload/stopped", len(content)) as client:
        client.sendall(content[: 4 * MIB])
        time.sleep(0.2)
        running.send(signal.SIGTERM)
        if cut:
            assert running.wait() != 0
            assert open_to_all.stored() == []
        else:
            client.sendall(content[4 * MIB :])
            assert b" 201 " in answer(client)
            assert running.wait() == 0
            assert (open_to_all.base / "upload/stopped").read_bytes() == content


def test_many_uploads_that_stand_still_take_little_memory(open_to_all: Installation) -> None:
    pid = apigw(open_to_all, "--max_uploads=300")
    before = resident(pid)
    with_some: list[socket.socket] = []
    try:
        for number in range(100):
            client = socket.create_connection(("127.0.0.1", open_to_all.port), timeout=PATIENCE)
            with_some.append(client)
            head = request("PUT", f"/upload/{number}", f"Content-Length: {10 * MIB}")
            client.sendall(head + bytes(MIB))
        until(lambda: sum("staging" in name for name in open_to_all.stored()) == 100)
        time.sleep(0.5)
        grown = resident(pid) - before
    finally:
        for client in with_some:
            client.close()

    assert grown < 64 * MIB, grown


def resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
