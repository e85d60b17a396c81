"""Answers: whatever text they carry, they can be sent."""

import json

import pytest

from qmonus_lite.apigw.answers import encode_output, error_response, problem_json
from qmonus_lite.errors import PROBLEMS, BadRequest, Problem

HALF = "\ud83d"


def test_half_an_emoji_in_a_reason_is_sent_as_json_writes_it() -> None:
    assert (
        json.loads(problem_json(BadRequest(f"no name: {HALF}"), "id"))["detail"]
        == f"no name: {HALF}"
    )
    assert rb"\ud83d" in error_response(BadRequest(HALF), "id").body


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
