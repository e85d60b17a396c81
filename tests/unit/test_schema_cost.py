"""Checking a body against a schema is bounded, whatever the keyword and whatever the body."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qmonus_lite.schema import MAX_ERRORS, Schema
from qmonus_lite.schema_defaults import MAX_ADDED, DefaultsTooLarge
from tests.unit import schema_costs

TOP = Path(__file__).parents[2]
#: A bound on each case, far above what it takes (0.4 s of processor, 10 MiB) and below what hurts.
SECONDS, MIB = 5.0, 64.0

#: Every keyword that can fail, of both drafts that are offered.
KEYWORDS = set(
    """
    type enum const multipleOf maximum exclusiveMaximum minimum exclusiveMinimum maxLength minLength
    pattern maxItems minItems uniqueItems contains maxContains minContains maxProperties
    minProperties required dependentRequired propertyNames properties patternProperties
    additionalProperties prefixItems items allOf anyOf oneOf not if then else dependentSchemas
    unevaluatedItems unevaluatedProperties $ref $dynamicRef format additionalItems dependencies
    contentEncoding contentMediaType
    """.split()
)


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    for part in value.values() if isinstance(value, dict) else value:
        if isinstance(part, dict | list):
            yield from _words(part)


def test_no_keyword_costs_more_than_the_bound() -> None:
    command = [sys.executable, "-m", "tests.unit.schema_costs"]
    ended = subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=240)
    rows = [json.loads(line) for line in ended.stdout.splitlines()]

    assert ended.stderr == ""
    assert len(rows) == len(list(schema_costs.cases()))
    assert [row for row in rows if row["seconds"] > SECONDS or row["mib"] > MIB] == []
    # Nor does an answer list more than that, and what is said of all of it.
    assert max(row["faults"] for row in rows) <= MAX_ERRORS + 1


def test_every_keyword_has_a_case() -> None:
    tried = {word for schema, _ in schema_costs.cases() for word in _words(schema)}

    assert KEYWORDS - tried == set()


def _said(schema: dict[str, Any], value: object) -> list[tuple[str, str]]:
    return [(mismatch.pointer, mismatch.message) for mismatch in Schema(schema).mismatches(value)]


MORE = ("", "too large, or nested too deeply, to list further faults")


def test_names_the_first_faults_of_a_large_value_and_says_that_there_may_be_more() -> None:
    found = _said({"properties": {"a/b": {"items": {"type": "string"}}}}, {"a/b": [1] * 100_000})

    assert found[:2] == [(f"/a~1b/{n}", '1 is not of type "string"') for n in range(2)]
    assert len(found) == MAX_ERRORS + 1
    assert found[-1] == MORE


def test_finds_one_fault_at_the_end_of_a_large_value() -> None:
    schema = {
        "$ref": "#/$defs/row",
        "$defs": {"row": {"additionalProperties": {"$ref": "#/x%20y"}}},
    }
    schema["x y"] = {"items": {"required": ["id"], "properties": {"id": {"type": "integer"}}}}
    rows: list[dict[str, object]] = [{"id": n} for n in range(50_000)]

    assert _said(schema, {"rows": rows}) == []
    assert _said(schema, {"rows": [*rows, {"id": "x"}]}) == [
        ("/rows/50000/id", '"x" is not of type "integer"'),
        MORE,
    ]


def test_names_a_wrong_name_in_a_large_object_as_in_a_small_one() -> None:
    schema = {"propertyNames": {"pattern": "^[a-z]+$"}}
    fault = ("", '"A" does not match "^[a-z]+$"')

    assert _said(schema, {"A": 1}) == [fault]
    assert _said(schema, dict.fromkeys([*"bcdefg", *("x" * n for n in range(1, 900)), "A"])) == [
        fault,
        MORE,
    ]


@pytest.mark.parametrize(
    ("schema", "value", "found"),
    [
        ({"maxItems": 5}, [1] * 100_000, "does not fit 'maxItems': 5"),
        ({"required": ["b"]}, {"a": "x" * (1 << 20)}, '"b" is a required property'),
        ({"contains": {"const": 2}}, [1] * 100_000, "does not fit the schema"),
    ],
)
def test_says_what_a_large_value_as_a_whole_does_not_fit(
    schema: dict[str, Any], value: object, found: str
) -> None:
    assert _said(schema, value) == [("", found), MORE]


def test_lists_all_faults_of_an_ordinary_value() -> None:
    rows = [{"id": "x", "name": 5} for _ in range(300)]
    row = {"properties": {"id": {"type": "integer"}, "name": {"type": "string"}}}

    assert len(Schema({"items": row}).mismatches(rows)) == 600


def test_a_part_with_an_address_of_its_own_is_not_taken_apart_wrongly() -> None:
    inner = {"$id": "https://example.org/inner", "$defs": {"t": {"type": "string"}}}
    inner["items"] = {"$ref": "#/$defs/t"}
    schema = {"$defs": {"t": {"type": "integer"}}, "properties": {"a": inner}}

    assert _said(schema, {"a": ["x"]}) == []
    assert _said(schema, {"a": [1]}) == [("/a", "does not fit the schema"), MORE]


def test_defaults_do_not_make_a_small_body_a_large_value() -> None:
    row = {"properties": {"a": {"default": "x" * 1000}}}
    schema = Schema({"items": row})
    filled = schema.with_defaults([{}] * (MAX_ADDED // 1100))

    assert isinstance(filled, list)
    with pytest.raises(DefaultsTooLarge):
        schema.with_defaults([{}] * (MAX_ADDED // 900))


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ([10**30 + n for n in range(100)], True),
        ([10**30, 5, 10**30], False),
        ([2**63, -(2**63) - 1], True),
        ({"a": [{"b": 10**4300}, 10**4000]}, False),
        ([10**30 + n for n in range(1000)], False),
        (list(range(-5000, 5000)), True),
        ([2**63 - 1 - n for n in range(1000)], True),
    ],
)
def test_few_large_integers_are_compared_and_many_are_refused(value: object, fits: bool) -> None:
    schema = Schema({"$ref": "#/$defs/t", "$defs": {"t": {"uniqueItems": True}}})

    assert schema.fits(value) is fits
    assert (schema.mismatches(value) == []) is fits


def test_says_that_large_integers_are_not_compared() -> None:
    many = [10**30 + n for n in range(1000)]
    said = "too many integers of more than 64 bits to find out which are equal"

    assert _said({"uniqueItems": True}, many) == [("", said)]
    assert _said({"minItems": 2000}, many) != [("", said)]
