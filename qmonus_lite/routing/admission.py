"""Authorization of a routed request by its head: all checks that precede reading the body."""

from collections.abc import Mapping

from qmonus_lite.auth import apikey, credentials
from qmonus_lite.auth.gatekeeper import Actor, Gatekeeper
from qmonus_lite.catalog.plugins import MethodSpec, Route
from qmonus_lite.errors import (
    BadRequest,
    CredentialInQuery,
    Forbidden,
    MethodNotAllowed,
)
from qmonus_lite.routing.authority import STATIC_ROUTING, is_authority
from qmonus_lite.routing.match import Match
from qmonus_lite.routing.message import Incoming, ScriptRequest
from qmonus_lite.values import Value


class AuthorizedRequest(Value, frozen=True, kw_only=True):
    """A request that passed authorization, with what was derived from its head."""

    match: Match
    #: The method that the client sent, before any script changes it.
    method: str
    #: Authenticated sender; None on a route that needs no account.
    actor: Actor | None
    #: Specification of the method, if the route declares methods.
    spec: MethodSpec | None
    #: Path variables, decoded.
    resources: Mapping[str, str]
    #: `host[:port]` of the backends, tried in this order.
    authorities: tuple[str, ...]
    #: Credentials of this installation in the request; removed before backends and events.
    own_credentials: frozenset[str]


def admit(gatekeeper: Gatekeeper, match: Match, incoming: Incoming) -> AuthorizedRequest:
    """Authorize a request by its head; raises Problem. Sets `request.account` even if it raises."""
    request = incoming.request
    known = gatekeeper.known(credentials.without_cross_site_basic(request.headers))
    request.account = known.account if known else None
    route, method, headers = match.route, request.method, request.headers
    actor = _authorize(gatekeeper, match, incoming) if route.needs_account else None
    spec = _spec(route, method)
    return AuthorizedRequest(
        match=match,
        method=method,
        actor=actor,
        spec=spec,
        resources=match.resources(),
        authorities=_authorities(route, actor, headers.get(STATIC_ROUTING)),
        own_credentials=_own(gatekeeper, request),
    )


def _authorize(gatekeeper: Gatekeeper, match: Match, incoming: Incoming) -> Actor:
    method, path, client = incoming.request.method, match.raw_path, incoming.peer
    headers = credentials.without_cross_site_basic(incoming.request.headers)
    try:
        return gatekeeper.authorize(headers, method, path, client=client, goes_on=True)
    except Forbidden:
        if method != "HEAD":
            raise
    # Permission to GET includes HEAD.
    return gatekeeper.authorize(headers, "GET", path, client=client, goes_on=True)


def _spec(route: Route, method: str) -> MethodSpec | None:
    if not route.methods:
        return None
    offered = dict(route.methods)
    if "GET" in offered:
        offered.setdefault("HEAD", offered["GET"])
    if method not in offered:
        raise MethodNotAllowed(method, tuple(offered))
    return offered[method]


def _authorities(route: Route, actor: Actor | None, wanted: str | None) -> tuple[str, ...]:
    if wanted is None:
        return route.authorities
    if actor is None or not actor.may_route_statically:
        raise Forbidden(f"{STATIC_ROUTING} is for accounts with a role that allows static routing")
    if not is_authority(wanted):
        raise BadRequest(f"{STATIC_ROUTING} has to be one host:port")
    return (wanted,)


def _own(gatekeeper: Gatekeeper, request: ScriptRequest) -> frozenset[str]:
    """Credentials of this installation in the headers; others may be meant for the backend.

    Raises CredentialInQuery if the query contains one.
    """
    credentials.check_single(request.headers)
    if gatekeeper.own.shown_in(request.params):
        raise CredentialInQuery(apikey.SHOWN)
    return gatekeeper.own.of(request.headers)
