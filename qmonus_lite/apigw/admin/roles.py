"""Authorization of the resources under `/-/`, by role or account; HEAD is allowed where GET is."""

from qmonus_lite.auth.credentials import without_cross_site_basic
from qmonus_lite.auth.gatekeeper import Actor, Gatekeeper
from qmonus_lite.errors import Forbidden
from qmonus_lite.http.request import Request


def authorize(gatekeeper: Gatekeeper, request: Request) -> None:
    """Check the roles of the caller; raises Unauthorized, TooManyRequests or Forbidden."""
    method, path = request.method, request.path
    headers = without_cross_site_basic(request.headers)
    try:
        gatekeeper.authorize(headers, method, path, client=request.client)
    except Forbidden:
        if method != "HEAD":
            raise
        # As for routes: GET permission includes HEAD.
        gatekeeper.authorize(headers, "GET", path, client=request.client)


def identify(gatekeeper: Gatekeeper, request: Request) -> Actor:
    """The caller, who has to have an account; raises Unauthorized, TooManyRequests, Forbidden."""
    headers = without_cross_site_basic(request.headers)
    actor = gatekeeper.identify(headers, request.method, request.path, client=request.client)
    if actor.by_pass:
        raise Forbidden("a callout has no account")
    return actor


def account_limit(gatekeeper: Gatekeeper, request: Request) -> str | None:
    """The account whose records the caller may see; None if a role allows all.

    Raises as `identify`.
    """
    actor = identify(gatekeeper, request)
    try:
        gatekeeper.check_allowed(actor, "GET", request.path)
    except Forbidden:
        return actor.name
    return None
