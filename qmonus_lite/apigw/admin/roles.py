"""Authorization of the resources under `/-/` by role; HEAD is allowed where GET is."""

from qmonus_lite.auth.credentials import without_cross_site_basic
from qmonus_lite.auth.gatekeeper import Gatekeeper
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
