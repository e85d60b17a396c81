"""JSON between our own processes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite import strictjson

#: Halves of surrogate pairs have no UTF-8.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda part: st.lists(part) | st.dictionaries(TEXTS, part),
)


@given(VALUES)
def test_writes_what_json_writes_and_reads_it_again(value: Any) -> None:
    text = strictjson.write(value)

    assert text == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert strictjson.read(text.encode()) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1}, b"x", {("a",): 1}])
def test_refuses_what_json_cannot_hold(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        strictjson.write(["before", {"in": value}])


def test_refuses_a_list_that_holds_itself_and_writes_on() -> None:
    ring: list[object] = []
    ring.append(ring)

    with pytest.raises(RecursionError):
        strictjson.write(ring)
    assert strictjson.write([1]) == "[1]"


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "{", ""])
def test_reads_no_json_that_is_none(text: str) -> None:
    with pytest.raises(ValueError):
        strictjson.read(text.encode())


@given(VALUES)
def test_writes_plain_values_in_both_forms_and_reads_them_again(value: Any) -> None:
    assert strictjson.read(strictjson.write_plain(value)) == value
    assert strictjson.read(strictjson.write_plain_for_people(value)) == value


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | TEXTS,
        lambda part: st.lists(part) | st.dictionaries(TEXTS, part),
    )
)
def test_writes_plain_values_without_floats_as_other_values(value: Any) -> None:
    assert strictjson.write_plain(value).decode() == strictjson.write(value)
    assert strictjson.write_plain_for_people(value).decode() == strictjson.write_for_people(value)


def test_refuses_text_that_has_no_utf8() -> None:
    with pytest.raises(ValueError):
        strictjson.write_plain({"a": "\ud800"})


def test_writes_with_spaces_for_people() -> None:
    value = {"a": [1, "ü"], "b": None}

    assert strictjson.write_for_people(value) == '{"a": [1, "ü"], "b": null}'
