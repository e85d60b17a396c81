"""The routes of plugins as OpenAPI 3.1; `apigw.openapi` makes the document."""

import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from qmonus_lite import strictjson
from qmonus_lite.catalog.plugins import MethodSpec, Route
from qmonus_lite.headers import canonical
from qmonus_lite.routing.openapi_components import SchemaComponents
from qmonus_lite.schema import Schema
from qmonus_lite.values import changed

logger = logging.getLogger(__name__)
_BARE = {"action": "route_not_described"}

_VERBS = ("GET", "PUT", "POST", "DELETE", "PATCH")
#: OpenAPI parameter location (`in`) by part of a request.
_LOCATIONS = {"resources": "path", "params": "query", "headers": "header"}
#: Header parameters that OpenAPI ignores, since it describes them in other ways.
_ELSEWHERE = frozenset({"Accept", "Authorization", "Content-Type"})

Node = dict[str, Any]

#: Reference to the response of a refused request.
REFUSED: Node = {"$ref": "#/components/responses/Problem"}


def describe_routes(routes: Iterable[Route]) -> tuple[Node, Node]:
    """Path items of the routes, and the schemas that they refer to under `components/schemas`."""
    schemas_of_plugins = SchemaComponents()
    paths = {route.template.text: _path_item(route, schemas_of_plugins) for route in routes}
    return paths, schemas_of_plugins.schemas


def _path_item(route: Route, schemas_of_plugins: SchemaComponents) -> Node:
    """The operations of a route; without schemas and texts if those cannot be serialized."""
    specs = _methods(route)
    before = len(schemas_of_plugins.schemas)
    try:
        item = _operations(route, specs, schemas_of_plugins)
        strictjson.write([item, *list(schemas_of_plugins.schemas.values())[before:]]).encode()
    except (TypeError, ValueError, RecursionError) as error:
        schemas_of_plugins.cut(before)
        path, reason = route.template.text, type(error).__name__
        logger.warning("%s is described without its schemas: %s", path, reason, extra=_BARE)
        bare = {
            method: changed(spec, command="", usage="", schemas={})
            for method, spec in specs.items()
        }
        item = _operations(route, bare, schemas_of_plugins)
    return item


def _operations(
    route: Route, specs: Mapping[str, MethodSpec], schemas_of_plugins: SchemaComponents
) -> Node:
    return {
        method.lower(): _operation(route, spec, schemas_of_plugins)
        for method, spec in specs.items()
    }


def _methods(route: Route) -> Mapping[str, MethodSpec]:
    """Method specifications of a route; all of `_VERBS` if it declares none."""
    return route.methods or {
        verb: MethodSpec(method=verb, command="", usage="", schemas={}, normal_codes=(200,))
        for verb in _VERBS
    }


def _operation(route: Route, spec: MethodSpec, schemas_of_plugins: SchemaComponents) -> Node:
    operation: Node = {
        "tags": ["routes"],
        "parameters": _parameters(route, spec, schemas_of_plugins),
        "responses": _responses(route, spec),
    }
    if spec.command:
        operation["summary"] = spec.command
    if spec.usage:
        operation["description"] = spec.usage
    if schema := spec.schemas.get("body"):
        content = {
            _media_type(spec): {"schema": schemas_of_plugins.embedded(schema, schema.document)}
        }
        operation["requestBody"] = {"required": True, "content": content}
    if not route.needs_account:
        operation["security"] = []
    return operation


def _parameters(route: Route, spec: MethodSpec, schemas_of_plugins: SchemaComponents) -> list[Node]:
    parameters = [
        _parameter(part, name, schema, schemas_of_plugins)
        for part in ("params", "headers")
        if (schema := spec.schemas.get(part))
        for name in _properties(schema)
        if part != "headers" or canonical(name) not in _ELSEWHERE
    ]
    resources = spec.schemas.get("resources", Schema({}))
    return [
        _parameter("resources", name, resources, schemas_of_plugins)
        for name in route.template.names
    ] + parameters


def _parameter(part: str, name: str, schema: Schema, schemas_of_plugins: SchemaComponents) -> Node:
    location = _LOCATIONS[part]
    return {
        "name": name,
        "in": location,
        "required": location == "path" or name in _required(schema),
        "schema": schemas_of_plugins.embedded(
            schema, _properties(schema).get(name, {"type": "string"})
        ),
    }


def _responses(route: Route, spec: MethodSpec) -> Node:
    refusals = [400] if spec.schemas or route.template.names else []
    if route.needs_account:
        refusals += [401, 403]
    # A script may return any code, so the list is never complete.
    return {
        "default": REFUSED,
        **{str(code): REFUSED for code in [*refusals, 502, 504]},
        **{str(code): {"description": _phrase(code)} for code in spec.normal_codes},
    }


def _phrase(code: int) -> str:
    return HTTPStatus(code).phrase if code in set(HTTPStatus) else f"Status {code}"


def _media_type(spec: MethodSpec) -> str:
    """The `default` or `const` of the Content-Type schema, else JSON."""
    schema = spec.schemas.get("headers")
    for name, own in _properties(schema).items() if schema else ():
        if canonical(name) == "Content-Type" and isinstance(own, Mapping):
            given = own.get("default", own.get("const"))
            if isinstance(given, str):
                return given
    return "application/json"


def _properties(schema: Schema) -> Mapping[str, Any]:
    properties = schema.document.get("properties")
    return properties if isinstance(properties, Mapping) else {}


def _required(schema: Schema) -> list[str]:
    """Required names; a property with a default is optional for the client."""
    names = schema.document.get("required")
    filled_in = {
        name
        for name, own in _properties(schema).items()
        if isinstance(own, Mapping) and "default" in own
    }
    return [name for name in names if name not in filled_in] if isinstance(names, list) else []
