"""The constant part of the OpenAPI document: upload API and built-in endpoints."""

from dataclasses import dataclass
from typing import Any

from qmonus_lite.pathtemplate import PathTemplate

Node = dict[str, Any]

#: Reference to the problem response of APIGW.
REFUSED: Node = {"$ref": "#/components/responses/Problem"}

_UPLOAD_REFUSALS = (400, 401, 403, 409, 411, 413, 503, 507)

_PROBLEM: Node = {
    "type": "object",
    "properties": {
        "status": {"type": "integer"},
        "title": {"type": "string"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
    },
    "required": ["status", "title", "detail", "request_id"],
}

_RECEIPT: Node = {
    "type": "object",
    "properties": {
        "upload_id": {"type": "string"},
        "path": {"type": "string", "description": "stored path, from the launch directory"},
        "filename": {"type": "string"},
        "bytes": {"type": "integer", "minimum": 0},
        "mime": {"type": "string"},
        "event_id": {"type": "string", "description": "id of the APIGW.OnFileUploaded event"},
        "durable": {"type": "boolean", "description": "whether it is all on stable storage"},
        "replaced": {"type": "boolean", "description": "whether another file was replaced"},
    },
    "required": [
        "upload_id",
        "path",
        "filename",
        "bytes",
        "mime",
        "event_id",
        "durable",
        "replaced",
    ],
}

_TOKEN: Node = {
    "type": "object",
    "properties": {
        "token": {"type": "string"},
        "expires_at": {"type": "string", "format": "date-time"},
        "username": {"type": "string"},
    },
    "required": ["token", "expires_at", "username"],
}


@dataclass(frozen=True, kw_only=True)
class UploadDescription:
    """Properties of an APIGW's upload API that the document describes."""

    #: `--file_upload_api_path`.
    template: PathTemplate


def components() -> Node:
    """The `components` object: schemas, responses and security schemes."""
    return {
        "schemas": {"Problem": _PROBLEM, "Receipt": _RECEIPT, "Token": _TOKEN},
        "responses": {
            "Problem": {
                "description": "Refused, by us (as below) or by a plugin (in its own words)",
                "content": {"application/problem+json": {"schema": _ref("Problem")}},
            }
        },
        "securitySchemes": {
            "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        },
    }


def paths(upload: UploadDescription | None) -> Node:
    """Path items of the upload API and the built-in endpoints."""
    uploads = {upload.template.text: {"put": _put(upload.template)}} if upload else {}
    return {
        **uploads,
        "/-/live": {"get": _operation("The process serves requests", {"200": _said()})},
        "/-/ready": {
            "get": _operation(
                "Plugins are loaded and a Lambda worker answers", {"200": _said(), "503": REFUSED}
            )
        },
        "/-/logon": {"post": _logon()},
    }


def _put(template: PathTemplate) -> Node:
    receipt = {"application/json": {"schema": _ref("Receipt")}}
    return {
        "tags": ["upload"],
        "summary": "Upload a file",
        "description": "Stored whole or not at all; a plugin may decide who may and where to.",
        "parameters": [_variable(name, template) for name in template.names],
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {}}},
        },
        "responses": {
            "201": {"description": "Stored", "content": receipt},
            "200": {"description": "Stored in the place of another file", "content": receipt},
            **{str(code): REFUSED for code in _UPLOAD_REFUSALS},
            "default": REFUSED,
        },
    }


def _variable(name: str, template: PathTemplate) -> Node:
    variable = {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    if name == template.rest:
        variable["description"] = "The rest of the path, with its slashes"
    return variable


def _logon() -> Node:
    given = {
        "description": "A token, for X-Auth-Token or Authorization: Bearer",
        "content": {"application/json": {"schema": _ref("Token")}},
    }
    logon = _operation("Exchange an API key for a token", {"200": given, "401": REFUSED})
    return logon | {"security": [{"key": []}]}


def _operation(summary: str, responses: Node) -> Node:
    return {"tags": ["operation"], "summary": summary, "responses": responses, "security": []}


def _said() -> Node:
    return {"description": "Yes", "content": {"application/json": {"schema": {"type": "object"}}}}


def _ref(name: str) -> Node:
    return {"$ref": f"#/components/schemas/{name}"}
