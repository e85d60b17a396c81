"""Answers: whatever text they carry, they can be sent."""

import json

import pytest

from qmonus_lite.apigw.answers import encode_output, error_response, problem_json
from qmonus_lite.errors import BadRequest

HALF = "\ud83d"


def test_half_an_emoji_in_a_reason_is_sent_as_json_writes_it() -> None:
    assert json.loads(problem_json(422, f"no name: {HALF}", "id"))["detail"] == f"no name: {HALF}"
    assert rb"\ud83d" in error_response(BadRequest(HALF), "id").body


@pytest.mark.parametrize("output", [HALF, {"name": HALF}, [HALF]])
def test_half_an_emoji_in_what_a_plugin_gave_is_sent(output: object) -> None:
    _kind, body = encode_output(output)

    assert rb"\ud83d" in body
    assert isinstance(output, str) or json.loads(body) == output
