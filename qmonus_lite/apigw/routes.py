"""Routes of plugins: every path that is neither an upload nor built in."""

from qmonus_lite.apigw.dispatch import check_length
from qmonus_lite.apigw.endpoints import ROUTES
from qmonus_lite.apigw.query import read_query
from qmonus_lite.catalog.live import Live
from qmonus_lite.errors import MethodNotAllowed, NotFound
from qmonus_lite.http.body import Body
from qmonus_lite.http.body_memory import BodyMemory, BufferedBytes
from qmonus_lite.http.request import Request
from qmonus_lite.http.response import Response
from qmonus_lite.pathtemplate import PathTemplate
from qmonus_lite.routing.message import Incoming, RouteResponse, ScriptRequest
from qmonus_lite.routing.pipeline import Routing
from qmonus_lite.values import Value


class Routes(Value, frozen=True, kw_only=True):
    """Any method on any path that a routing plugin may serve."""

    routing: Routing
    live: Live
    memory: BodyMemory
    #: Template of the upload API, for what resembles an upload.
    upload: PathTemplate

    async def handle(self, request: Request, body: Body) -> Response:
        """Find the route, authorize the request, then read its body and process it.

        Raises NotFound and other Problems.
        """
        check_length(request, ROUTES)
        # The whole request uses the plugin set in force at its start.
        catalog = self.live.catalog
        match = self.routing.find(catalog, request.path)
        if match is None:
            raise NotFound(f"nothing is served at this path{self._hint(request)}")
        incoming = _incoming(request)
        try:
            admission = await self.routing.admit(match, incoming)
        finally:
            account = incoming.request.account
            request.record.account = account["name"] if account else None
        if request.method not in ROUTES.methods:
            raise MethodNotAllowed(request.method, ROUTES.methods)
        buffer = BufferedBytes(self.memory)
        try:
            await body.copy_to(buffer)
            incoming.request.body = buffer.take()
            return _response(request, await self.routing.answer(admission, incoming, catalog))
        finally:
            buffer.release()

    def _hint(self, request: Request) -> str:
        """How to upload, for a PUT or POST that resembles an upload, such as one without a name."""
        fixed = self.upload.text.partition("{")[0]
        if request.method in {"PUT", "POST"} and f"{request.path}/".startswith(fixed):
            return f"; an upload is PUT {self.upload.text}, with a name in it"
        return ""


def _incoming(request: Request) -> Incoming:
    own = ScriptRequest(
        method=request.method,
        path=request.path,
        headers=request.headers.copy(),
        params=read_query(request.query),
        body=b"",
    )
    hosts = request.head.values("host")
    return Incoming(
        request=own,
        raw_path=request.path,
        raw_query=request.query,
        peer=request.client,
        scheme=request.scheme,
        host=hosts[0] if hosts else "127.0.0.1",
        session=request,
    )


def _response(request: Request, answer: RouteResponse) -> Response:
    headers = answer.headers
    if isinstance(answer.body, bytes) and request.method != "HEAD":
        # The server adds the length of a body that it has.
        headers = tuple(field for field in headers if field[0].lower() != "content-length")
    return Response(status=answer.code, headers=headers, body=answer.body)
