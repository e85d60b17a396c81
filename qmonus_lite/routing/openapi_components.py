"""Embedding of plugin schemas in an OpenAPI document, with local `$ref` rewritten to its root."""

from typing import Any

from qmonus_lite.schema import Schema


class SchemaComponents:
    """Collects schemas with local references under `components` and rewrites the references."""

    def __init__(self) -> None:
        #: Content of `components/schemas`.
        self.schemas: dict[str, Any] = {}
        self._names: dict[Schema, str] = {}

    def embedded(self, schema: Schema, part: object) -> object:
        """`part` of a schema, valid anywhere in the document."""
        if not _refers(part):
            return part
        name = self._name(schema)
        if part is schema.document:
            return {"$ref": _pointer(name)}
        return _with_references(part, name)

    def cut(self, count: int) -> None:
        """Remove all schemas but the first `count`."""
        self.schemas = dict(list(self.schemas.items())[:count])
        self._names = {schema: name for schema, name in self._names.items() if name in self.schemas}

    def _name(self, schema: Schema) -> str:
        if schema not in self._names:
            name = f"plugin{len(self._names) + 1}"
            self._names[schema] = name
            self.schemas[name] = _with_references(schema.document, name)
        return self._names[schema]


def _pointer(name: str) -> str:
    return f"#/components/schemas/{name}"


def _is_local(key: object, value: object) -> bool:
    return key == "$ref" and isinstance(value, str) and (value == "#" or value.startswith("#/"))


def _refers(node: object) -> bool:
    if isinstance(node, dict):
        return any(_is_local(key, value) or _refers(value) for key, value in node.items())
    return isinstance(node, list) and any(map(_refers, node))


def _with_references(node: object, name: str) -> Any:
    if isinstance(node, list):
        return [_with_references(entry, name) for entry in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _pointer(name) + value[1:] if _is_local(key, value) else _with_references(value, name)
        for key, value in node.items()
        # An `$id` would make the schema its own resource root again.
        if key != "$id"
    }
