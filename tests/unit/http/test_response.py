"""Answers: whatever text they carry, they can be sent."""

import json

import pytest

from qmonus_lite.errors import PROBLEMS, BadRequest, Problem
from qmonus_lite.http.response import (
    Response,
    encode_output,
    error_response,
    head_on_wire,
    problem_json,
)

HALF = "\ud83d"


def test_half_an_emoji_in_a_reason_is_sent_as_json_writes_it() -> None:
    problem = BadRequest(f"no name: {HALF}")
    assert json.loads(problem_json(problem, "id"))["detail"] == f"no name: {HALF}"
    body = error_response(BadRequest(HALF), "id").body
    assert isinstance(body, bytes)
    assert rb"\ud83d" in body


@pytest.mark.parametrize("kind", PROBLEMS)
def test_a_problem_has_all_members_with_type_and_code_of_its_class(kind: type[Problem]) -> None:
    error = kind.__new__(kind)
    Problem.__init__(error, "why")
    body = json.loads(problem_json(error, "id"))

    assert list(body) == ["type", "status", "title", "detail", "code", "request_id"]
    assert body["type"] == f"/docs/reference/problems.md#{kind.code}"
    assert (body["code"], body["status"]) == (kind.code, int(kind.status))
    assert (body["detail"], body["request_id"]) == ("why", "id")


@pytest.mark.parametrize("output", [HALF, {"name": HALF}, [HALF]])
def test_half_an_emoji_in_what_a_plugin_gave_is_sent(output: object) -> None:
    _kind, body = encode_output(output)

    assert rb"\ud83d" in body
    assert isinstance(output, str) or json.loads(body) == output


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb"])
def test_a_field_with_a_line_break_is_never_sent(value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        head_on_wire(Response(status=200, headers=(("X-Value", value),)), "id")


@pytest.mark.parametrize(
    ("response", "length"),
    [
        (Response(status=201, body=b"abc"), b"\r\nContent-Length: 3\r\n"),
        (Response(status=200), b"\r\nContent-Length: 0\r\n"),
        (Response(status=204), b""),
        (Response(status=304), b""),
    ],
)
def test_the_head_gives_the_length_of_a_body_that_there_may_be(
    response: Response, length: bytes
) -> None:
    head = head_on_wire(response, "id")

    assert length in head
    assert (b"Content-Length" in head) == bool(length)
    assert head.startswith(b"HTTP/1.1 %d " % response.status) and head.endswith(b"\r\n\r\n")
