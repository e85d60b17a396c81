"""Dataclasses as JSON values, and their schemas."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest

from qmonus_lite.apigw.json_values import Schemas, json_value
from qmonus_lite.schema import Schema
from qmonus_lite.uploads.receipt import Receipt
from qmonus_lite.values import Value


class Part(Value, frozen=True, kw_only=True):
    """A part."""

    name: str


class Sample(Value, frozen=True, kw_only=True):
    """A value with every type of field."""

    #: How many, over
    #: two lines.
    count: Annotated[int, ("minimum", 0)]
    parts: tuple[Part, ...]
    by_name: Mapping[str, Part]
    kind: Literal["a", "b"]
    #: None is sent.
    size: float | None
    anything: object
    #: None is not sent.
    note: str | None = None
    level: str = "low"


class ExtendedSample(Sample, frozen=True, kw_only=True):
    """A value with inherited fields."""

    more: bool


SAMPLE = {
    "count": 1,
    "parts": [{"name": "p"}],
    "by_name": {"q": {"name": "q"}},
    "kind": "a",
    "size": None,
    "anything": [1, {}],
    "level": "low",
}


def sample(**more: Any) -> Sample:
    part = Part(name="p")
    given = {"count": 1, "parts": (part,), "by_name": {"q": Part(name="q")}, "kind": "a"}
    return Sample(**{**given, "size": None, "anything": [1, {}], **more})


def schema_of(kind: type) -> dict[str, Any]:
    """A schema that can be compiled by itself."""
    schemas = Schemas()
    return {**schemas.of(kind), "components": {"schemas": schemas.components}}


def test_a_value_has_all_fields_but_those_that_may_be_left_out() -> None:
    assert json_value(sample()) == SAMPLE
    assert json_value(sample(note="n")) == {**SAMPLE, "note": "n"}


def test_the_schema_fits_what_is_sent_and_nothing_else() -> None:
    schema = Schema(schema_of(Sample))

    assert schema.mismatches(SAMPLE) == []
    assert schema.mismatches({**SAMPLE, "note": "n", "size": 1.5}) == []
    for wrong in (
        {**SAMPLE, "count": -1},
        {**SAMPLE, "kind": "c"},
        {**SAMPLE, "note": None},
        {**SAMPLE, "parts": [{}]},
        {**SAMPLE, "by_name": {"q": 1}},
        {**SAMPLE, "unknown": 1},
        {name: value for name, value in SAMPLE.items() if name != "level"},
    ):
        assert schema.mismatches(wrong), wrong


def test_comments_describe_the_fields_inherited_ones_too() -> None:
    for kind in (Sample, ExtendedSample):
        schemas = Schemas()
        schemas.of(kind)
        properties = schemas.components[kind.__name__]["properties"]

        assert properties["count"]["description"] == "How many, over two lines."
        assert properties["note"]["description"] == "None is not sent."
        assert "description" not in properties["parts"]


def test_a_type_without_a_schema_is_refused() -> None:
    with pytest.raises(TypeError, match="set"):
        Schemas().of(set[str])


def test_the_receipt_is_sent_as_its_schema_says() -> None:
    receipt = Receipt(
        upload_id="u",
        path="/upload/a",
        filename="a",
        bytes=1,
        mime="text/plain",
        event_id="e",
        durable=True,
        replaced=False,
    )

    assert receipt.to_json() == json_value(receipt)
    assert Schema(schema_of(Receipt)).mismatches(receipt.to_json()) == []
