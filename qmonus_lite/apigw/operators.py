"""Our own doors under `/-/`: liveness, readiness, logon, the plugin set, the API description."""

from collections.abc import Callable
from dataclasses import dataclass

from qmonus_lite.apigw.authority import authorize
from qmonus_lite.apigw.handler import BaseHandler
from qmonus_lite.auth.gatekeeper import Gatekeeper
from qmonus_lite.catalog.live import Live, describe
from qmonus_lite.clock import Clock
from qmonus_lite.errors import BadRequest, NotFound, Unavailable


@dataclass(frozen=True, kw_only=True)
class Operations:
    """What the operators' doors share."""

    live: Live
    gatekeeper: Gatekeeper
    clock: Clock
    #: Why this APIGW is not ready, or None when it is.
    unready: Callable[[], str | None]
    #: What an operator should look at, although it is ready.
    warnings: Callable[[], list[str]]
    #: The OpenAPI description of everything served now.
    openapi: Callable[[], dict[str, object]]


class _AdminHandler(BaseHandler):
    def initialize(self, operations: Operations) -> None:
        """Take what the operators' doors share."""
        self.operations = operations

    def authorize(self) -> None:
        """Let in whom a role allows; raises Unauthorized or Forbidden."""
        authorize(self.operations.gatekeeper, self)


class LiveHandler(_AdminHandler):
    """`GET /-/live`: the process serves requests."""

    async def get(self) -> None:
        """Say so."""
        self.send_json({"live": True})


class ReadyHandler(_AdminHandler):
    """`GET /-/ready`: plugins are loaded and a worker answers."""

    async def check(self) -> None:
        """503 with the reason while it is not so."""
        if reason := self.operations.unready():
            raise Unavailable(reason)

    async def get(self) -> None:
        """Say so."""
        warnings = self.operations.warnings()
        self.send_json({"ready": True, **({"warnings": warnings} if warnings else {})})


class LogonHandler(_AdminHandler):
    """`POST /-/logon`: a token for the owner of an API key."""

    allowed_methods = ("POST",)

    async def check(self) -> None:
        """A key in the address is in logs and histories already: not even a right one is taken."""
        if self.request.query:
            raise BadRequest("give the API key as X-API-Key, and nothing in the query")

    async def post(self) -> None:
        """Exchange `X-API-Key` for a token."""
        key = self.request.headers.get("X-API-Key")
        given = self.operations.gatekeeper.log_on(key, self.client)
        expires = self.operations.clock.at(given.expires_at).isoformat(timespec="seconds")
        self.set_header("Cache-Control", "no-store")
        self.send_json({"token": given.token, "expires_at": expires, "username": given.username})


class PluginsHandler(_AdminHandler):
    """`GET /-/plugins`: the plugin set in force, and what is wrong with the folders now."""

    async def check(self) -> None:
        """For those whom a role allows."""
        self.authorize()

    async def get(self) -> None:
        """List them."""
        self.send_json(describe(self.operations.live))


class OpenApiHandler(_AdminHandler):
    """`GET /-/openapi.json`: all routes and the upload API, as OpenAPI 3.1."""

    async def check(self) -> None:
        """For those whom a role allows."""
        self.authorize()

    async def get(self) -> None:
        """Describe them."""
        self.send_json(self.operations.openapi())


class NotFoundHandler(_AdminHandler):
    """Every other path under `/-/`."""

    async def check(self) -> None:
        """404, for whoever asks."""
        raise NotFound("nothing is served at this path")
