"""Values as JSON, and their JSON Schemas, from the same field definitions.

A field that may be None and has the default None is left out of the value when it is None; every
other field is always there. Comments that begin with `#:` become descriptions.
"""

import inspect
import re
import types
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from qmonus_lite.values import Value, as_dict, fields

Node = dict[str, Any]

_SCALARS: Mapping[object, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}
_FIELD = re.compile(r"    (\w+):")


def json_value(value: object) -> Any:
    """`value` with every `Value` in it as a dict."""
    if isinstance(value, Value):
        left_out = optional_fields(type(value))
        return {
            name: json_value(part)
            for name, part in as_dict(value).items()
            if part is not None or name not in left_out
        }
    if isinstance(value, Mapping):
        return {name: json_value(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(part) for part in value]
    return value


@cache
def optional_fields(kind: type[Value]) -> frozenset[str]:
    """Names of the fields of a value that are left out when they are None."""
    hints = get_type_hints(kind)
    return frozenset(
        field.name
        for field in fields(kind)
        if field.default is None and type(None) in get_args(hints[field.name])
    )


@cache
def descriptions(kind: type) -> Mapping[str, str]:
    """The `#:` comment of each field of a value; empty without its source."""
    found: dict[str, str] = {}
    for owner in reversed([base for base in kind.__mro__ if issubclass(base, Value)]):
        try:
            lines = inspect.getsource(owner).splitlines()
        except OSError:
            continue
        comment: list[str] = []
        for line in lines:
            if line.startswith("    #: "):
                comment.append(line.removeprefix("    #: "))
                continue
            named = _FIELD.match(line)
            if named and comment:
                found[named[1]] = " ".join(comment)
            comment = []
    return found


class Schemas:
    """JSON Schemas of types; those of values are collected as components."""

    def __init__(self) -> None:
        #: Content of `components/schemas`, by class name.
        self.components: dict[str, Node] = {}

    def of(self, kind: object) -> Node:
        """The schema of a type annotation; raises TypeError for one that has none."""
        if isinstance(kind, type) and issubclass(kind, Value):
            return self._component(kind)
        if kind is Any or kind is object:
            return {}
        if kind in _SCALARS:
            return {"type": _SCALARS[kind]}
        origin, parts = get_origin(kind), get_args(kind)
        if origin is Annotated:
            return {**self.of(parts[0]), **dict(parts[1:])}
        if origin is Literal:
            return {"enum": list(parts)}
        if origin in {Union, types.UnionType}:
            return {"anyOf": [self.of(part) for part in parts]}
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.of(parts[1])}
        if isinstance(origin, type) and issubclass(origin, Sequence):
            return {"type": "array", "items": self.of(parts[0])}
        raise TypeError(f"{kind} has no JSON Schema")

    def _component(self, kind: type[Value]) -> Node:
        name = kind.__name__
        if name not in self.components:
            # A class that refers to itself finds its name taken.
            self.components[name] = {}
            self.components[name] = self._object(kind)
        return {"$ref": f"#/components/schemas/{name}"}

    def _object(self, kind: type[Value]) -> Node:
        hints = get_type_hints(kind, include_extras=True)
        names = [field.name for field in fields(kind)]
        optional, described = optional_fields(kind), descriptions(kind)
        properties: dict[str, Node] = {}
        for name in names:
            schema = self.of(hints[name])
            properties[name] = _without_null(schema) if name in optional else schema
            if name in described:
                properties[name]["description"] = described[name]
        return {
            "type": "object",
            "properties": properties,
            "required": [name for name in names if name not in optional],
            "additionalProperties": False,
        }


def _without_null(schema: Node) -> Node:
    others = [part for part in schema["anyOf"] if part != {"type": "null"}]
    return others[0] if len(others) == 1 else {"anyOf": others}
