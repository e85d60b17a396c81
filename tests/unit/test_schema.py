"""JSON Schema: all faults with their places, defaults, and no way to stall or call out."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qmonus_lite.schema import BadPattern, BadSchema, Mismatch, Pattern, Schema

IMAGE = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "size": {"type": "integer", "default": 1},
        "tags": {
            "type": "array",
            "items": {"type": "object", "properties": {"k": {"type": "string", "default": "x"}}},
        },
    },
}


def test_finds_nothing_wrong_with_a_fitting_value() -> None:
    assert Schema(IMAGE).mismatches({"name": "a", "size": 3, "more": True}) == []


def test_names_every_fault_by_its_place() -> None:
    found = Schema(IMAGE).mismatches({"size": "x", "tags": [{}, {"k": 1}]})

    assert {mismatch.pointer for mismatch in found} == {"", "/size", "/tags/1/k"}
    assert all(mismatch.message for mismatch in found)


@pytest.mark.parametrize(
    ("path", "pointer"),
    [((), ""), (("a", 0), "/a/0"), (("a/b", "c~d"), "/a~1b/c~0d"), (("",), "/")],
)
def test_writes_places_as_json_pointers(path: tuple[str | int, ...], pointer: str) -> None:
    assert Mismatch(path=path, message="x").pointer == pointer


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({"type": "strong"}, ("type",)),
        ({"properties": {"a": {"minLength": -1}}}, ("properties", "a", "minLength")),
        ({"pattern": "("}, ("pattern",)),
        ({"required": "name"}, ("required",)),
    ],
)
def test_refuses_a_faulty_schema_and_says_where(
    schema: dict[str, Any], pointer: tuple[str, ...]
) -> None:
    with pytest.raises(BadSchema) as caught:
        Schema(schema)

    assert caught.value.pointer == pointer


@pytest.mark.parametrize("ref", ["http://127.0.0.1:1/x.json", "file:///etc/passwd", "other.json"])
def test_follows_no_reference_out_of_the_document(ref: str) -> None:
    with pytest.raises(BadSchema):
        Schema({"properties": {"a": {"$ref": ref}}})


def test_follows_references_inside_the_document() -> None:
    schema = Schema({"$defs": {"n": {"type": "integer"}}, "items": {"$ref": "#/$defs/n"}})

    assert [mismatch.pointer for mismatch in schema.mismatches([1, "x"])] == ["/1"]


DRAFTS = ["2020-12/schema", "2019-09/schema"]


@pytest.mark.parametrize("draft", [None, *DRAFTS])
@pytest.mark.parametrize(
    ("name", "fits", "does_not"),
    [
        ("uuid", "2eb8aa08-aa98-11ea-b4aa-73b441d16380", "not-a-uuid"),
        ("date-time", "2026-11-22T10:00:00Z", "2026-11-22 10:00"),
        ("date", "2026-02-28", "2026-02-30"),
        ("email", "a@example.com", "a"),
        ("ipv4", "192.0.2.1", "192.0.2.256"),
        ("uri", "http://a/", "a b"),
        ("regex", "a+", "("),
    ],
)
def test_a_format_is_checked_in_every_draft(
    draft: str | None, name: str, fits: str, does_not: str
) -> None:
    document: dict[str, object] = {"properties": {"a": {"format": name}}}
    if draft:
        document["$schema"] = f"https://json-schema.org/draft/{draft}"
    schema = Schema(document)

    assert schema.mismatches({"a": fits}) == schema.mismatches({"a": 5}) == []
    [found] = schema.mismatches({"a": does_not})
    assert found.path == ("a",)


def test_a_format_that_is_not_known_checks_nothing() -> None:
    assert Schema({"format": "password"}).fits("any")
    draft7 = "http://json-schema.org/draft-07/schema#"
    assert Schema({"$schema": draft7, "format": "uuid"}).fits("any")
    assert not Schema({"$schema": draft7, "format": "date"}).fits("any")


def test_no_pattern_stalls() -> None:
    schema = Schema({"pattern": "^(a+)+$"})
    started = time.monotonic()

    assert schema.mismatches("a" * 10_000 + "b") != []
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("pattern", [r"(?=a)", r"(a)\1"])
def test_refuses_patterns_that_need_a_stalling_engine(pattern: str) -> None:
    with pytest.raises(BadSchema):
        Schema({"pattern": pattern})


@pytest.mark.parametrize(
    ("value", "filled"),
    [
        ({"name": "a"}, {"name": "a", "size": 1}),
        ({"name": "a", "size": 5}, {"name": "a", "size": 5}),
        ({"tags": [{}, {"k": "y"}, 3]}, {"size": 1, "tags": [{"k": "x"}, {"k": "y"}, 3]}),
        ({"tags": "none"}, {"size": 1, "tags": "none"}),
        ([1], [1]),
        ("text", "text"),
    ],
)
def test_fills_in_defaults(value: object, filled: object) -> None:
    assert Schema(IMAGE).with_defaults(value) == filled


def test_leaves_the_value_and_the_schema_alone() -> None:
    schema, value = Schema({"properties": {"a": {"default": []}}}), {"b": 1}
    filled = schema.with_defaults(value)
    assert isinstance(filled, dict)
    filled["a"].append(1)

    assert value == {"b": 1}
    assert schema.with_defaults({}) == {"a": []}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=3), below),
    max_leaves=8,
)


@given(JSON)
def test_takes_any_json_value(value: object) -> None:
    schema = Schema(IMAGE)
    schema.with_defaults(value)

    assert all(
        mismatch.pointer == "" or mismatch.pointer.startswith("/")
        for mismatch in schema.mismatches(value)
    )


@given(st.dictionaries(st.sampled_from(["type", "items", "properties", "pattern", "$ref"]), JSON))
def test_compiles_any_document_or_refuses_it(document: dict[str, object]) -> None:
    try:
        Schema(document).mismatches({"a": [1]})
    except BadSchema as error:
        assert str(error)


@pytest.mark.parametrize(
    ("text", "path", "matches"),
    [
        ("/upload", "/upload/a", True),
        ("^/upload/.*$", "/upload/a", True),
        ("/a$", "/a\n", False),
        ("/a|/b", "/bc", True),
        ("b", "/b", False),
        (r"/\d+\.txt", "/12.txt", True),
        ("/名", "/名前", True),
        ("(?i)/UP", "/up", True),
    ],
)
def test_a_pattern_matches_from_the_start(text: str, path: str, matches: bool) -> None:
    assert Pattern(text).match(path) is matches


@pytest.mark.parametrize("text", ["(", "a)|(b", "(?=a)b", r"(a)\1", "(a{1000}){1000}", "(?x) a #"])
def test_refuses_a_pattern_that_the_engine_does_not_take(text: str) -> None:
    with pytest.raises(BadPattern, match="not a regular expression"):
        Pattern(text)


def test_no_text_stalls_a_pattern() -> None:
    began = time.monotonic()

    assert not Pattern("(a+)+$").match("a" * 100_000 + "!")
    assert not Pattern(".*").match("\ud800")
    assert time.monotonic() - began < 1


def test_a_large_value_without_defaults_is_not_copied() -> None:
    value = {"more": [1] * 500_000}
    began = time.monotonic()

    filled = Schema(IMAGE).with_defaults(value)
    assert filled == {"more": [1] * 500_000, "size": 1}
    assert value == {"more": [1] * 500_000}
    assert time.monotonic() - began < 2
