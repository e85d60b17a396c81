"""Small uploads that come in one piece: answered like all others, whatever stands around them."""

import base64
import hashlib
import http.client
import json
import shutil
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from qmonus_lite.http.idle_timeout import IDLE_SECONDS
from tests.acceptance.harness import UPLOADED, UPLOADING, Installation
from tests.acceptance.process import open_files, until

#: Bytes of an answer that no socket takes at once.
LONG = 3 << 20

GATE = f"""\
name: gate
event: {UPLOADING}
script: |-
  async def gate(event, handle):
      name = event["resources"]["filepath"]
      if name == "refused":
          raise HTTPError(418, {{"why": "refused"}})
      if name == "ended":
          await handle.terminate(code=451, output="ended here")
      if name == "long":
          await handle.terminate(code=451, output={LONG} * "x")
      if name.startswith("slow"):
          await asyncio.sleep(1)
"""

#: A field without a value: nothing that changes what is asked for, but no whole upload has it.
TO_TORNADO = b"X-Nothing:"
#: Fields of an answer that are other ones each time.
OWN = {"date", "x-request-id"}
KEYS = {"upload_id", "event_id", "request_id"}

BODY = b"hello"
DIGEST = base64.b64encode(hashlib.sha256(BODY).digest())
#: Sockets of an APIGW that nobody asks anything: listening, to the worker, of its loop.
MOST_OWN = 20
#: Looks like a key, and is nobody's.
KEY = "qml_" + 43 * "x"


@pytest.fixture(scope="module")
def up(shared: Installation) -> Installation:
    """An installation without plugins."""
    shared.up()
    return shared


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation whose handlers hear of everything."""
    installation = Installation(tmp_path_factory.mktemp("asking") / "installation")
    installation.plugin("gate.yml", GATE)
    installation.record(UPLOADED)
    installation.up()
    yield installation
    installation.end()


@pytest.fixture(params=["up", "asking"])
def either(request: pytest.FixtureRequest) -> Installation:
    """Both."""
    installation: Installation = request.getfixturevalue(request.param)
    return installation


@pytest.fixture
def connection(up: Installation) -> Iterator[socket.socket]:
    with closing(socket.create_connection(("127.0.0.1", up.port), timeout=10)) as connection:
        yield connection


def put(up: Installation, path: str, *fields: bytes, body: bytes = BODY) -> bytes:
    token = b"X-Auth-Token: " + up.token.encode()
    length = b"Content-Length: %d" % len(body)
    given = [field for field in fields if field]
    lines = [f"PUT {path} HTTP/1.1".encode(), b"Host: apigw", length, token, *given]
    return b"\r\n".join([*lines, b"", body])


def sockets(pid: int) -> int:
    """Sockets that a process has open, whatever became of their other end."""
    return sum(link.startswith("socket:") for link in open_files(pid))


class FullResponse(http.client.HTTPResponse):
    """One answer from a connection, and all of it."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(connection, method="PUT")
        self.begin()
        self.all = self.read()


def answers(connection: socket.socket, count: int) -> list[tuple[int, bytes]]:
    """So many answers, and not a byte more: what stands behind them is left for the next look."""
    found = []
    with connection.makefile("rb", buffering=0) as plain:
        for _ in range(count):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                byte = plain.read(1)
                assert byte, head
                head += byte
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = b""
            while len(body) < length:
                more = plain.read(length - len(body))
                assert more, (head, len(body))
                body += more
            found.append((int(head.split()[1]), body))
    return found


def shape(up: Installation, request: bytes) -> tuple[Any, ...]:
    """All of an answer that has to be the same for the same request."""
    with closing(socket.create_connection(("127.0.0.1", up.port), timeout=10)) as connection:
        connection.sendall(request)
        response = FullResponse(connection)
        fields = {name.lower(): value for name, value in response.getheaders()}
        body: Any = response.all
        if "json" in fields["content-type"]:
            body = {name: value for name, value in json.loads(body).items() if name not in KEYS}
        return response.status, {k: v for k, v in fields.items() if k not in OWN}, body


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/upload/new", (), 201),
        ("/upload/there", (), 200),
        ("/upload/a%20b/%C3%A4.txt?x=1&x=2", (b"Content-Type: text/plain",), 201),
        ("/upload/digest", (b"Repr-Digest: sha-256=:" + DIGEST + b":",), 201),
        ("/upload/digest", (b"Want-Repr-Digest: sha-256=1",), 201),
        ("/upload/digest", (b"Repr-Digest: sha-256=:" + 43 * b"A" + b"=:",), 422),
        ("/upload/digest", (b"Repr-Digest: sha-256=:x:",), 400),
        ("/upload/new", (b"If-None-Match: *",), 201),
        ("/upload/there", (b"If-None-Match: *",), 412),
        ("/upload/there/below", (), 409),
        ("/upload/a//b", (), 400),
        ("/upload/a%2Fb", (), 400),
        ("/upload/a?api_key=" + KEY, (), 400),
        ("/elsewhere", (), 404),
        ("/upload/refused", (), 418),
        ("/upload/ended", (), 451),
    ],
)
def test_is_answered_as_any_upload(
    either: Installation, path: str, fields: tuple[bytes, ...], status: int
) -> None:
    if status in {418, 451} and not (either.plugins / "gate.yml").exists():
        # Nobody refuses it.
        status = 201
    responses = []
    for way in (b"", TO_TORNADO):
        shutil.rmtree(either.base / "upload", ignore_errors=True)
        assert shape(either, put(either, "/upload/there"))[0] == 201
        responses.append(shape(either, put(either, path, *fields, way)))

    assert responses[0][0] == status
    assert responses[0] == responses[1]


