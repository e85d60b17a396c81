"""Role-based authorization of the built-in endpoints; HEAD is allowed where GET is."""

from qmonus_lite.apigw.endpoint import Access
from qmonus_lite.apigw.handler import BaseHandler
from qmonus_lite.auth.gatekeeper import Gatekeeper
from qmonus_lite.errors import Forbidden


def authorize(gatekeeper: Gatekeeper, door: BaseHandler) -> None:
    """Check the roles of the caller where the endpoint needs one.

    Raises MethodNotAllowed, Unauthorized or Forbidden.
    """
    if door.endpoint.access is not Access.ROLE:
        return
    if not door.has_known_method:
        # No role can allow an unknown method: answer 405 instead of 403.
        door.check_method()
    method, path = door.request.method or "", door.request.path
    try:
        gatekeeper.authorize(door.fields, method, path)
    except Forbidden:
        if method != "HEAD":
            raise
        # As for routes: GET permission includes HEAD.
        gatekeeper.authorize(door.fields, "GET", path)
