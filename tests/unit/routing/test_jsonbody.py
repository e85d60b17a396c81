"""JSON by rules that leave one reading only."""

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.errors import UnsupportedMedia
from qmonus_lite.routing import jsonbody
from qmonus_lite.routing.jsonbody import MAX_DEPTH, BadJson, check_media, read

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Text that UTF-8 can carry.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda parts: st.lists(parts) | st.dictionaries(st.text(st.characters(codec="utf-8")), parts),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_reads_whatever_json_can_say(value: Any, ascii_only: bool) -> None:
    assert read(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "Expecting value at line 1 column 1"),
        (b"{", "line 1 column 2"),
        (b"{'a': 1}", "line 1 column 2"),
        (b"[1,,]", "line 1 column 4"),
        (b'"a\nb"', "Invalid control character"),
        (b'{"a": 1} x', "Extra data at line 1 column 10"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b'"\xff"', "byte 2 is not UTF-8"),
        (b"\xff\xfe1\x00", "byte 1 is not UTF-8"),
        (b"[NaN]", "NaN is no JSON"),
        (b"[-Infinity]", "-Infinity is no JSON"),
        (b"[1e400]", "a number that is too large"),
        (b"[-1e400]", "a number that is too large"),
        (b"9" * 5000, "too many digits"),
        (b'{"a": 1, "b": {"c": 1, "c": 1}}', "a name is given twice"),
        (b'{"a": 1, "\\u0061": 2}', "a name is given twice"),
        (b'["\\ud800"]', "half of a surrogate pair"),
        (b'{"\\udfff": 1}', "half of a surrogate pair"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 65 + b"]" * 65, "nested too deeply"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "nested too deeply"),
    ],
)
def test_refuses_and_says_why(body: bytes, reason: str) -> None:
    with pytest.raises(BadJson) as refused:
        read(body)

    assert reason in str(refused.value)


@pytest.mark.parametrize("body", [b'"\\ud83d\\ude00"', b"1.0", b" [] \n", b"[" * 64 + b"]" * 64])
def test_takes_what_looks_odd_and_is_sound(body: bytes) -> None:
    assert read(body) == json.loads(body)


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert read(b"[" + b"[]," * 1000 + b"[]]") == [[]] * 1001
    assert MAX_DEPTH == 64


@pytest.mark.parametrize(
    "body", [b"[" + b"1," * 500_000 + b"1]", b"[" + b'{"a":1},' * 120_000 + b"1]", b"[" * (1 << 20)]
)
def test_a_mebibyte_takes_less_than_a_second(body: bytes) -> None:
    began = time.process_time()
    with suppress(BadJson):
        read(body)

    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "application/json",
        "Application/JSON; Charset=UTF-8",
        'application/json; charset="utf-8"',
        "application/merge-patch+json",
    ],
)
def test_takes_what_says_that_it_is_json(kind: str | None) -> None:
    check_media(kind)


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "json",
    ],
)
def test_415_for_what_says_that_it_is_something_else(kind: str) -> None:
    with pytest.raises(UnsupportedMedia):
        check_media(kind)


def test_a_reason_shows_nothing_of_the_body() -> None:
    with pytest.raises(BadJson) as refused:
        jsonbody.read(b'{"password": s3cret}')

    assert "s3cret" not in str(refused.value)
