"""Estimates the cost of listing the JSON Schema errors of a value, before validation.

A validator that lists errors evaluates every branch: with a recursive `$ref`, `anyOf` doubles the
work at each level of the value, so that 24 bytes can cost seconds. Also, each error contains a copy
of its value: `propertyNames` copies the object once per invalid name. Both are counted here without
validation, and counting stops at a limit.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

#: Cost of an error besides the copy of its value, in copied values.
FAULT = 8
#: Characters of text that count as one value.
CHARACTERS = 32

#: Keywords that make no assertion about the value.
SILENT = frozenset(
    {"$schema", "$id", "$anchor", "$dynamicAnchor", "$comment", "$defs", "$vocabulary"}
    | {"$ref", "$dynamicRef", "$recursiveRef"}
    | {"definitions", "title", "description", "default", "examples", "deprecated"}
    | {"readOnly", "writeOnly"}
)
#: Number of keywords that an unresolved reference is counted as.
REFERENCE = 50
_Part = tuple[object, object]


class TooMuch(Exception):
    """The cost exceeds the limit or cannot be estimated."""


class References:
    """Resolves references within a document; external references are not resolved."""

    def __init__(self, document: Mapping[str, object]) -> None:
        self._found: dict[str, object] = {"#": document}
        stack: list[object] = list(document.values())
        #: False if a subschema has its own `$id`: its references are relative to that.
        self._is_plain = True
        while stack:
            child = stack.pop()
            if isinstance(child, Mapping):
                self._is_plain &= not isinstance(child.get("$id"), str)
                anchors = [child.get("$anchor"), child.get("$dynamicAnchor")]
                self._found |= {f"#{name}": child for name in anchors if isinstance(name, str)}
                stack += child.values()
            elif isinstance(child, list):
                stack += child

    def follow(self, ref: object) -> object:
        """The target of a reference; raises TooMuch if it cannot be resolved."""
        if not isinstance(ref, str) or not self._is_plain:
            raise TooMuch
        if ref not in self._found:
            self._found[ref] = self._by_pointer(ref)
        return self._found[ref]

    def _by_pointer(self, ref: str) -> object:
        if not ref.startswith("#/"):
            raise TooMuch
        found: Any = self._found["#"]
        for token in unquote(ref[2:]).split("/"):
            name = token.replace("~1", "/").replace("~0", "~")
            try:
                found = found[int(name)] if isinstance(found, list) else found[name]
            except (KeyError, IndexError, ValueError, TypeError):
                raise TooMuch from None
        return found


@dataclass(kw_only=True)
class Work:
    """Remaining cost budget of one validation result."""

    left: int
    #: Sizes of containers in values, by `id()`.
    _sizes: dict[int, int] = field(default_factory=dict)

    def count(self, references: References, schema: object, value: object) -> None:
        """Deduct the cost of listing the errors; raises TooMuch and then deducts nothing."""
        left = self.left
        try:
            self._count(references, [(schema, value)])
        except TooMuch:
            self.left = left
            raise

    def _count(self, references: References, stack: list[_Part]) -> None:
        while stack:
            schema, value = stack.pop()
            self._take(_faults(schema, value) * (FAULT + self._size(value)))
            if isinstance(schema, Mapping):
                for part in _parts(references, schema, value):
                    self._take(1)
                    stack.append(part)

    def _take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise TooMuch

    def _size(self, value: object) -> int:
        if isinstance(value, str):
            return 1 + len(value) // CHARACTERS
        if not isinstance(value, (dict, list)):
            return 1
        known = self._sizes.get(id(value))
        if known is None:
            known = self._sizes[id(value)] = self._sum(value)
        return known

    def _sum(self, value: dict[str, object] | list[object]) -> int:
        size = 1
        for part in value.values() if isinstance(value, dict) else value:
            size += self._size(part)
            if size > self.left:
                raise TooMuch
        if isinstance(value, dict):
            size += sum([len(name) for name in value]) // CHARACTERS
        return size


def _faults(schema: object, value: object) -> int:
    """Maximum number of errors of this schema at this value, subschemas excluded."""
    if not isinstance(schema, Mapping):
        return 1
    return 1 + sum([_faults_of(keyword, part, value) for keyword, part in schema.items()])


def _faults_of(keyword: str, part: object, value: object) -> int:
    if keyword == "required" and isinstance(part, list):
        return len(part)
    if keyword in {"dependentRequired", "dependencies"} and isinstance(part, Mapping):
        return sum([len(names) for names in part.values() if isinstance(names, list)])
    if keyword == "propertyNames":
        return _keywords(part) * (len(value) if isinstance(value, dict) else 0)
    return 0 if keyword in SILENT or keyword in PARTS else 1


def _keywords(schema: object) -> int:
    """Number of keywords in a schema, subschemas included."""
    if isinstance(schema, Mapping):
        return (
            1 + sum([_keywords(part) for part in schema.values()]) + REFERENCE * ("$ref" in schema)
        )
    return 1 + sum([_keywords(part) for part in schema]) if isinstance(schema, list) else 1


def _parts(references: References, schema: Mapping[str, object], value: object) -> Iterator[_Part]:
    """The next pairs of subschema and value: the same value, or a child of it."""
    for keyword, part in schema.items():
        if keyword in {"$ref", "$dynamicRef", "$recursiveRef"}:
            yield references.follow(part), value
        elif keyword in PARTS:
            yield from PARTS[keyword](part, value)


def _same(part: object, value: object) -> Iterator[_Part]:
    yield part, value


def _same_each(part: object, value: object) -> Iterator[_Part]:
    for child in part.values() if isinstance(part, Mapping) else part:  # type: ignore[attr-defined]
        # `dependencies` of draft 7 may contain lists of names instead of schemas.
        if not isinstance(child, list):
            yield child, value


def _by_name(part: object, value: object) -> Iterator[_Part]:
    if isinstance(value, dict) and isinstance(part, Mapping):
        for name, child in value.items():
            if name in part:
                yield part[name], child


def _each_property(part: object, value: object) -> Iterator[_Part]:
    if isinstance(value, dict):
        for child in value.values():
            yield part, child


def _each_property_by_pattern(part: object, value: object) -> Iterator[_Part]:
    for child in part.values() if isinstance(part, Mapping) else ():
        yield from _each_property(child, value)


def _each_item(part: object, value: object) -> Iterator[_Part]:
    if isinstance(value, list):
        # In draft 7, `items` may be a list of schemas.
        schemas = part if isinstance(part, list) else [part] * len(value)
        yield from zip(schemas, value, strict=False)


#: Keywords with subschemas, and the pairs of subschema and value that they apply. `if`, `not` and
#: `contains` are omitted: the validator only computes their validity, which is cheap.
PARTS: dict[str, Callable[[Any, object], Iterator[_Part]]] = {
    "allOf": _same_each,
    "anyOf": _same_each,
    "oneOf": _same_each,
    "then": _same,
    "else": _same,
    "dependentSchemas": _same_each,
    "dependencies": _same_each,
    "properties": _by_name,
    "patternProperties": _each_property_by_pattern,
    "additionalProperties": _each_property,
    "unevaluatedProperties": _each_property,
    "prefixItems": _each_item,
    "items": _each_item,
    "additionalItems": _each_item,
    "unevaluatedItems": _each_item,
}
