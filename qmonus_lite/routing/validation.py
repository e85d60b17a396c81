"""Schema validation of the parts of a request: lists all faults, fills in defaults."""

import json
from collections.abc import Mapping
from typing import Any

from qmonus_lite.catalog.plugins import MethodSpec
from qmonus_lite.errors import SchemaMismatch
from qmonus_lite.headers import Headers, canonical
from qmonus_lite.routing import coercion, jsonbody
from qmonus_lite.routing.message import ScriptRequest
from qmonus_lite.schema import Schema
from qmonus_lite.schema_defaults import MAX_ADDED, DefaultsTooLarge
from qmonus_lite.values import changed

#: Maximum number of faults listed, and characters of each, to bound the size of the response.
_MAX_FAULTS = 100
_MAX_TEXT_LENGTH = 300

Faults = list[str]


def validate(spec: MethodSpec | None, request: ScriptRequest, resources: dict[str, str]) -> None:
    """Validate a request and fill in defaults in place; raises SchemaMismatch listing the faults.

    Raises UnsupportedMedia for a body whose Content-Type is not JSON.
    """
    schemas = spec.schemas if spec else {}
    faults: Faults = []
    if schema := schemas.get("headers"):
        faults += _headers(schema, request.headers)
    if schema := schemas.get("params"):
        faults += _params(schema, request.params)
    if schema := schemas.get("resources"):
        faults += _resources(schema, resources)
    if schema := schemas.get("body"):
        faults += _body(schema, request)
    if spec and faults:
        named = faults[:_MAX_FAULTS]
        rest = [f"and {len(faults) - len(named)} more"] if len(faults) > len(named) else []
        error = SchemaMismatch("; ".join(named + rest))
        error.refusal = changed(spec.place, rule=error.code, reason=error.detail)
        raise error


def _headers(schema: Schema, headers: Headers) -> Faults:
    properties = _properties(schema)
    written = {canonical(name): name for name in _names(schema)}
    value = {
        spelt: coercion.read(text, properties.get(spelt))
        for name, text in headers.items()
        for spelt in [written.get(name, name)]
    }
    added, faults = _fit("headers", schema, value)
    headers.update({name: coercion.write(entry) for name, entry in added.items()})
    return faults


def _params(schema: Schema, params: dict[str, list[str]]) -> Faults:
    properties = _properties(schema)
    value = {name: coercion.read_all(texts, properties.get(name)) for name, texts in params.items()}
    added, faults = _fit("params", schema, value)
    params.update({name: coercion.write_all(entry) for name, entry in added.items()})
    return faults


def _resources(schema: Schema, resources: dict[str, str]) -> Faults:
    properties = _properties(schema)
    value = {name: coercion.read(text, properties.get(name)) for name, text in resources.items()}
    added, faults = _fit("resources", schema, value)
    resources.update({name: coercion.write(entry) for name, entry in added.items()})
    return faults


def _body(schema: Schema, request: ScriptRequest) -> Faults:
    if not request.body:
        return ["body: missing; expected JSON"]
    jsonbody.check_media(request.headers.get("Content-Type"))
    try:
        value = jsonbody.read(request.body)
    except jsonbody.BadJson as error:
        return [f"body: not usable as JSON: {error}"]
    filled, faults = _filled("body", schema, value)
    if not faults and filled != value:
        request.body = json.dumps(filled, ensure_ascii=False).encode()
    return faults


def _fit(part: str, schema: Schema, value: dict[str, Any]) -> tuple[dict[str, Any], Faults]:
    """Values that the schema's defaults add to `value`, and the faults found."""
    filled, faults = _filled(part, schema, value)
    assert isinstance(filled, dict)
    return {name: entry for name, entry in filled.items() if name not in value}, faults


def _filled(part: str, schema: Schema, value: object) -> tuple[object, Faults]:
    try:
        filled = schema.with_defaults(value)
        mismatches = schema.mismatches(filled)
    except DefaultsTooLarge:
        return value, [f"{part}: the defaults of its schema would add more than {MAX_ADDED} bytes"]
    except (ValueError, RecursionError):
        return value, [f"{part}: nested too deeply, or text that is not Unicode"]
    faults = (f"{part} {entry.pointer}".rstrip() + f": {entry.message}" for entry in mismatches)
    return filled, [_short(fault) for fault in faults]


def _short(fault: str) -> str:
    return fault if len(fault) <= _MAX_TEXT_LENGTH else f"{fault[:_MAX_TEXT_LENGTH]}…"


def _properties(schema: Schema) -> Mapping[str, Any]:
    properties = schema.document.get("properties")
    return properties if isinstance(properties, Mapping) else {}


def _names(schema: Schema) -> list[str]:
    required = schema.document.get("required")
    return [*_properties(schema), *(required if isinstance(required, list) else [])]
