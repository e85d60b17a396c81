"""The OpenAPI 3.1 document of an APIGW, from the table of endpoints and the routes of plugins."""

from collections.abc import Iterable, Mapping
from typing import Any

from qmonus_lite.apigw.endpoint import Access, Answer, Endpoint, Operation, Parameter
from qmonus_lite.apigw.endpoints import ADMIN, UPLOAD
from qmonus_lite.apigw.json_values import Schemas
from qmonus_lite.catalog.plugins import Route
from qmonus_lite.errors import Problem
from qmonus_lite.http.response import PROBLEM, ProblemDetails
from qmonus_lite.pathtemplate import PathTemplate
from qmonus_lite.routing.openapi import REFUSED, describe_routes
from qmonus_lite.values import changed

Node = dict[str, Any]

_SECURITY_SCHEMES: Node = {
    "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "name of an account, and an API key of it as the password",
    },
}


def describe(routes: Iterable[Route], upload: PathTemplate | None, version: str) -> Node:
    """The OpenAPI document as a JSON value; `upload` is `--file_upload_api_path`."""
    schemas = Schemas()
    endpoints = ADMIN if upload is None else (_upload_endpoint(upload), *ADMIN)
    paths = {endpoint.path: _path_item(endpoint, schemas) for endpoint in endpoints}
    paths_of_plugins, schemas_of_plugins = describe_routes(routes)
    problem = {
        "description": "Refused, by the gateway (as below) or by a plugin (in its own words)",
        "content": {PROBLEM: {"schema": schemas.of(ProblemDetails)}},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "qmonus_lite", "version": version},
        "security": [{name: []} for name in _SECURITY_SCHEMES],
        "paths": paths | paths_of_plugins,
        "components": {
            "schemas": schemas.components | schemas_of_plugins,
            "responses": {"Problem": problem},
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def _upload_endpoint(template: PathTemplate) -> Endpoint:
    """The upload endpoint with its path, which is a setting, and the variables of that."""
    parameters = tuple(
        Parameter(
            name=name,
            description="the rest of the path, with its slashes"
            if name == template.rest
            else "one part of the path",
        )
        for name in template.names
    )
    return changed(UPLOAD, path=template.text, parameters=parameters)


def _path_item(endpoint: Endpoint, schemas: Schemas) -> Node:
    return {
        operation.method.lower(): _operation(endpoint, operation, schemas)
        for operation in endpoint.operations
    }


def _operation(endpoint: Endpoint, operation: Operation, schemas: Schemas) -> Node:
    described: Node = {
        "tags": ["upload" if endpoint.access is Access.UPLOAD else "operation"],
        "summary": operation.summary,
        "parameters": [_parameter(entry) for entry in endpoint.parameters],
        "responses": _responses(endpoint, operation, schemas),
    }
    if operation.body_required:
        content: Node = {"application/octet-stream": {"schema": {}}}
        described["requestBody"] = {"required": True, "content": content}
    if endpoint.access is Access.OPEN:
        described["security"] = []
    if endpoint.access is Access.API_KEY:
        described["security"] = [{"key": []}, {"basic": []}]
    return described


def _parameter(parameter: Parameter) -> Node:
    return {
        "name": parameter.name,
        "in": parameter.location,
        "required": parameter.location == "path",
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }


def _responses(endpoint: Endpoint, operation: Operation, schemas: Schemas) -> Node:
    codes: dict[int, list[str]] = {}
    for problem in problems_of(endpoint, operation):
        codes.setdefault(int(problem.status), []).append(problem.code)
    return {
        **{str(answer.status): _answer(answer, schemas) for answer in operation.answers},
        **{
            str(status): {**REFUSED, "description": ", ".join(found)}
            for status, found in sorted(codes.items())
        },
        "default": REFUSED,
    }


def problems_of(endpoint: Endpoint, operation: Operation) -> tuple[type[Problem], ...]:
    """The problems of an operation besides those of every request."""
    return tuple(dict.fromkeys((*endpoint.access.problems, *operation.problems)))


def _answer(answer: Answer, schemas: Schemas) -> Node:
    described: Node = {
        "description": answer.description,
        "content": {name: {"schema": schemas.of(answer.body)} for name in answer.media_types},
    }
    if answer.headers:
        described["headers"] = _headers(answer.headers)
    return described


def _headers(headers: Mapping[str, str]) -> Node:
    return {
        name: {"description": description, "schema": {"type": "string"}}
        for name, description in headers.items()
    }
