"""The parts of a request against their schemas."""

import json
from typing import Any

import pytest

from qmonus_lite.errors import BadRequest
from qmonus_lite.headers import Headers
from qmonus_lite.routing.message import ScriptRequest
from qmonus_lite.routing.validation import validate
from tests.unit.routing.routing_setup import spec


def request(**given: Any) -> ScriptRequest:
    complete: dict[str, Any] = {"headers": Headers(), "params": {}, "body": b""} | given
    return ScriptRequest(method="PUT", path="/v1/x", **complete)


def faults(schemas: dict[str, Any], **given: Any) -> list[str]:
    resources = given.pop("resources", {})
    with pytest.raises(BadRequest) as refused:
        validate(spec("PUT", **schemas), request(**given), resources)
    return refused.value.detail.split("; ")


SIZE = {"type": "object", "properties": {"size": {"type": "integer"}}, "required": ["size"]}


def test_names_every_fault_of_every_part_by_its_pointer() -> None:
    found = faults(
        {
            "headers": {"properties": {"X-Kind": {"const": "text/plain"}}},
            "params": {"properties": {"limit": {"type": "integer"}}},
            "resources": {"properties": {"id": {"maxLength": 1}}},
            "body": {"properties": {"image": SIZE, "a/b": {"type": "string"}}},
        },
        headers=Headers({"x-kind": "x"}),
        params={"limit": ["many"]},
        resources={"id": "ab"},
        body=b'{"image": {"size": "5"}, "a/b": 1}',
    )

    assert sorted(found) == [
        'body /a~1b: 1 is not of type "string"',
        'body /image/size: "5" is not of type "integer"',
        'headers /X-Kind: "text/plain" was expected',
        'params /limit: "many" is not of type "integer"',
        'resources /id: "ab" is longer than 1 character',
    ]


def test_names_every_missing_property() -> None:
    found = faults({"body": {"required": ["a", "b"]}}, body=b"{}")

    assert found == ['body: "a" is a required property', 'body: "b" is a required property']


def test_a_request_without_schemas_is_left_alone() -> None:
    complete = request(body=b"not JSON")
    validate(spec("PUT"), complete, {})
    validate(None, complete, {})

    assert complete == request(body=b"not JSON")


def test_fills_in_defaults_before_it_checks() -> None:
    resources: dict[str, str] = {}
    complete = request(body=b'{ "size": 5 }')
    part = {"properties": {"Content-Type": {"default": "application/json"}}}
    validate(
        spec(
            "PUT",
            headers=part | {"required": ["Content-Type"]},
            params={"properties": {"limit": {"default": 10}, "tag": {"default": ["a", True]}}},
            resources={"properties": {"kind": {"default": "disk"}}},
            body={"properties": {"名": {"default": "日本"}}},
        ),
        complete,
        resources,
    )

    assert complete.headers == {"Content-Type": "application/json"}
    assert complete.params == {"limit": ["10"], "tag": ["a", "true"]}
    assert resources == {"kind": "disk"}
    assert json.loads(complete.body) == {"size": 5, "名": "日本"}


def test_a_body_that_needs_no_default_keeps_its_bytes() -> None:
    complete = request(body=b'{ "size": 5 }')
    validate(spec("PUT", body={"properties": {"size": {"default": 1}}}), complete, {})

    assert complete.body == b'{ "size": 5 }'


def test_names_of_headers_match_in_any_case() -> None:
    schema = {
        "properties": {"x-count": {"type": "integer"}},
        "required": ["x-count", "X-OTHER"],
        "additionalProperties": {"type": "string"},
    }
    complete = request(headers=Headers({"X-Count": "5", "x-other": "5"}))
    validate(spec("PUT", headers=schema), complete, {})

    assert complete.headers == {"X-Count": "5", "X-Other": "5"}


@pytest.mark.parametrize(
    ("texts", "schema"),
    [
        (["5"], {"type": "integer"}),
        (["-5"], {"type": ["null", "number"]}),
        (["1.5e1"], {"type": "number", "const": 15}),
        (["true"], {"type": "boolean", "const": True}),
        (["5"], {"type": "string"}),
        (["5"], {"const": "5"}),
        (["a", "b"], {"const": ["a", "b"]}),
        (["a"], {"type": "array", "const": ["a"]}),
        (["1", "2"], {"type": "array", "items": {"type": "integer"}, "const": [1, 2]}),
    ],
)
def test_text_is_read_as_the_type_that_is_declared(
    texts: list[str], schema: dict[str, Any]
) -> None:
    validate(spec("PUT", params={"properties": {"p": schema}}), request(params={"p": texts}), {})


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["05"], "integer"),
        (["1_000"], "integer"),
        (["９"], "integer"),
        (["9" * 5000], "integer"),
        (["1e999"], "number"),
        (["nan"], "number"),
        (["True"], "boolean"),
        (["1", "2"], "integer"),
        ([""], "integer"),
    ],
)
def test_other_text_is_not_of_the_type(texts: list[str], kind: str) -> None:
    schema = {"properties": {"p": {"type": kind}}}

    assert faults({"params": schema}, params={"p": texts})[0].startswith("params /p: ")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "missing; expected JSON"),
        (b'{"a": 1,\n "b" 2}', "Expecting ':' delimiter at line 2 column 6"),
        (b"ab\xff", "byte 3 is not UTF-8"),
        (b"NaN", "NaN is no JSON"),
        (b"1" * 5000, "too many digits"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 700 + b"]" * 700, "nested too deeply"),
        (b'"\\ud800"', "half of a surrogate pair"),
    ],
)
def test_says_why_a_body_is_no_json(body: bytes, reason: str) -> None:
    assert reason in "; ".join(faults({"body": {}}, body=body))


def test_a_body_is_read_only_for_a_schema() -> None:
    validate(spec("PUT", params={}), request(body=b"\xff"), {})


def test_an_answer_holds_a_hundred_faults_and_no_body() -> None:
    body = json.dumps([["x" * 1000]] * 150).encode()
    found = faults({"body": {"items": {"type": "string"}}}, body=body)

    assert len(found) == 101
    assert found[-1] == "and 50 more"
    assert max(map(len, found)) < 310


def test_the_answer_to_a_large_wrong_body_lists_its_first_faults_and_that_there_may_be_more() -> (
    None
):
    body = json.dumps({f"X{n}": 0 for n in range(50_000)}).encode()
    found = faults({"body": {"propertyNames": {"pattern": "^[a-z]+$"}}}, body=body)

    assert found[0] == 'body: "X0" does not match "^[a-z]+$"'
    assert len(found) == 100
    assert found[-1] == "body: too large, or nested too deeply, to list further faults"


def test_defaults_do_not_make_a_small_body_a_large_one() -> None:
    schema = {"items": {"properties": {"a": {"default": "x" * 1000}}}}
    found = faults({"body": schema}, body=json.dumps([{}] * 2000).encode())

    assert found == ["body: the defaults of its schema would add more than 1048576 bytes"]
