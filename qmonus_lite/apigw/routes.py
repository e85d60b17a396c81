"""Request handler of plugin routes: all paths that are neither uploads nor built in."""

import logging

from tornado.iostream import StreamClosedError

from qmonus_lite.apigw.body_memory import Body
from qmonus_lite.apigw.endpoint import Endpoint
from qmonus_lite.apigw.handler import BaseHandler
from qmonus_lite.apigw.upload import query
from qmonus_lite.catalog.live import Live
from qmonus_lite.catalog.plugins import Catalog
from qmonus_lite.errors import NotFound, Problem, Terminated
from qmonus_lite.headers import Headers
from qmonus_lite.log import bound
from qmonus_lite.routing.admission import AuthorizedRequest
from qmonus_lite.routing.message import Incoming, RouteResponse, ScriptRequest
from qmonus_lite.routing.pipeline import Routing

logger = logging.getLogger(__name__)


class RouteHandler(BaseHandler):
    """Any method on any path that a routing plugin may serve."""

    def initialize(self, endpoint: Endpoint, routing: Routing, live: Live) -> None:
        """Set the routing pipeline and the live plugin catalog."""
        self.endpoint = endpoint
        self.routing = routing
        self.live = live
        self.admission: AuthorizedRequest | None = None
        #: Name of the account of a valid credential, for the access record.
        self.account: str | None = None
        #: The request until it is served; refers to this handler (reference cycle).
        self.incoming: Incoming | None = None
        self._body = Body(self.application.settings["bodies"])

    async def check(self) -> None:
        """Find the route and authorize the request before the body; raises NotFound, Problem."""
        # The whole request uses the plugin set in force at its start.
        self.catalog: Catalog = self.live.catalog
        match = self.routing.find(self.catalog, self.request.path)
        if match is None:
            raise NotFound("nothing is served at this path")
        self.incoming = self._incoming()
        try:
            self.admission = await self.routing.admit(match, self.incoming)
        finally:
            known = self.incoming.request.account
            self.account = known["name"] if known else None

    async def take(self, chunk: bytes) -> int:
        """Buffer a chunk of the body; returns its size. Raises Problem."""
        self._body.add(chunk)
        return len(chunk)

    def let_go(self) -> None:
        """Also release the buffered body and the request."""
        super().let_go()
        self._body.release()
        self.incoming = None

    async def _serve(self) -> None:
        assert self.admission is not None and self.incoming is not None
        self.body_came()
        incoming, self.incoming = self.incoming, None
        incoming.request.body = self._body.take()
        # A script runs to completion without its client; shutdown waits up to drain_timeout.
        self.committed = self.admission.match.route.has_script
        try:
            with bound(request_id=self.request_id):
                await self._answer_to(self.admission, incoming)
        finally:
            self.committed = False
            self.let_go()
            if self.stream.closed():
                self.on_done()

    async def _answer_to(self, admission: AuthorizedRequest, incoming: Incoming) -> None:
        try:
            answer = await self.routing.answer(admission, incoming, self.catalog)
        except (Problem, Terminated) as error:
            self.answer(error)
        else:
            await self._send(answer)

    get = head = put = post = patch = delete = options = _serve

    async def _send(self, answer: RouteResponse) -> None:
        self.set_status(answer.code)
        self.clear_header("Content-Type")
        for name, value in answer.headers:
            self.add_header(name, value)
        try:
            if isinstance(answer.body, bytes):
                self.finish(answer.body or None)
                return
            async for chunk in answer.body:
                self.write(chunk)
                await self.flush()
            self.finish()
        except StreamClosedError:
            logger.debug("client left", extra={"action": "client_left"})
        except Problem as error:
            # The head is already sent; close early so that the client sees a truncated body.
            logger.error("%s", error.detail, extra={"action": "backend_broke_off"})
            self.stream.close()
        finally:
            await answer.close()

    def _incoming(self) -> Incoming:
        request = ScriptRequest(
            method=self.request.method or "",
            path=self.request.path,
            headers=Headers.combined(self.request.headers.get_all()),
            params=query(self.request.query),
            body=b"",
        )
        return Incoming(
            request=request,
            raw_path=self.request.path,
            raw_query=self.request.query,
            peer=self.client,
            scheme=self.scheme,
            host=self.request.host,
            session=self,
        )
