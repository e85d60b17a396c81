"""Endpoints, and which of them serves a request."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from qmonus_lite.errors import MethodNotAllowed, NotFound, TooLarge
from qmonus_lite.http.body import Body, discard
from qmonus_lite.http.pipeline import Handler
from qmonus_lite.http.request import KNOWN_METHODS, Request
from qmonus_lite.http.response import Response

#: Paths reserved for built-in endpoints; never a plugin route or an upload.
ADMIN_PATH = re.compile(r"/-(?:/.*)?$")
#: Maximum bytes of an unused body; clients may send a small body such as `{}`.
MAX_UNUSED_BYTES = 8 << 10

#: Processes a request, given the values that the path of its endpoint matched.
EndpointHandler = Callable[[Request, Body, Mapping[str, str]], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One path, or template of paths, and a handler for each of its methods."""

    #: Values in a path of this endpoint; None for any other path. Paths are undecoded.
    match: Callable[[str], Mapping[str, str] | None]
    #: By method; GET serves HEAD as well.
    handlers: Mapping[str, EndpointHandler]
    #: Raises Unauthorized or Forbidden; None for an endpoint that anybody may use.
    authorize: Callable[[Request], None] | None = None
    #: False if a body is discarded, and refused above `MAX_UNUSED_BYTES`.
    reads_body: bool = False

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods of this endpoint, as in `Allow`."""
        return (*self.handlers, "HEAD") if "GET" in self.handlers else tuple(self.handlers)

    def handle(
        self, request: Request, body: Body, values: Mapping[str, str]
    ) -> Awaitable[Response]:
        """Process a request of this path; raises Problem before the body is read."""
        method = request.head.method
        if not self.reads_body:
            check_length(request, MAX_UNUSED_BYTES)
        if self.authorize is not None and method in KNOWN_METHODS:
            # No role can allow an unknown method: respond 405 instead of 403.
            self.authorize(request)
        handler = self.handlers.get("GET" if method == "HEAD" else method)
        if handler is None:
            raise MethodNotAllowed(method, self.methods)
        if self.reads_body:
            return handler(request, body, values)
        return _without_body(handler, request, body, values)


async def _without_body(
    handler: EndpointHandler, request: Request, body: Body, values: Mapping[str, str]
) -> Response:
    await discard(body, MAX_UNUSED_BYTES)
    return await handler(request, body, values)


def check_length(request: Request, max_bytes: int) -> None:
    """Check the declared length of a body; raises TooLarge."""
    if (request.length or 0) > max_bytes:
        raise TooLarge(f"a body may have at most {max_bytes} bytes here")


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """All endpoints of an APIGW, and the routes of plugins behind them."""

    upload: Endpoint
    #: Endpoints under `/-/`, where nothing else is served.
    admin: Sequence[Endpoint]
    #: Serves every other path.
    routes: Handler

    def handle(self, request: Request, body: Body) -> Awaitable[Response]:
        """Give a request to the endpoint of its path; raises NotFound."""
        path, upload = request.path, self.upload
        if path.startswith("/-") and ADMIN_PATH.match(path):
            return self._admin(request, body)
        values = upload.match(path)
        if values is None:
            return self.routes(request, body)
        return upload.handle(request, body, values)

    def _admin(self, request: Request, body: Body) -> Awaitable[Response]:
        for endpoint in self.admin:
            values = endpoint.match(request.path)
            if values is not None:
                return endpoint.handle(request, body, values)
        raise NotFound("nothing is served at this path")
