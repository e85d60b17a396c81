"""Built-in endpoints under `/-/`: liveness, readiness, logon, plugin set, OpenAPI description."""

from collections.abc import Callable
from dataclasses import dataclass

from qmonus_lite.apigw.authority import authorize
from qmonus_lite.apigw.endpoint import Endpoint
from qmonus_lite.apigw.handler import BaseHandler
from qmonus_lite.apigw.resources import Liveness, Logon, Readiness
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


class AdminHandler(BaseHandler):
    """Base of the operator handlers."""

    def initialize(self, endpoint: Endpoint, operations: Operations) -> None:
        """Set the shared services of the operator handlers."""
        self.endpoint = endpoint
        self.operations = operations

    async def check(self) -> None:
        """Authorize as the table of endpoints says; raises Problem."""
        authorize(self.operations.gatekeeper, self)


class LiveHandler(AdminHandler):
    """The process serves requests."""

    async def get(self) -> None:
        """Respond with `live`."""
        self.send_value(Liveness())


class ReadyHandler(AdminHandler):
    """Plugins are loaded and a worker answers."""

    async def check(self) -> None:
        """Raises NotReady (503) with the reason while not ready."""
        await super().check()
        if reason := self.operations.unready():
            raise NotReady(reason)

    async def get(self) -> None:
        """Respond with `ready`, and warnings if any."""
        self.send_value(Readiness(warnings=tuple(self.operations.warnings()) or None))


class LogonHandler(AdminHandler):
    """A token for the owner of an API key."""

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
        self.send_value(Logon(token=given.token, expires_at=expires, username=given.username))


class PluginsHandler(AdminHandler):
    """The plugin set in force, and what is wrong with the folders now."""

    async def get(self) -> None:
        """Respond with the plugin set and the state of the plugin folders."""
        self.send_value(describe(self.operations.live))


class OpenApiHandler(AdminHandler):
    """All endpoints, as OpenAPI 3.1."""

    async def get(self) -> None:
        """Respond with the OpenAPI description."""
        self.send_json(self.operations.openapi())


class NotFoundHandler(AdminHandler):
    """Every other path under `/-/`."""

    async def check(self) -> None:
        """Raises NotFound, without authentication."""
        raise NotFound("nothing is served at this path")
