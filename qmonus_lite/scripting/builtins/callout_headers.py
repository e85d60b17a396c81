"""Body and header fields of a callout: the script's, without those that fit another message only.

Scripts pass on `event["headers"]` or `request.headers` unchanged. These include hop-by-hop fields
(RFC 9110 section 7.6.1), fields that frame the client's body (RFC 9112 section 6) and fields that
describe its exact bytes; sent along, they would truncate or corrupt the body of the callout.
"""

import base64
import json
from collections.abc import Mapping

#: Set by the HTTP client, or hop-by-hop.
_OF_THE_CONNECTION = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
#: Describe the exact bytes of a body; wrong for JSON that callout serializes, and without a body.
_OF_THE_BODY = frozenset(
    {
        "content-digest",
        "content-encoding",
        "content-md5",
        "content-range",
        "digest",
        "repr-digest",
    }
)
#: A `Connection` field cannot remove these: it must not drop credentials.
_CREDENTIALS = frozenset({"authorization", "x-auth-token", "x-api-key", "cookie"})


def payload(body: object) -> bytes | None:
    """The bytes to send: text as UTF-8, anything but text and bytes as JSON."""
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    return json.dumps(body, ensure_ascii=False).encode()


def fields(
    given: Mapping[str, str] | None,
    body: object,
    static_route: str | None,
    authentication: str | tuple[str, str] | None,
) -> dict[str, str]:
    """The header fields to send with this body; those set by an argument replace the script's."""
    headers = {_text(name).strip(): _text(value) for name, value in (given or {}).items()}
    is_json = body is not None and not isinstance(body, (bytes, str))
    dropped = _OF_THE_CONNECTION | _named_by_connection(headers)
    if body is None or is_json:
        dropped |= _OF_THE_BODY
    headers = {name: value for name, value in headers.items() if name.lower() not in dropped}
    if is_json and not _has_json_type(headers):
        _replace(headers, "Content-Type", "application/json")
    if static_route:
        _replace(headers, "X-Xaas-Static-Routing", static_route)
    if isinstance(authentication, str):
        _replace(headers, "X-Auth-Token", authentication)
    elif authentication:
        pair = base64.b64encode(":".join(authentication).encode()).decode()
        _replace(headers, "Authorization", f"Basic {pair}")
    return headers


def _text(value: object) -> str:
    """A header name or value as text: bytes are decoded, a list becomes one field."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("latin-1")
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return str(value)


def _replace(headers: dict[str, str], name: str, value: str) -> None:
    """Set a field, replacing it case-insensitively."""
    for other in [other for other in headers if other.lower() == name.lower()]:
        del headers[other]
    headers[name] = value


def _named_by_connection(headers: Mapping[str, str]) -> frozenset[str]:
    listed = ",".join(value for name, value in headers.items() if name.lower() == "connection")
    return frozenset(token.strip().lower() for token in listed.split(",")) - _CREDENTIALS


def _has_json_type(headers: Mapping[str, str]) -> bool:
    """Whether Content-Type is a form of JSON: `application/json`, `application/geo+json`..."""
    kinds = [value for name, value in headers.items() if name.lower() == "content-type"]
    return bool(kinds) and all("json" in kind.partition(";")[0].lower() for kind in kinds)