def test_a_wrong_token_is_refused_the_same_way(up: Installation) -> None:
    before = up.stored()
    whole, other = [
        shape(up, put(up, "/upload/f", way).replace(up.token.encode(), b"x"))
        for way in (b"", TO_TORNADO)
    ]

    assert whole[0] == 401 and whole[1]["connection"] == "close"
    assert whole == other
    assert up.stored() == before


def test_requests_of_all_kinds_take_turns_on_one_connection(
    up: Installation, connection: socket.socket
) -> None:
    live = b"GET /-/live HTTP/1.1\r\nHost: apigw\r\n\r\n"
    long = put(up, "/upload/turns/long", body=bytes(1 << 20))
    small = [put(up, f"/upload/turns/{number}") for number in range(6)]
    for request in (small[0], live, small[1], small[2], long, small[3], live):
        connection.sendall(request)
        assert answers(connection, 1)[0][0] in {200, 201}
    # All at once, in order: the answers too.
    connection.sendall(small[4] + live + small[5] + long + small[0])
    received = answers(connection, 5)

    assert [status for status, _ in received] == [201, 200, 201, 200, 200]
    assert json.loads(received[0][1])["filename"] == "4"
    assert json.loads(received[3][1])["bytes"] == 1 << 20
    assert len(list((up.base / "upload/turns").iterdir())) == 7


@pytest.mark.parametrize("pause", [0.0, 0.05, 0.5])
def test_a_body_may_come_behind_its_head(
    up: Installation, connection: socket.socket, pause: float
) -> None:
    for name in ("one", "two"):
        head, end, body = put(up, f"/upload/behind/{name}{pause}").partition(b"\r\n\r\n")
        for piece in (head + end, body[:2], body[2:]):
            connection.sendall(piece)
            time.sleep(pause)
        assert answers(connection, 1)[0][0] == 201
        assert (up.base / f"upload/behind/{name}{pause}").read_bytes() == BODY


def test_the_largest_one_comes_in_pieces_of_any_size(
    up: Installation, connection: socket.socket
) -> None:
    body = bytes(range(256)) * 256
    request = put(up, "/upload/largest", body=body)
    for start in range(0, len(request), 1500):
        connection.sendall(request[start : start + 1500])

    assert answers(connection, 1)[0][0] == 201
    assert (up.base / "upload/largest").read_bytes() == body


def test_a_body_that_stops_coming_is_a_408(installation: Installation) -> None:
    installation.up("--body_stall_timeout=1")
    with closing(socket.create_connection(("127.0.0.1", installation.port), 10)) as connection:
        connection.sendall(put(installation, "/upload/stops")[:-1])

        assert answers(connection, 1)[0][0] == 408
        assert connection.recv(100) == b""
    assert installation.stored() == []


def test_half_a_body_and_the_end_leave_no_trace(up: Installation) -> None:
    before = up.stored()
    for _ in range(20):
        with closing(socket.create_connection(("127.0.0.1", up.port), timeout=10)) as connection:
            connection.sendall(put(up, "/upload/half")[:-1])
    time.sleep(0.5)

    assert up.stored() == before
    assert "request_failed" not in up.log and "Traceback" not in up.log


def test_a_last_answer_is_whole_however_slowly_it_is_read(asking: Installation) -> None:
    with closing(socket.socket()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", asking.port))
        connection.sendall(put(asking, "/upload/long"))
        time.sleep(2)
        status, body = answers(connection, 1)[0]

        assert (status, body) == (451, LONG * b"x")
        assert connection.recv(100) == b""


def test_those_that_break_off_hold_nothing(up: Installation) -> None:
    [pid] = up.pids("apigw")
    for number in range(100):
        with closing(socket.create_connection(("127.0.0.1", up.port), timeout=10)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(put(up, f"/upload/broken/{number}"))
    began = time.monotonic()
    # Also sockets whose other end is gone have a descriptor.
    until(lambda: sockets(pid) <= MOST_OWN, report=lambda: str(sockets(pid)))

    assert time.monotonic() - began < IDLE_SECONDS / 2


def test_a_burst_takes_no_more_than_there_may_be(installation: Installation) -> None:
    installation.plugin("gate.yml", GATE)
    installation.up("--max_uploads=3")
    with ExitStack() as held:
        burst = [
            held.enter_context(closing(socket.create_connection(("127.0.0.1", installation.port))))
            for _ in range(30)
        ]
        requests = [put(installation, f"/upload/slow{number}") for number in range(30)]
        for connection, request in zip(burst, requests, strict=True):
            connection.sendall(request)
        statuses = [answers(connection, 1)[0][0] for connection in burst]

    assert (statuses.count(201), statuses.count(503)) == (3, 27)
    assert len(installation.stored()) == 1 + 3


def test_whoever_hangs_up_after_the_last_byte_has_stored_his_file(asking: Installation) -> None:
    with closing(socket.create_connection(("127.0.0.1", asking.port), timeout=10)) as connection:
        connection.sendall(put(asking, "/upload/slow"))
    until((asking.base / "upload/slow").exists, report=lambda: asking.log)

    assert "Traceback" not in asking.log


def test_a_stop_waits_for_the_one_that_is_under_way(installation: Installation) -> None:
    installation.plugin("gate.yml", GATE)
    running = installation.up()
    with closing(socket.create_connection(("127.0.0.1", installation.port), 10)) as connection:
        connection.sendall(put(installation, "/upload/slow"))
        time.sleep(0.3)
        running.send(signal.SIGTERM)

        assert answers(connection, 1)[0][0] == 201
        assert connection.recv(100) == b""
    assert running.wait() == 0
