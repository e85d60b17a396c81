"""The one door to JSON Schema: compile once, report every fault by JSON pointer, fill in defaults.

Patterns run on a linear-time engine and no `$ref` leaves the document, so neither can stall or call
out (docs/decisions/json-schema.md). Draft 2020-12 unless the schema names another.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import jsonschema_rs


class BadSchema(ValueError):
    """A schema that cannot be used; `pointer` says which part."""

    def __init__(self, message: str, pointer: tuple[str | int, ...] = ()) -> None:
        self.pointer = pointer
        super().__init__(message)


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """One place where a value does not fit."""

    #: Path into the value.
    path: tuple[str | int, ...]
    #: What is wrong there.
    message: str

    @property
    def pointer(self) -> str:
        """The place as an RFC 6901 JSON pointer."""
        parts = (str(part).replace("~", "~0").replace("/", "~1") for part in self.path)
        return "".join(f"/{part}" for part in parts)


class BadPattern(ValueError):
    """Text that is no regular expression of the linear-time engine."""


class Pattern:
    """A regular expression on the same engine, so that no text can stall it."""

    def __init__(self, text: str) -> None:
        """Compile; raises BadPattern."""
        for whole in (text, f"^(?:{text})"):
            try:
                self._schema = Schema({"type": "string", "pattern": whole})
            except BadSchema:
                raise BadPattern(
                    f"not a regular expression that can be used: {text[:80]!r}"
                    " (look-around and back-references cannot)"
                ) from None

    def match(self, string: str, /) -> bool:
        """Whether it matches from the start of the text."""
        return self._schema.fits(string)


class Schema:
    """A compiled JSON Schema."""

    def __init__(self, document: Mapping[str, object]) -> None:
        """Compile; raises BadSchema."""
        self.document = document
        try:
            self._validator = jsonschema_rs.validator_for(
                dict(document), pattern_options=jsonschema_rs.RegexOptions(), offline=True
            )
        except jsonschema_rs.ValidationError as error:
            raise BadSchema(error.message, tuple(error.instance_path)) from None
        except (jsonschema_rs.ReferencingError, ValueError) as error:
            raise BadSchema(str(error)) from None

    def mismatches(self, value: object) -> list[Mismatch]:
        """Everything in `value` that does not fit; empty when it fits."""
        return [
            Mismatch(path=tuple(error.instance_path), message=error.message)
            for error in self._validator.iter_errors(value)
        ]

    def fits(self, value: object) -> bool:
        """Whether nothing in `value` is amiss; False for text that is not Unicode."""
        try:
            return bool(self._validator.is_valid(value))
        except ValueError:
            return False

    def with_defaults(self, value: object) -> object:
        """`value` with the `default` of every absent property filled in; `value` stays as it is.

        Reaches through `properties` and `items`; `$ref` and combinators are left alone.
        """
        return _filled(self.document, value)


def _filled(schema: object, value: object) -> object:
    # What has nothing to fill in is handed back, not copied: a body may have 500,000 values.
    if isinstance(schema, Mapping) and isinstance(value, dict):
        return _filled_properties(schema.get("properties"), value)
    if isinstance(schema, Mapping) and isinstance(value, list):
        items = schema.get("items")
        return [_filled(items, entry) for entry in value] if _has_parts(items) else value
    return value


def _filled_properties(properties: object, value: dict[str, object]) -> dict[str, object]:
    if not isinstance(properties, Mapping):
        return value
    filled = dict(value)
    for name, part in properties.items():
        if name in filled:
            filled[name] = _filled(part, filled[name])
        elif isinstance(part, Mapping) and "default" in part:
            filled[name] = copy.deepcopy(part["default"])
    return filled


def _has_parts(schema: object) -> bool:
    return isinstance(schema, Mapping) and ("properties" in schema or "items" in schema)
