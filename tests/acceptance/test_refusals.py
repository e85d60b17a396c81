"""What follows a refusal: nothing is done, and the connection is as the answer says."""

import http.client
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.acceptance.harness import Installation


@pytest.fixture(scope="module")
def up(shared: Installation) -> Installation:
    """An installation without plugins: everything needs a token."""
    shared.up()
    return shared


@pytest.fixture
def connection(up: Installation) -> Iterator[http.client.HTTPConnection]:
    with closing(http.client.HTTPConnection("127.0.0.1", up.port, timeout=10)) as connection:
        yield connection


def until_the_end(up: Installation, request: bytes) -> bytes:
    """All that is answered to some bytes until APIGW hangs up."""
    with socket.create_connection(("127.0.0.1", up.port), timeout=10) as plain:
        plain.sendall(request)
        answer = b""
        while more := plain.recv(1 << 16):
            answer += more
    return answer


@pytest.mark.parametrize("path", ["/-/events", "/-/plugins", "/-/openapi.json", "/none"])
def test_a_body_does_not_let_a_refused_request_through(up: Installation, path: str) -> None:
    head = f"GET {path} HTTP/1.1\r\nHost: apigw\r\nContent-Length: 4\r\n\r\n"

    answer = until_the_end(up, head.encode() + b"body")

    assert answer.startswith(b"HTTP/1.1 40")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert "action=request_failed" not in up.log


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_refusal_of_a_request_without_a_body_keeps_the_connection(
    up: Installation, connection: http.client.HTTPConnection, method: str
) -> None:
    path = "/-/plugins" if method == "GET" else "/upload/f"
    connection.connect()
    first = connection.sock

    for _ in range(3):
        connection.request(method, path, headers={"Content-Length": "0"})
        answer = connection.getresponse()
        answer.read()

        assert answer.status == 401
        assert connection.sock is first


def test_a_refusal_of_a_body_ends_the_connection_as_it_says(up: Installation) -> None:
    head = b"PUT /upload/f HTTP/1.1\r\nHost: apigw\r\nContent-Length: 4\r\n\r\n"

    answer = until_the_end(up, head + b"body")

    assert answer.startswith(b"HTTP/1.1 401")
    assert b"Connection: close" in answer


def test_a_refused_upload_is_answered_before_its_body_has_come(
    up: Installation, connection: http.client.HTTPConnection
) -> None:
    connection.putrequest("PUT", "/upload/f")
    connection.putheader("Content-Length", "1000000")
    connection.endheaders()

    assert connection.getresponse().status == 401
    assert up.stored() == []
