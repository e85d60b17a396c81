"""Removal of hop-by-hop header fields, of those that APIGW sets itself, and of its credentials."""

from collections.abc import Iterable

from qmonus_lite.auth import caller_ids, callout_pass, own
from qmonus_lite.headers import Headers, canonical
from qmonus_lite.routing.authority import STATIC_ROUTING
from qmonus_lite.scripting.context import GATE_DEPTH

#: RFC 9110 section 7.6.1, and older fields that are still in use.
_HOP_BY_HOP = frozenset(
    {
        "Connection",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Te",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
    }
)

#: Fields that APIGW adds to every response.
_OF_THE_GATEWAY = frozenset({"Date", "Server", "X-Request-Id"})

#: Request fields that APIGW handles or sets itself. A client's `Forwarded` is not trustworthy.
_SET_BY_GATEWAY = frozenset(
    {
        "Host",
        "Content-Length",
        "Expect",
        "Forwarded",
        STATIC_ROUTING,
        callout_pass.HEADER,
        caller_ids.HEADER,
        GATE_DEPTH,
    }
)


#: Fields that a backend takes for one of ours when their hyphens are underscores: CGI and WSGI make
#: the same variable of both spellings. These include what frames a message and names its sender.
_MIMICKED = (
    _HOP_BY_HOP
    | _SET_BY_GATEWAY
    | {
        "X-Auth-Token",
        "X-Api-Key",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Real-Ip",
        "X-Request-Id",
    }
)


def backend_headers(headers: Headers, own_credentials: frozenset[str]) -> Headers:
    """Headers to send to a backend: without hop-by-hop fields and without `own_credentials`.

    Nor fields such as `X_Forwarded_For`, which a backend may read as those of the gateway.
    Credentials that a script added are meant for the backend and are kept.
    """
    removed = _HOP_BY_HOP | _SET_BY_GATEWAY | _named(headers.items())
    remaining = Headers(
        {
            name: value
            for name, value in headers.items()
            if name not in removed and not ("_" in name and _mimics(name))
        }
    )
    return own.without(remaining, own_credentials) if own_credentials else remaining


def _mimics(name: str) -> bool:
    return canonical(name.replace("_", "-")) in _MIMICKED


def client_fields(fields: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Header fields of a backend's response for the client; repeated fields stay separate."""
    fields = tuple(fields)
    removed = _HOP_BY_HOP | _OF_THE_GATEWAY | _named(fields)
    if any(canonical(name) == "Transfer-Encoding" for name, _ in fields):
        removed |= {"Content-Length"}
    return tuple(field for field in fields if canonical(field[0]) not in removed)


def _named(fields: Iterable[tuple[str, str]]) -> frozenset[str]:
    """The names listed in Connection fields."""
    listed = ",".join(value for name, value in fields if canonical(name) == "Connection")
    return frozenset(canonical(token.strip()) for token in listed.split(","))
