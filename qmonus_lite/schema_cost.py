"""How much work it is to list the faults of a value against a JSON Schema, counted beforehand.

A validator that lists faults follows every branch: under a `$ref` that leads back to the schema,
`anyOf` doubles the work with each level of the value, so that 24 bytes can cost seconds. And each
fault holds a copy of the value it is about: `propertyNames` makes one copy of the object for each
wrong name. Both are counted here without doing them, and counting ends at a bound.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

#: What a fault costs besides the copy of its value, in values copied.
FAULT = 8
#: Characters of text that count as a value.
CHARACTERS = 32

#: Keywords that say nothing about the value.
SILENT = frozenset(
    {"$schema", "$id", "$anchor", "$dynamicAnchor", "$comment", "$defs", "$vocabulary"}
    | {"$ref", "$dynamicRef", "$recursiveRef"}
    | {"definitions", "title", "description", "default", "examples", "deprecated"}
    | {"readOnly", "writeOnly"}
)
#: Keywords that a reference is taken for where it is not followed.
REFERENCE = 50
_Part = tuple[object, object]


class TooMuch(Exception):
    """More work than the bound, or work that cannot be counted."""


class References:
    """Where the references of a document lead; those that leave it cannot be followed."""

    def __init__(self, document: Mapping[str, object]) -> None:
        self._found: dict[str, object] = {"#": document}
        stack: list[object] = list(document.values())
        #: A part with an identifier of its own: references in it are relative to that.
        self._is_plain = True
        while stack:
            one = stack.pop()
            if isinstance(one, Mapping):
                self._is_plain &= not isinstance(one.get("$id"), str)
                anchors = [one.get("$anchor"), one.get("$dynamicAnchor")]
                self._found |= {f"#{name}": one for name in anchors if isinstance(name, str)}
                stack += one.values()
            elif isinstance(one, list):
                stack += one

    def follow(self, ref: object) -> object:
        """The schema that a reference leads to; raises TooMuch where that is not known."""
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
    """Work that may still be done; shared by everything that one answer needs."""

    left: int
    #: Values in a value, by its identity.
    _sizes: dict[int, int] = field(default_factory=dict)

    def count(self, references: References, schema: object, value: object) -> None:
        """Take off what it costs to list the faults; raises TooMuch, and then nothing is taken."""
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
    """How many faults this schema can find in a value, without those in what is below it."""
    if not isinstance(schema, Mapping):
        return 1
    return 1 + sum([_faults_of(word, part, value) for word, part in schema.items()])


def _faults_of(word: str, part: object, value: object) -> int:
    if word == "required" and isinstance(part, list):
        return len(part)
    if word in {"dependentRequired", "dependencies"} and isinstance(part, Mapping):
        return sum([len(names) for names in part.values() if isinstance(names, list)])
    if word == "propertyNames":
        return _words(part) * (len(value) if isinstance(value, dict) else 0)
    return 0 if word in SILENT or word in PARTS else 1


def _words(schema: object) -> int:
    """How many keywords stand in a schema, with those of its parts."""
    if isinstance(schema, Mapping):
        return 1 + sum([_words(part) for part in schema.values()]) + REFERENCE * ("$ref" in schema)
    return 1 + sum([_words(part) for part in schema]) if isinstance(schema, list) else 1


def _parts(references: References, schema: Mapping[str, object], value: object) -> Iterator[_Part]:
    """What is checked against what next: the same value, or one below it."""
    for word, part in schema.items():
        if word in {"$ref", "$dynamicRef", "$recursiveRef"}:
            yield references.follow(part), value
        elif word in PARTS:
            yield from PARTS[word](part, value)


def _same(part: object, value: object) -> Iterator[_Part]:
    yield part, value


def _same_each(part: object, value: object) -> Iterator[_Part]:
    for one in part.values() if isinstance(part, Mapping) else part:  # type: ignore[attr-defined]
        # Behind `dependencies` of draft 7 may be names in place of a schema.
        if not isinstance(one, list):
            yield one, value


def _by_name(part: object, value: object) -> Iterator[_Part]:
    if isinstance(value, dict) and isinstance(part, Mapping):
        for name, one in value.items():
            if name in part:
                yield part[name], one


def _each_property(part: object, value: object) -> Iterator[_Part]:
    if isinstance(value, dict):
        for one in value.values():
            yield part, one


def _each_property_by_pattern(part: object, value: object) -> Iterator[_Part]:
    for one in part.values() if isinstance(part, Mapping) else ():
        yield from _each_property(one, value)


def _each_item(part: object, value: object) -> Iterator[_Part]:
    if isinstance(value, list):
        # In draft 7, `items` may be a list of schemas.
        schemas = part if isinstance(part, list) else [part] * len(value)
        yield from zip(schemas, value, strict=False)


#: What stands behind keywords that hold schemas. `if`, `not` and `contains` are missing: the
#: validator only asks whether those fit, which is cheap.
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
