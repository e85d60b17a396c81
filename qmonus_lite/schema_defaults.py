"""Defaults of a JSON Schema, filled into a value, with a bound on what they add."""

import copy
import json
from collections.abc import Mapping

#: Characters of JSON that defaults may add to one value.
MAX_ADDED = 1 << 20


class DefaultsTooLarge(Exception):
    """Defaults that would make a value much larger than it came."""


class Filling:
    """Fills defaults into one value."""

    def __init__(self) -> None:
        self._left = MAX_ADDED
        #: Characters of a default, by its identity.
        self._sizes: dict[int, int] = {}

    def of(self, schema: object, value: object) -> object:
        """The value with its defaults; what has nothing to fill in is not copied."""
        if isinstance(schema, Mapping) and isinstance(value, dict):
            return self._properties(schema.get("properties"), value)
        if isinstance(schema, Mapping) and isinstance(value, list):
            items = schema.get("items")
            return [self.of(items, entry) for entry in value] if _has_parts(items) else value
        return value

    def _properties(self, properties: object, value: dict[str, object]) -> dict[str, object]:
        if not isinstance(properties, Mapping):
            return value
        filled = dict(value)
        for name, part in properties.items():
            if name in filled:
                filled[name] = self.of(part, filled[name])
            elif isinstance(part, Mapping) and "default" in part:
                self._take(name, part["default"])
                filled[name] = copy.deepcopy(part["default"])
        return filled

    def _take(self, name: str, default: object) -> None:
        size = self._sizes.get(id(default))
        if size is None:
            size = self._sizes[id(default)] = len(json.dumps(default, default=str))
        self._left -= len(name) + size
        if self._left < 0:
            raise DefaultsTooLarge


def _has_parts(schema: object) -> bool:
    return isinstance(schema, Mapping) and ("properties" in schema or "items" in schema)
