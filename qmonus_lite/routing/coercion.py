"""Text and the values behind it: headers, query and path are all text, schemas ask for more."""

import json
import math
import re
from collections.abc import Mapping, Sequence

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,99})")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,99})(?:\.[0-9]{1,99})?(?:[eE][+-]?[0-9]{1,3})?")


def read(text: str, schema: object) -> object:
    """The value that `text` stands for if the schema declares such a type, else the text."""
    types = declared(schema)
    if not {"integer", "number"}.isdisjoint(types) and _INTEGER.fullmatch(text):
        return int(text)
    if "number" in types and _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    if "boolean" in types and text in {"true", "false"}:
        return text == "true"
    return text


def read_all(texts: Sequence[str], schema: object) -> object:
    """The value of a name that was given these texts: a list if several, or if declared so."""
    if "array" in declared(schema):
        items = schema.get("items") if isinstance(schema, Mapping) else None
        return [read(text, items) for text in texts]
    values = [read(text, schema) for text in texts]
    return values[0] if len(values) == 1 else values


def write(value: object) -> str:
    """The text for a value, such as a default of a schema."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def write_all(value: object) -> list[str]:
    """The texts for a value: one for each entry of a list."""
    return [write(entry) for entry in value] if isinstance(value, list) else [write(value)]


def declared(schema: object) -> tuple[str, ...]:
    """The types that a schema names, in its order."""
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    if isinstance(kind, str):
        return (kind,)
    return tuple(kind) if isinstance(kind, list) else ()
