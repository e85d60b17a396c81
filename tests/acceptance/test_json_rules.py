"""Bodies of routed requests, against the rules of JSON and a schema, over the real APIGW."""

import time

import pytest

from tests.acceptance.harness import Installation

ROUTE = """\
- authorities: ["127.0.0.1:1"]
  proxy: {path: /things, authorization: {auth_mode: none}}
  request_forbidden_process: |-
    return {"size": json.loads(request.body)["size"]}
  spec:
    - method: POST
      schema:
        request:
          body:
            type: object
            required: [size]
            additionalProperties: false
            properties:
              size: {type: integer}
              code: {type: string, pattern: "^abc$"}
              slow: {type: string, pattern: "^(a+)+$"}
              any: {}
"""

JSON = "application/json"


@pytest.fixture(scope="module")
def things(shared: Installation) -> Installation:
    shared.plugin("things.yml", ROUTE)
    shared.up()
    return shared


def post(things: Installation, body: bytes, kind: str = JSON, *more: str) -> tuple[int, str]:
    """Status and detail of the answer."""
    file = things.file("body", body)
    answer = things.curl(
        "/things", "-H", f"Content-Type: {kind}", "--data-binary", f"@{file}", *more
    )
    return answer.status, answer.text


@pytest.mark.parametrize(
    ("row", "body", "status"),
    [
        ("B120", b"{", 400),
        ("B120", b"\xef\xbb\xbf" + b'{"size": 1}', 400),
        ("B120", b'{"size": 1} x', 400),
        ("B120", b"", 400),
        ("B121", b'{"size": 1, "any": ' + b"[" * 100_000, 400),
        ("B121", b'{"size": 1, "any": ' + b"[" * 64 + b"]" * 64 + b"}", 400),
        ("B122", b'{"size": 1, "any": NaN}', 400),
        ("B122", b'{"size": 1, "any": Infinity}', 400),
        ("B122", b'{"size": 1, "any": 1e400}', 400),
        ("B123", b'{"size": ' + b"9" * 5000 + b"}", 400),
        ("B124", b'{"size": 1, "size": 2}', 400),
        ("B125", b'{"size": 1, "any": "\\ud800"}', 400),
        ("B126", b'{"size": 1, "other": 2}', 400),
        ("B127", b'{"size": 1, "slow": "' + b"a" * (2 << 20) + b'"}', 413),
        ("B127", b'{"size": 1, "slow": "' + b"a" * (900 << 10) + b'!"}', 400),
        ("B128", b'{"size": 1, "code": "abc\\n"}', 400),
        ("B129", b'{"size": true}', 400),
        ("B129", b'{"size": 1.5}', 400),
        ("B131", b'{"size": 1, "any": "' + b"a" * (1 << 20) + b'"}', 413),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_refuses_what_has_no_one_reading(
    things: Installation, row: str, body: bytes, status: int
) -> None:
    began = time.monotonic()

    assert post(things, body)[0] == status, row
    assert time.monotonic() - began < 2
    assert post(things, b'{"size": 7}') == (200, '{"size": 7}')


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/json; charset=utf-16", "application/x-www-form-urlencoded"]
)
def test_415_for_another_kind_of_body(things: Installation, kind: str) -> None:
    status, text = post(things, b'{"size": 7}', kind)

    assert status == 415
    assert "application/problem+json" not in text


def test_413_for_a_chunked_body_above_the_limit(things: Installation) -> None:
    body = b'{"size": 1, "any": "' + b"a" * (1 << 20) + b'"}'

    assert post(things, body, JSON, "-H", "Transfer-Encoding: chunked")[0] == 413


def test_one_point_nought_is_an_integer_and_goes_on_as_it_came(things: Installation) -> None:
    assert post(things, b'{"size": 1.0}') == (200, '{"size": 1.0}')


def test_names_the_place_of_every_fault(things: Installation) -> None:
    status, text = post(things, b'{"size": true, "code": "x"}')

    assert status == 400
    assert "body /size" in text and "body /code" in text
