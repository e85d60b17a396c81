"""The OpenAPI description, checked for what the OpenAPI 3.1 rules ask of one."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from qmonus_lite import strictjson
from qmonus_lite.apigw.endpoints import ADMIN
from qmonus_lite.apigw.openapi import describe
from qmonus_lite.pathtemplate import PathTemplate
from qmonus_lite.schema import Schema
from qmonus_lite.uploads.receipt import Receipt
from qmonus_lite.values import fields
from tests.unit.routing.routing_setup import RouteOf, catalog, spec

UPLOAD = PathTemplate.parse("/upload/{filepath}", rest="filepath")
TREE = {
    "type": "object",
    "properties": {"more": {"anyOf": [{"$ref": "#/$defs/node"}, {"$ref": "#"}]}},
    "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#"}}}},
}
ROUTES = [
    RouteOf(
        path="/v1/{kind}/{id}",
        needs_account=True,
        specs=[
            spec(
                "PUT",
                [201, 299],
                headers={
                    "properties": {
                        "Content-Type": {"type": "string", "default": "application/x"},
                        "X-Count": {"type": "integer"},
                    },
                    "required": ["Content-Type", "X-Count"],
                },
                params={
                    "properties": {"limit": {"type": "integer", "default": 5}, "any": True},
                    "required": ["limit", "any"],
                },
                resources={"properties": {"id": {"type": "integer"}, "other": {}}},
                body={"type": "object"},
            ),
            spec("GET"),
        ],
    ),
    RouteOf(path="/v1/tree", specs=[spec("PUT", body=TREE), spec("GET", params=TREE)]),
    RouteOf(path="/v1/open"),
]


@pytest.fixture(scope="module")
def document() -> Any:
    return json.loads(json.dumps(describe(catalog(*ROUTES).routes, UPLOAD, "1.2")))


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def nodes(node: Any) -> Iterator[Any]:
    yield node
    for entry in (
        node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
    ):
        yield from nodes(entry)


def test_says_what_it_is(document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    assert document["info"] == {"title": "qmonus_lite", "version": "1.2"}


def test_describes_routes_uploads_and_all_endpoints_of_the_gateway(document: Any) -> None:
    assert {path: sorted(item) for path, item in document["paths"].items()} == {
        "/upload/{filepath}": ["put"],
        "/-/live": ["get"],
        "/-/ready": ["get"],
        "/-/logon": ["post"],
        "/-/plugins": ["get"],
        "/-/metrics": ["get"],
        "/-/openapi.json": ["get"],
        "/-/events": ["get"],
        "/-/events/{id}": ["delete", "get"],
        "/-/events/{id}/retry": ["post"],
        "/-/events/{id}/replay": ["post"],
        "/-/uploads": ["get"],
        "/-/uploads/{id}": ["get"],
        "/v1/{kind}/{id}": ["get", "put"],
        "/v1/tree": ["get", "put"],
        "/v1/open": ["delete", "get", "patch", "post", "put"],
    }


def test_every_reference_leads_somewhere(document: Any) -> None:
    references = {
        node["$ref"] for node in nodes(document) if isinstance(node, dict) and "$ref" in node
    }
    for reference in references:
        place = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]

    assert "#/components/schemas/plugin1/$defs/node" in references


def test_every_variable_of_a_path_is_a_parameter_and_none_is_given_twice(document: Any) -> None:
    for path, _, operation in operations(document):
        given = [
            (parameter["in"], parameter["name"]) for parameter in operation.get("parameters", [])
        ]

        assert len(given) == len(set(given))
        variables = {name for place, name in given if place == "path"}
        assert variables == set(re.findall(r"\{(\w+)\}", path))


def test_every_operation_has_answers_with_a_description(document: Any) -> None:
    shared = document["components"]["responses"]
    for _, _, operation in operations(document):
        for code, answer in operation["responses"].items():
            assert code == "default" or re.fullmatch("[2-5][0-9][0-9]", code)
            assert (shared["Problem"] if "$ref" in answer else answer)["description"]


def test_every_schema_of_a_parameter_is_one(document: Any) -> None:
    for _, _, operation in operations(document):
        for parameter in operation.get("parameters", []):
            if isinstance(parameter["schema"], dict):
                # References lead into the document, so that is where it has to be read.
                Schema(parameter["schema"] | {"components": document["components"]})


def test_every_scheme_that_is_asked_for_exists(document: Any) -> None:
    asked = [document["security"], *(op.get("security", []) for *_, op in operations(document))]
    names = {name for alternatives in asked for alternative in alternatives for name in alternative}

    assert names == set(document["components"]["securitySchemes"])


def test_parameters_come_from_the_schemas(document: Any) -> None:
    operation = document["paths"]["/v1/{kind}/{id}"]["put"]

    assert [
        (parameter["name"], parameter["in"], parameter["required"], parameter["schema"])
        for parameter in operation["parameters"]
    ] == [
        ("kind", "path", True, {"type": "string"}),
        ("id", "path", True, {"type": "integer"}),
        ("limit", "query", False, {"type": "integer", "default": 5}),
        ("any", "query", True, True),
        ("X-Count", "header", True, {"type": "integer"}),
    ]
    assert operation["requestBody"]["content"] == {"application/x": {"schema": {"type": "object"}}}
    assert set(operation["responses"]) == {
        *("201", "299", "400", "401", "403", "502", "504", "default")
    }
    assert (operation["summary"], operation["description"]) == ("callout", "sample")


def test_an_open_route_asks_for_no_credential(document: Any) -> None:
    assert document["paths"]["/v1/open"]["get"]["security"] == []
    assert "security" not in document["paths"]["/v1/{kind}/{id}"]["get"]


def test_the_upload_names_its_answers(document: Any) -> None:
    put = document["paths"]["/upload/{filepath}"]["put"]

    assert {"200", "201", "401", "403", "409", "411", "413", "503", "507"} <= set(put["responses"])
    receipt = document["components"]["schemas"]["Receipt"]
    assert {*receipt["required"], "sha256", "renamed"} == {field.name for field in fields(Receipt)}
    assert "sha256" in receipt["properties"]
    assert receipt["properties"]["sha256"]["type"] == "string"
    assert "Location" in put["responses"]["201"]["headers"]


def test_the_answers_of_a_status_name_their_codes(document: Any) -> None:
    put = document["paths"]["/upload/{filepath}"]["put"]["responses"]

    assert put["401"]["description"] == "unauthorized"
    assert "upload-limit-reached" in put["503"]["description"].split(", ")


def test_an_endpoint_asks_for_the_credential_of_its_row(document: Any) -> None:
    paths = document["paths"]

    assert paths["/-/ready"]["get"]["security"] == []
    assert paths["/-/logon"]["post"]["security"] == [{"key": []}, {"basic": []}]
    assert "security" not in paths["/-/events"]["get"]


def test_there_may_be_no_upload() -> None:
    assert list(describe((), None, "1")["paths"]) == [endpoint.path for endpoint in ADMIN]


@pytest.mark.parametrize("odd", ["\ud83d", float("nan"), float("inf"), {1, 2}])
def test_a_route_that_cannot_be_written_costs_its_own_schemas_only(
    odd: object, caplog: pytest.LogCaptureFixture
) -> None:
    def route(path: str, **body: object) -> RouteOf:
        return RouteOf(path=path, specs=[spec("POST", body={**TREE, **body})])

    routes = [route("/good"), route("/odd"), route("/also")]
    built = catalog(*routes).routes
    count = len(describe((), UPLOAD, "1")["components"]["schemas"])
    built[1].methods["POST"].schemas["body"].document = {**TREE, "default": odd}
    written = strictjson.write(describe(built, UPLOAD, "1")).encode()
    paths = json.loads(written)["paths"]

    assert "requestBody" in paths["/good"]["post"] and "requestBody" in paths["/also"]["post"]
    assert paths["/odd"]["post"]["responses"] and "requestBody" not in paths["/odd"]["post"]
    assert len(json.loads(written)["components"]["schemas"]) - count == 2
    assert "/odd is described without its schemas" in caplog.text
