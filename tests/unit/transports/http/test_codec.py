"""The HTTP codec: what one end writes, the other reads; anything else is refused."""

import pytest

from qmonus_lite.transports.http.codec import (
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    BadHttpMessage,
    HttpRequest,
    HttpResponse,
    MessageReader,
    parse_request,
    parse_response,
    write_request,
    write_response,
)

REQUEST = HttpRequest(path="/events/ask", headers={"webhook-id": "m1", "X-Empty": ""}, body=b"{}")
RESPONSE = HttpResponse(headers={"webhook-id": "m1"}, body=b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")


@pytest.mark.parametrize("size", [1, 2, 7, 10_000])
def test_requests_are_read_as_written_however_they_are_split(size: int) -> None:
    reader = MessageReader(parse_request)
    sent = write_request("127.0.0.1:9100", REQUEST) * 2
    found = []
    for start in range(0, len(sent), size):
        reader.feed(sent[start : start + size])
        while (head := reader.head()) and (body := reader.body()) is not None:
            found.append((head.path, head.headers, body))

    fields = {"host": "127.0.0.1:9100", "content-length": "2", "webhook-id": "m1", "x-empty": ""}
    assert found == [("/events/ask", fields, b"{}")] * 2
    assert reader.pending == 0


@pytest.mark.parametrize("size", [1, 3, 10_000])
@pytest.mark.parametrize("close", [True, False])
def test_responses_are_read_as_written_however_they_are_split(size: int, close: bool) -> None:
    reader = MessageReader(parse_response)
    sent = write_response(RESPONSE, close=close)
    for start in range(0, len(sent), size):
        assert reader.head() is None or reader.body() is None
        reader.feed(sent[start : start + size])
    head = reader.head()

    assert head is not None
    assert (head.status, head.headers["webhook-id"]) == (200, "m1")
    assert ("connection" in head.headers) is close
    assert reader.body() == RESPONSE.body


@pytest.mark.parametrize(
    "field",
    [
        b"Content-Length: 1\r\nContent-Length: 1",
        b"Content-Length: 1\r\ncontent-length: 2",
        b"Content-Length: +1",
        b"Content-Length: 1, 1",
        b"Content-Length: -1",
        b"Content-Length: \xb2",
        b"Content-Length:",
        b"Content-Length: 0000000001",
        b"Content-Length: %d" % (MAX_BODY_BYTES + 1),
        b"Content-Length: 1\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked",
        b"Content-Length: 1\r\nno colon",
        b"X: y",
        b"Content-Length: 1\r\nX: a\nY: b",
        b"Content-Length: 1\r\nX: a\rY: b",
        b"Content-Length: 1\n\r",
    ],
)
def test_both_ends_refuse_the_same_framing(field: bytes) -> None:
    with pytest.raises(BadHttpMessage) as request:
        parse_request(b"POST / HTTP/1.1\r\n" + field)
    with pytest.raises(BadHttpMessage) as response:
        parse_response(b"HTTP/1.1 200 OK\r\n" + field)

    assert request.value.args == response.value.args
    assert request.value.status == response.value.status in {400, 411, 413}


def test_both_ends_limit_a_head() -> None:
    for reader in (MessageReader(parse_request), MessageReader(parse_response)):
        reader.feed(b"x" * MAX_HEAD_BYTES)
        assert reader.head() is None
        reader.feed(b"x")
        with pytest.raises(BadHttpMessage, match="no end"):
            reader.head()


def test_only_a_response_may_repeat_a_field() -> None:
    """A proxy before the worker may add several cookies."""
    fields = b"\r\nContent-Length: 0\r\nSet-Cookie: a\r\nSet-Cookie: b"

    assert parse_response(b"HTTP/1.1 200 OK" + fields).headers["set-cookie"] == "b"
    with pytest.raises(BadHttpMessage, match="twice"):
        parse_request(b"POST / HTTP/1.1" + fields)


def test_what_was_received_can_be_discarded() -> None:
    reader = MessageReader(parse_request)
    sent = write_request("a:1", REQUEST)
    reader.feed(sent[:-1])
    assert reader.head() is not None
    reader.clear()
    reader.feed(sent)

    assert reader.head() is not None and reader.body() == b"{}"
