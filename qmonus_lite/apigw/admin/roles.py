"""Authorization of the resources under `/-/` by role; HEAD is allowed where GET is."""

from qmonus_lite.auth.gatekeeper import Gatekeeper
from qmonus_lite.errors import Forbidden
from qmonus_lite.http.request import Request


def authorize(gatekeeper: Gatekeeper, request: Request) -> None:
    """Check the roles of the caller; raises Unauthorized or Forbidden."""
    method, path = request.method, request.path
    try:
        gatekeeper.authorize(request.headers, method, path)
    except Forbidden:
        if method != "HEAD":
            raise
        # As for routes: GET permission includes HEAD.
        gatekeeper.authorize(request.headers, "GET", path)
