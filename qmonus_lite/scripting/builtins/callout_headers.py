"""Body and header fields of a callout: what a script gives, less what only fits another message.

Scripts hand on `event["headers"]` or `request.headers` as they are. Among those are fields that end
with one connection (RFC 9110 section 7.6.1), that frame the client's body (RFC 9112 section 6) or
that describe it byte by byte; sent along, they would cut or garble the body of the callout.
"""

import base64
import json
from collections.abc import Mapping

#: Set by what sends the message, or meant for one connection only.
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
#: True of the bytes of one body; wrong beside JSON that callout writes, and beside no body.
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
#: A `Connection` field cannot take these away: what lets a client in is not its to drop.
_CREDENTIALS = frozenset({"authorization", "x-auth-token", "x-api-key", "cookie"})


def payload(body: object) -> bytes | None:
    """The bytes to send: text as UTF-8, what is neither text nor bytes as JSON."""
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
    """The header fields to send with this body; those of an argument replace those given."""
    headers = {_text(name).strip(): _text(value) for name, value in (given or {}).items()}
    is_json = body is not None and not isinstance(body, (bytes, str))
    dropped = _OF_THE_CONNECTION | _named_by_connection(headers)
    if body is None or is_json:
        dropped |= _OF_THE_BODY
    headers = {name: value for name, value in headers.items() if name.lower() not in dropped}
    if is_json and not _says_json(headers):
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
    """What a script gives as a name or a value, as text: bytes read, a list as one field."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("latin-1")
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return str(value)


def _replace(headers: dict[str, str], name: str, value: str) -> None:
    """Set a field, in whatever case it was there before."""
    for other in [other for other in headers if other.lower() == name.lower()]:
        del headers[other]
    headers[name] = value


def _named_by_connection(headers: Mapping[str, str]) -> frozenset[str]:
    listed = ",".join(value for name, value in headers.items() if name.lower() == "connection")
    return frozenset(token.strip().lower() for token in listed.split(",")) - _CREDENTIALS


def _says_json(headers: Mapping[str, str]) -> bool:
    """Whether Content-Type is a form of JSON: `application/json`, `application/geo+json`..."""
    kinds = [value for name, value in headers.items() if name.lower() == "content-type"]
    return bool(kinds) and all("json" in kind.partition(";")[0].lower() for kind in kinds)
