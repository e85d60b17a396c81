"""Conversion of a request, as the script left it, to a backend call, and of its response back."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from qmonus_lite.headers import Headers
from qmonus_lite.routing import hop_by_hop, script_results
from qmonus_lite.routing.admission import AuthorizedRequest
from qmonus_lite.routing.backend import Call
from qmonus_lite.routing.message import Incoming, RouteResponse, ScriptRequest, ScriptResponse
from qmonus_lite.surrogates import NO_CHARACTER, has_surrogates
from qmonus_lite.values import Value

Fields = Sequence[tuple[str, str]]

_METHOD = re.compile(r"[A-Z]+")
#: Characters allowed in a path unencoded (RFC 3986), and % because the path may be encoded.
_PATH_SAFE = "/%:@!$&'()*+,;=~"


class OriginalTarget(Value, frozen=True, kw_only=True):
    """Path and query of a request before schema defaults and the script changed it."""

    path: str
    params: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, request: ScriptRequest) -> "OriginalTarget":
        """A copy of the path and query of an unchanged request."""
        params = {name: tuple(values) for name, values in request.params.items()}
        return cls(path=request.path, params=params)


def to_backend(admission: AuthorizedRequest, incoming: Incoming, original: OriginalTarget) -> Call:
    """The backend call for this request in its current state; raises InvalidResult."""
    request = incoming.request
    route = admission.match.route
    headers = hop_by_hop.backend_headers(
        script_results.headers(request.headers), admission.own_credentials
    )
    headers |= {
        "X-Forwarded-For": incoming.peer,
        "X-Forwarded-Host": incoming.host,
        "X-Forwarded-Proto": incoming.scheme,
    }
    if route.response_script is not None:
        # The response script needs the body without content encoding.
        headers["Accept-Encoding"] = "identity"
    return Call(
        scheme=route.target_scheme,
        authorities=admission.authorities,
        method=_method(request.method),
        target=_path(admission, request, original) + _query(incoming, original),
        headers=headers,
        body=script_results.payload(request.body),
    )


def to_client(response: ScriptResponse, fields: Fields) -> RouteResponse:
    """The response to the client after a response script; raises InvalidResult.

    `fields` are the header fields that the backend sent: fields of a name that the script did not
    change are not combined, as several Set-Cookie must stay separate.
    """
    before = Headers.combined(fields)
    now = script_results.headers(response.headers)
    now.pop("Content-Length", None)
    unchanged = [(name, value) for name, value in fields if now.get(name) == before[name]]
    changed = [(name, value) for name, value in now.items() if before.get(name) != value]
    body = script_results.payload(response.body)
    length = ("Content-Length", str(len(body)))
    return RouteResponse(
        code=script_results.status(response.code), headers=(*unchanged, *changed, length), body=body
    )


def _method(method: object) -> str:
    if not isinstance(method, str) or not _METHOD.fullmatch(method):
        raise script_results.InvalidResult(
            f"request.method is {method!r}; expected text such as GET"
        )
    return method


def _path(admission: AuthorizedRequest, request: ScriptRequest, original: OriginalTarget) -> str:
    if request.path == original.path:
        return admission.match.route.target.fill(admission.match.values)
    path: object = request.path
    if not isinstance(path, str) or not path.startswith("/"):
        raise script_results.InvalidResult(
            f"request.path is {path!r}; expected text that starts with /"
        )
    if has_surrogates(path):
        raise script_results.InvalidResult(f"request.path is {path!r}; {NO_CHARACTER}")
    return quote(path, safe=_PATH_SAFE)


def _query(incoming: Incoming, original: OriginalTarget) -> str:
    params: Any = incoming.request.params
    if not isinstance(params, Mapping):
        raise script_results.InvalidResult(
            f"request.params is of type {type(params).__name__}; expected a dict"
        )
    if {name: _values(name, given) for name, given in params.items()} == original.params:
        query = incoming.raw_query
    else:
        pairs = [(name, value) for name in params for value in _values(name, params[name])]
        if any(has_surrogates(f"{name}{value}") for name, value in pairs):
            raise script_results.InvalidResult(f"request.params is {params!r}; {NO_CHARACTER}")
        query = urlencode(pairs)
    return f"?{query}" if query else ""


def _values(name: object, given: object) -> tuple[str, ...]:
    """The texts of a query parameter; a script may set a single value in place of a list."""
    values = given if isinstance(given, (list, tuple)) else [given]
    if not all(isinstance(value, (str, int, float)) for value in values):
        raise script_results.InvalidResult(
            f"request.params[{name!r}] is {given!r}; expected a list of text"
        )
    return tuple(str(value) for value in values)
