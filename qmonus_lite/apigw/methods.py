"""Allowed HTTP methods of an endpoint: the 405 check and the `Allow` header."""

from typing import Any

from tornado.web import RequestHandler

from qmonus_lite.apigw.endpoint import Endpoint
from qmonus_lite.errors import MethodNotAllowed


class AnyMethod(tuple[str, ...]):
    """A tuple that contains every method."""

    __slots__ = ()

    def __contains__(self, _method: object) -> bool:
        return True


class Methods(RequestHandler):
    """Tornado handler that serves only the methods of its endpoint."""

    # Else Tornado refuses unknown methods before the path is checked.
    SUPPORTED_METHODS = AnyMethod()
    #: The row of this endpoint; set by `initialize`.
    endpoint: Endpoint

    @property
    def has_known_method(self) -> bool:
        """True if the request method is an HTTP method known to Tornado.

        Tornado calls the attribute of that name, so any other method (such as FINISH, also an
        attribute) must be refused and finished before.
        """
        return self.request.method in RequestHandler.SUPPORTED_METHODS

    def check_method(self) -> None:
        """Raises MethodNotAllowed if the endpoint does not allow the method."""
        method, allowed = self.request.method or "", self.endpoint.methods
        if method not in allowed:
            raise MethodNotAllowed(method, allowed)

    async def _head(self, *path: str) -> None:
        """Call GET: Tornado sends the same head, with Content-Length, and omits the body."""
        answering: Any = self.get(*path)
        await answering

    head: Any = _head
