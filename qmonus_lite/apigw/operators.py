"""Built-in endpoints under `/-/`: liveness, readiness, logon, plugin set, OpenAPI description."""

from collections.abc import Callable
from dataclasses import dataclass

from qmonus_lite.apigw.authority import authorize
from qmonus_lite.apigw.handler import BaseHandler
from qmonus_lite.auth.gatekeeper import Gatekeeper
from qmonus_lite.catalog.live import Live, describe
from qmonus_lite.clock import Clock
from qmonus_lite.errors import (
    CredentialInQuery,
    NotFound,
    NotReady,
)


@dataclass(frozen=True, kw_only=True)
class Operations:
    """Services shared by the operator handlers."""

    live: Live
    gatekeeper: Gatekeeper
    clock: Clock
    #: Why this APIGW is not ready, or None when it is.
    unready: Callable[[], str | None]
    #: Problems for the operator that do not affect readiness.
    warnings: Callable[[], list[str]]
    #: The OpenAPI description of all routes currently served.
    openapi: Callable[[], dict[str, object]]


class _AdminHandler(BaseHandler):
    def initialize(self, operations: Operations) -> None:
        """Set the shared services of the operator handlers."""
        self.operations = operations

    def authorize(self) -> None:
        """Authorize by role; raises MethodNotAllowed, Unauthorized or Forbidden."""
        authorize(self.operations.gatekeeper, self)


class LiveHandler(_AdminHandler):
    """`GET /-/live`: the process serves requests."""

    async def get(self) -> None:
        """Respond with `live`."""
        self.send_json({"live": True})


class ReadyHandler(_AdminHandler):
    """`GET /-/ready`: plugins are loaded and a worker answers."""

    async def check(self) -> None:
        """Raises NotReady (503) with the reason while not ready."""
        if reason := self.operations.unready():
            raise NotReady(reason)

    async def get(self) -> None:
        """Respond with `ready`, and warnings if any."""
        warnings = self.operations.warnings()
        self.send_json({"ready": True, **({"warnings": warnings} if warnings else {})})


class LogonHandler(_AdminHandler):
    """`POST /-/logon`: a token for the owner of an API key."""

    allowed_methods = ("POST",)

    async def check(self) -> None:
        """Refuse any query: a key in the URL is in logs and histories already, even a valid one."""
        if self.request.query:
            raise CredentialInQuery("give the API key as X-API-Key, and nothing in the query")

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
        """Authorize by role; raises Problem."""
        self.authorize()

    async def get(self) -> None:
        """Respond with the plugin set and the state of the plugin folders."""
        self.send_json(describe(self.operations.live))


class OpenApiHandler(_AdminHandler):
    """`GET /-/openapi.json`: all routes and the upload API, as OpenAPI 3.1."""

    async def check(self) -> None:
        """Authorize by role; raises Problem."""
        self.authorize()

    async def get(self) -> None:
        """Respond with the OpenAPI description."""
        self.send_json(self.operations.openapi())


class NotFoundHandler(_AdminHandler):
    """Every other path under `/-/`."""

    async def check(self) -> None:
        """Raises NotFound, without authentication."""
        raise NotFound("nothing is served at this path")
