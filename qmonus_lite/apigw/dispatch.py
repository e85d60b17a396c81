"""Dispatch: the endpoint that serves a request, and the rules before its handler."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence

from qmonus_lite.apigw.endpoint import MAX_UNUSED_BODY_BYTES, Endpoint
from qmonus_lite.errors import (
    LengthRequired,
    MethodNotAllowed,
    NotFound,
    Rule,
    Stage,
    TooLarge,
)
from qmonus_lite.http.body import Body, discard
from qmonus_lite.http.request import KNOWN_METHODS, Request
from qmonus_lite.http.response import Response
from qmonus_lite.values import Value

#: Paths reserved for built-in endpoints; never a plugin route or an upload.
ADMIN_PATH = re.compile(r"/-(?:/.*)?$")

#: The variables in a path by name, undecoded; None for a path of another endpoint.
Match = Callable[[str], Mapping[str, str] | None]
#: Processes a request, given the variables of its path.
EndpointHandler = Callable[[Request, Body, Mapping[str, str]], Awaitable[Response]]


#: A request, and the row of the endpoint of its path.
Dispatched = tuple[Request, Endpoint]


def check_body_size(dispatched: Dispatched) -> None:
    """Check the length in the head against the limit of the endpoint; raises TooLarge."""
    request, row = dispatched
    limit = row.max_body_bytes
    if limit is not None and (request.head.length or 0) > limit:
        raise TooLarge(f"a body may have at most {limit} bytes here")


def check_length_given(dispatched: Dispatched) -> None:
    """Check that a body that is needed has a length or is chunked; raises LengthRequired."""
    request, row = dispatched
    head = request.head
    if head.method in row.body_required_for and head.length is None and not head.chunked:
        raise LengthRequired("give Content-Length, or send the body chunked")


def check_method(dispatched: Dispatched) -> None:
    """Check the method; raises MethodNotAllowed."""
    request, row = dispatched
    if request.head.method not in row.methods:
        raise MethodNotAllowed(request.head.method, row.methods)


#: What the head says of the body: the first rules of every endpoint, routes of plugins included.
LENGTH_RULES: tuple[Rule[Dispatched], ...] = (
    Rule(
        name="body-size",
        stage=Stage.HEAD,
        check=check_body_size,
        problems=(TooLarge,),
        refuses="a body above the limit of an endpoint under `/-/`, or of a route",
    ),
    Rule(
        name="length",
        stage=Stage.HEAD,
        check=check_length_given,
        problems=(LengthRequired,),
        refuses="an upload with neither `Content-Length` nor a chunked body",
    ),
)
#: After the role was checked, where an endpoint needs one.
METHOD_RULES: tuple[Rule[Dispatched], ...] = (
    Rule(
        name="method",
        stage=Stage.HEAD,
        check=check_method,
        problems=(MethodNotAllowed,),
        refuses="another method than those in `Allow`, which for uploads is PUT",
    ),
)
_LENGTH_CHECKS = tuple(rule.check for rule in LENGTH_RULES)
_METHOD_CHECKS = tuple(rule.check for rule in METHOD_RULES)


def check_length(request: Request, row: Endpoint) -> None:
    """Apply LENGTH_RULES; raises TooLarge or LengthRequired."""
    dispatched = request, row
    for check in _LENGTH_CHECKS:
        check(dispatched)


class BoundEndpoint:
    """A row of the table of endpoints with its handlers."""

    __slots__ = ("_authorize", "_handlers", "_reads_body", "_row", "match")

    def __init__(
        self,
        row: Endpoint,
        handlers: Mapping[str, EndpointHandler],
        match: Match,
        *,
        authorize: Callable[[Request], None] | None = None,
        reads_body: bool = False,
    ) -> None:
        """`handlers` by method, where GET serves HEAD as well; without them, nothing is served.

        `authorize` raises Unauthorized or Forbidden. A body is discarded unless `reads_body`.
        """
        self._row = row
        self._handlers = handlers
        self.match = match
        self._authorize = authorize
        self._reads_body = reads_body

    def handle(
        self, request: Request, body: Body, values: Mapping[str, str]
    ) -> Awaitable[Response]:
        """Process a request of this path; raises Problem before the body is read."""
        method, dispatched = request.head.method, (request, self._row)
        for check in _LENGTH_CHECKS:
            check(dispatched)
        if self._authorize is not None and method in KNOWN_METHODS:
            # No role can allow an unknown method: respond 405 instead of 403.
            self._authorize(request)
        for check in _METHOD_CHECKS:
            check(dispatched)
        handler = self._handlers["GET" if method == "HEAD" else method]
        if self._reads_body:
            return handler(request, body, values)
        return _without_body(handler, request, body, values)


async def _without_body(
    handler: EndpointHandler, request: Request, body: Body, values: Mapping[str, str]
) -> Response:
    # A client that waits for `100 Continue` is told the response instead, and sends nothing.
    if not request.head.waits:
        await discard(body, MAX_UNUSED_BODY_BYTES)
    return await handler(request, body, values)


class Dispatch(Value, frozen=True, kw_only=True):
    """All endpoints of an APIGW."""

    upload: BoundEndpoint
    #: Endpoints under `/-/`, and the row of every other path there.
    admin: Sequence[BoundEndpoint]
    nothing: Endpoint
    #: Serves every other path, with the routes of plugins.
    routes: Callable[[Request, Body], Awaitable[Response]]

    def handle(self, request: Request, body: Body) -> Awaitable[Response]:
        """Give a request to the endpoint of its path; raises Problem."""
        path, upload, record = request.path, self.upload, request.record
        if path.startswith("/-") and ADMIN_PATH.match(path):
            record.endpoint = "admin"
            return self._admin(request, body)
        values = upload.match(path)
        if values is None:
            record.endpoint = "route"
            return self.routes(request, body)
        record.endpoint = "upload"
        return upload.handle(request, body, values)

    def _admin(self, request: Request, body: Body) -> Awaitable[Response]:
        for endpoint in self.admin:
            values = endpoint.match(request.path)
            if values is not None:
                return endpoint.handle(request, body, values)
        check_length(request, self.nothing)
        raise NotFound("nothing is served at this path")


def matching(row: Endpoint) -> Match:
    """The match of the path of a row."""
    pattern = re.compile(row.regex)

    def match(path: str) -> Mapping[str, str] | None:
        found = pattern.fullmatch(path)
        return None if found is None else found.groupdict()

    return match
