"""Clients of TLS that stop, break off or send what is no TLS, and what is left of them."""

import contextlib
import os
import random
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.edge.raw import PATIENCE, request
from tests.acceptance.edge.test_floods import RESET, descriptors, files
from tests.acceptance.edge.test_long_bodies import resident
from tests.acceptance.harness import UPLOADING, Installation
from tests.acceptance.process import connections, until

MIB = 1 << 20
#: As `openssl s_client` begins a handshake: the head of a record of 512 bytes.
BEGUN_HANDSHAKE = b"\x16\x03\x01\x02\x00\x01\x00"


@pytest.fixture(scope="module")
def served(shared: Installation, tls_files: tuple[Path, Path]) -> Installation:
    """An installation that speaks TLS, where a handler allows every upload."""
    shared.url = shared.url.replace("http:", "https:")
    shared.record(UPLOADING)
    certificate, key = tls_files
    shared.up("--max_uploads=300", f"--certfile={certificate}", f"--keyfile={key}")
    return shared


def pid_of(installation: Installation) -> int:
    [pid] = installation.pids("apigw")
    return pid


def threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


@pytest.fixture
def unchanged(served: Installation) -> Iterator[Installation]:
    """The installation; afterwards no connection, descriptor or file may be left."""
    pid = pid_of(served)
    until(lambda: connections(pid, served.port) == 0)
    stored, held, open_before = served.stored(), files(pid, served.base), descriptors(pid)
    yield served
    until(lambda: connections(pid, served.port) == 0)
    until(lambda: served.stored() == stored, report=served.stored)
    until(lambda: files(pid, served.base) == held)
    # Questions open connections to the worker, which are kept.
    until(lambda: descriptors(pid) <= open_before + 20)
    assert threads(pid) < 40
    assert "request_failed" not in served.log


def connected(installation: Installation) -> socket.socket:
    return socket.create_connection(("127.0.0.1", installation.port), timeout=PATIENCE)


def uploading(installation: Installation, path: str, *fields: str) -> ssl.SSLSocket:
    """A connection by TLS that has sent the head of a PUT."""
    client = ssl._create_unverified_context().wrap_socket(connected(installation))
    client.sendall(request("PUT", path, *fields))
    return client


def test_uploads_that_stand_still_take_little_memory(unchanged: Installation) -> None:
    pid, before = pid_of(unchanged), resident(pid_of(unchanged))
    with contextlib.ExitStack() as stack:
        for number in range(200):
            fields = f"Content-Length: {10 * MIB}", "Transfer-Encoding: chunked"
            client = stack.enter_context(
                uploading(unchanged, f"/upload/still-{number}", fields[number % 2])
            )
            client.sendall(b"100000\r\n" * (number % 2) + bytes(MIB - 1))
        until(lambda: sum("staging" in name for name in unchanged.stored()) == 200)
        assert resident(pid) - before < 64 * MIB


def test_handshakes_that_stall_or_break_leave_nothing(unchanged: Installation) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(1000):
            client = stack.enter_context(connected(unchanged))
            client.sendall((b"", BEGUN_HANDSHAKE, b"GET / HTTP/1.1\r\n\r\n")[number % 3])
            if number % 2:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        with uploading(unchanged, "/-/none", "Content-Length: 0") as good:
            assert good.recv(100).startswith(b"HTTP/1.1 404 ")


def test_long_bodies_that_break_off_in_a_record_leave_nothing(unchanged: Installation) -> None:
    for number in range(30):
        fields = f"Content-Length: {90 * MIB}", "Transfer-Encoding: chunked"
        client = uploading(unchanged, f"/upload/broken-{number}", fields[number % 2])
        client.sendall(b"5000000\r\n" * (number % 2) + random.randbytes(MIB))
        with socket.socket(fileno=client.detach()) as raw:
            # Half a record, one that is not encrypted, or nothing.
            raw.sendall(
                (b"\x17\x03\x03\x40\x00abc", b"\x17\x03\x03\x00\x20" + bytes(32), b"")[number % 3]
            )
            if number % 2:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
