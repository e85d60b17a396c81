"""What requests that broke off leave behind in a real APIGW: no memory."""

import contextlib
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import Installation
from tests.acceptance.process import until

MIB = 1 << 20
#: Memory that may be there more than before.
MOST_MORE = 50
ROUTE = """\
- authorities: [localhost]
  proxy: {path: /open, authorization: {auth_mode: none}}
  request_forbidden_process: |-
    return [len(request.body)]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    site = Installation(tmp_path_factory.mktemp("memory"))
    try:
        site.plugin("route.yml", ROUTE)
        site.up("--upload_durability=none")
        yield site
    finally:
        site.end()


def resident(site: Installation) -> int:
    """MiB of the APIGW."""
    [pid] = site.pids("apigw")
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024


def head(method: str, path: str, *fields: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", *fields, "", ""]).encode()


@contextlib.contextmanager
def connections(site: Installation, count: int, sent: bytes) -> Iterator[list[socket.socket]]:
    """Clients that send this, and then wait."""
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(count):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", site.port), 10))
            made.append(client)
            # Who is refused may have hung up before all of it went.
            with contextlib.suppress(OSError):
                client.sendall(sent)
        yield made


def answer(client: socket.socket, sent: bytes = b"") -> bytes:
    client.sendall(sent)
    return client.recv(1000)


def said(clients: list[socket.socket]) -> list[bytes]:
    """What they hear now, one after the other."""
    ready, _, _ = select.select(clients, [], [], 0.1)
    heard = []
    for client in ready:
        with contextlib.suppress(ConnectionError):
            heard.append(client.recv(1000))
            clients.remove(client)
    return [part for part in heard if part]


def test_requests_that_broke_off_leave_no_memory(site: Installation) -> None:
    length, rest = f"Content-Length: {MIB}", b"x" * (MIB - 10)
    token = f"X-Auth-Token: {site.token}"
    waves = [
        (head("POST", "/-/logon", length), rest),
        (head("GET", "/-/live", length), rest),
        (head("POST", "/open", length), rest),
        (head("POST", "/open", "Transfer-Encoding: chunked") + b"fffff\r\n", rest),
        (head("PUT", "/upload/x", length, token), rest[:250_000]),
    ]
    before = resident(site)
    for began, more in waves:
        with connections(site, 100, began + more):
            pass
    until(lambda: resident(site) < before + MOST_MORE, report=lambda: (before, resident(site)))


def test_large_bodies_are_bounded_together_and_small_requests_go_on(site: Installation) -> None:
    before = resident(site)
    large = head("POST", "/open", f"Content-Length: {MIB}") + b"x" * (MIB - 10)
    small = head("POST", "/open", "Content-Length: 2") + b"{}"
    with connections(site, 90, large) as clients, connections(site, 1, b"") as others:
        refused: list[bytes] = []

        def enough() -> bool:
            refused.extend(said(clients))
            return len(refused) > 20

        until(enough)
        assert all(b" 503 " in answer and b"Retry-After: 1\r\n" in answer for answer in refused)
        assert resident(site) < before + 64 + MOST_MORE
        assert answer(others[0], small).endswith(b"[2]")
    with connections(site, 1, large) as [client]:
        assert answer(client, b"y" * 10).endswith(b"[1048576]")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/-/logon", b" 401 "),
        ("GET", "/-/live", b" 200 "),
        ("GET", "/-/ready", b" 200 "),
        ("GET", "/-/plugins", b" 200 "),
        ("GET", "/-/openapi.json", b" 200 "),
        ("GET", "/-/events", b" 200 "),
        ("POST", "/-/events/00000000-0000-0000-0000-000000000000/replay", b" 409 "),
    ],
)
def test_endpoints_that_need_no_body_bear_a_small_one_and_refuse_a_large_one(
    site: Installation, method: str, path: str, status: bytes
) -> None:
    token = f"X-Auth-Token: {site.token}"
    with connections(site, 1, head(method, path, token, "Content-Length: 2") + b"{}") as [client]:
        assert status in answer(client)
    for fields in ("Content-Length: 8193", "Transfer-Encoding: chunked"):
        body = b"2001\r\n" + b"x" * 0x2001
        with connections(site, 1, head(method, path, token, fields) + body) as [client]:
            assert b" 413 " in answer(client)
