"""Fills the defaults of a JSON Schema into a value, up to a maximum size."""

import copy
import json
from collections.abc import Mapping

#: Maximum characters of JSON that defaults add to a value.
MAX_ADDED = 1 << 20


class DefaultsTooLarge(Exception):
    """The defaults of a value exceed MAX_ADDED."""


class Filling:
    """Fills defaults into a value and counts their size."""

    def __init__(self) -> None:
        self._left = MAX_ADDED
        #: Size of each default in characters, by `id()`.
        self._sizes: dict[int, int] = {}

    def of(self, schema: object, value: object) -> object:
        """The value with defaults; copied only where needed. Raises DefaultsTooLarge."""
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
