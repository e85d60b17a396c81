"""Tables of the endpoints of the gateway and of the receipt of an upload."""

from qmonus_lite.apigw.endpoint import Endpoint
from qmonus_lite.apigw.endpoints import ADMIN, UPLOAD
from qmonus_lite.apigw.json_values import descriptions
from qmonus_lite.apigw.openapi import problems_of
from qmonus_lite.uploads.receipt import Receipt
from qmonus_lite.values import fields
from reference_tables.markdown import code, table
from reference_tables.problems import codes


def endpoints() -> str:
    """Every endpoint of the gateway itself, from the table that requests are dispatched by."""
    return table(
        ("endpoint", "what it is for", "credential", "answers", "refusals besides those of all"),
        (
            (
                code(f"{operation.method} {endpoint.path}{_query(endpoint)}"),
                operation.summary,
                endpoint.access.value,
                ", ".join(f"{answer.status} {answer.description}" for answer in operation.answers),
                codes(problems_of(endpoint, operation)),
            )
            for endpoint in (UPLOAD, *ADMIN)
            for operation in endpoint.operations
        ),
    )


def receipt() -> str:
    """The fields of the receipt of an upload."""
    described = descriptions(Receipt)
    return table(
        ("field", "meaning"),
        ((code(entry.name), described[entry.name].removesuffix(".")) for entry in fields(Receipt)),
    )


def _query(endpoint: Endpoint) -> str:
    names = [entry.name for entry in endpoint.parameters if entry.location == "query"]
    return "?" + "&".join(f"{name}=" for name in names) if names else ""
