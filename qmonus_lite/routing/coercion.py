"""Type coercion of text from headers, query and path to the types that a JSON schema declares."""

import json
import math
import re
from collections.abc import Mapping, Sequence

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,99})")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,99})(?:\.[0-9]{1,99})?(?:[eE][+-]?[0-9]{1,3})?")


def read(text: str, schema: object) -> object:
    """`text` as integer, number or boolean if the schema declares that type, else unchanged."""
    types = declared(schema)
    if not {"integer", "number"}.isdisjoint(types) and _INTEGER.fullmatch(text):
        return int(text)
    if "number" in types and _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    if "boolean" in types and text in {"true", "false"}:
        return text == "true"
    return text


def read_all(texts: Sequence[str], schema: object) -> object:
    """The value of a parameter with these texts: a list if there are several or the schema
    declares an array."""
    if "array" in declared(schema):
        items = schema.get("items") if isinstance(schema, Mapping) else None
        return [read(text, items) for text in texts]
    values = [read(text, schema) for text in texts]
    return values[0] if len(values) == 1 else values


def write(value: object) -> str:
    """A value, such as a schema default, as text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def write_all(value: object) -> list[str]:
    """A value as texts: one per entry of a list."""
    return [write(entry) for entry in value] if isinstance(value, list) else [write(value)]


def declared(schema: object) -> tuple[str, ...]:
    """The types that a schema declares, in order."""
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    if isinstance(kind, str):
        return (kind,)
    return tuple(kind) if isinstance(kind, list) else ()
