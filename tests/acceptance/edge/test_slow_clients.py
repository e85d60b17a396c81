"""Clients that send, or read, so slowly that nobody has to wait for them."""

import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.edge.raw import request
from tests.acceptance.harness import UPLOADING, Installation
from tests.acceptance.process import connections, until
from tests.acceptance.servers import Rclone, serve_webdav

#: Seconds that a client may be silent, and bytes a second that it has to send.
STALL, RATE = 0.6, 8 << 10


#: Bytes of a large answer: more than all buffers on its way hold.
LARGE = 32 << 20
ROUTES = """\
- authorities: ["{place}"]
  proxy: {{path: "/files/{{name}}", authorization: {{auth_mode: none}}}}
  target: {{path: "/{{name}}"}}
- authorities: [localhost]
  proxy: {{path: /large, authorization: {{auth_mode: none}}}}
  request_forbidden_process: |-
    return "x" * {large}
"""


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rclone]:
    """A server that has a large file."""
    server = serve_webdav(tmp_path_factory.mktemp("backend") / "webdav")
    (server.files / "large").write_bytes(bytes(LARGE))
    yield server
    server.end()


@pytest.fixture(scope="module")
def apigw(shared: Installation, backend: Rclone) -> int:
    """The process id of an APIGW of little patience, where a handler allows every upload."""
    shared.record(UPLOADING)
    shared.plugin("routes.yml", ROUTES.format(place=backend.place, large=LARGE))
    up = shared.up(f"--body_stall_timeout={STALL:g}", f"--min_body_rate={RATE}")
    return up.children["apigw"]


@pytest.fixture
def watched(shared: Installation, apigw: int) -> Installation:
    """Its installation, while nobody is connected."""
    until(lambda: connections(apigw, shared.port) == 0)
    return shared


def connect(watched: Installation, sent: bytes, *, keeps: int = 4 << 10) -> socket.socket:
    """A connection that says this; its kernel keeps so much of what comes back."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, keeps)
    connection.settimeout(30)
    connection.connect(("127.0.0.1", watched.port))
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


@pytest.mark.parametrize("path", ["/files/large", "/large"])
def test_a_client_that_takes_nothing_of_its_answer_is_cut_off(
    watched: Installation, apigw: int, path: str
) -> None:
    with connect(watched, request("GET", path)) as connection:
        began = time.monotonic()
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert connections(apigw, watched.port) == 1

        until(lambda: connections(apigw, watched.port) == 0)

        assert time.monotonic() - began > STALL
    until(lambda: "a client takes nothing of its answer" in watched.log)
    assert "request_failed" not in watched.log


def read_slowly(connection: socket.socket) -> int:
    """Read to the end, slowly for a while, so that the answer outlasts the patience; the bytes."""
    began, came = time.monotonic(), 0
    while data := connection.recv(256 << 10):
        came += len(data)
        if time.monotonic() - began < 3 * STALL:
            time.sleep(STALL / 20)
    assert time.monotonic() - began > 3 * STALL
    return came


@pytest.mark.parametrize("path", ["/files/large", "/large"])
def test_a_client_that_takes_its_answer_slowly_gets_all_of_it(
    watched: Installation, path: str
) -> None:
    sent = request("GET", path, "Connection: close")
    with connect(watched, sent, keeps=64 << 10) as connection:
        assert read_slowly(connection) > LARGE


@pytest.fixture
def behind_tls(installation: Installation, tls_files: tuple[Path, Path]) -> Installation:
    """An installation of little patience whose answers are encrypted."""
    installation.url = installation.url.replace("http:", "https:")
    installation.plugin("routes.yml", ROUTES.format(place="127.0.0.1:1", large=LARGE))
    cert, key = tls_files
    installation.up(f"--body_stall_timeout={STALL:g}", f"--certfile={cert}", f"--keyfile={key}")
    return installation


def test_the_same_holds_under_tls(behind_tls: Installation) -> None:
    [pid] = behind_tls.pids("apigw")
    sent = request("GET", "/large", "Connection: close")
    context = ssl._create_unverified_context()
    with context.wrap_socket(connect(behind_tls, b"", keeps=64 << 10)) as slow:
        slow.sendall(sent)
        assert read_slowly(slow) > LARGE
    with context.wrap_socket(connect(behind_tls, b"")) as still:
        still.sendall(sent)
        until(lambda: connections(pid, behind_tls.port) == 1)

        until(lambda: connections(pid, behind_tls.port) == 0)
