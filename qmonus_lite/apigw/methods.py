"""Methods: what an endpoint offers, said in `Allow`, and nothing else is served."""

from typing import Any

from tornado.web import RequestHandler

from qmonus_lite.errors import MethodNotAllowed


class AnyMethod(tuple[str, ...]):
    """Has every method."""

    __slots__ = ()

    def __contains__(self, _method: object) -> bool:
        return True


class Methods(RequestHandler):
    """A handler of Tornado that serves the methods in `offered`."""

    # Else Tornado refuses the methods that it does not know before anybody has looked at the path.
    SUPPORTED_METHODS = AnyMethod()
    #: Methods of this endpoint, for `Allow`.
    allowed_methods: tuple[str, ...] = ("GET", "HEAD")

    @property
    def has_known_method(self) -> bool:
        """Whether the attribute that Tornado calls next is a method of HTTP.

        Any other has to be refused and finished before: FINISH would be an attribute as well.
        """
        return self.request.method in RequestHandler.SUPPORTED_METHODS

    def check_method(self) -> None:
        """Raises MethodNotAllowed."""
        method = self.request.method or ""
        if method not in self.allowed_methods:
            raise MethodNotAllowed(method, self.allowed_methods)

    async def _head(self, *path: str) -> None:
        """As GET: Tornado sends the same head, with the length of the body, and leaves that out."""
        answering: Any = self.get(*path)
        await answering

    head: Any = _head
