"""Who may use an endpoint of our own: whom a role allows, HEAD where it allows GET."""

from qmonus_lite.apigw.handler import BaseHandler
from qmonus_lite.auth.gatekeeper import Gatekeeper
from qmonus_lite.errors import Forbidden


def authorize(gatekeeper: Gatekeeper, door: BaseHandler) -> None:
    """Let in whom a role allows; raises MethodNotAllowed, Unauthorized or Forbidden."""
    if not door.has_known_method:
        # No role can allow it, so that 403 would be all that anybody heard.
        door.check_method()
    method, path = door.request.method or "", door.request.path
    try:
        gatekeeper.authorize(door.fields, method, path)
    except Forbidden:
        if method != "HEAD":
            raise
        # As for routes: the head is part of what GET gives.
        gatekeeper.authorize(door.fields, "GET", path)
