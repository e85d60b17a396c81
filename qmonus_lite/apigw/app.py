"""Tornado application and route table of APIGW."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.web import Application

from qmonus_lite.apigw import framing
from qmonus_lite.apigw.access import log_request
from qmonus_lite.apigw.body_memory import Bodies
from qmonus_lite.apigw.buffered import BufferedUploads
from qmonus_lite.apigw.endpoint import Endpoint
from qmonus_lite.apigw.endpoints import ADMIN, NOTHING, ROUTES, UPLOAD
from qmonus_lite.apigw.events import (
    EventAdmin,
    EventAdminHandler,
    EventHandler,
    EventsHandler,
    ReplayHandler,
)
from qmonus_lite.apigw.handler import BaseHandler
from qmonus_lite.apigw.idle_timeout import IDLE_SECONDS, IdleTimeout
from qmonus_lite.apigw.limits import Limits
from qmonus_lite.apigw.operators import (
    AdminHandler,
    LiveHandler,
    LogonHandler,
    NotFoundHandler,
    OpenApiHandler,
    Operations,
    PluginsHandler,
    ReadyHandler,
)
from qmonus_lite.apigw.routes import RouteHandler
from qmonus_lite.apigw.upload import ADMIN_PATH, UploadHandler, match_upload_path
from qmonus_lite.catalog.live import Live
from qmonus_lite.routing.pipeline import Routing
from qmonus_lite.uploads.service import UploadService

#: The handler of each row of the table of endpoints, by its path.
HANDLERS: Mapping[str, type[BaseHandler]] = {
    UPLOAD.path: UploadHandler,
    "/-/live": LiveHandler,
    "/-/ready": ReadyHandler,
    "/-/logon": LogonHandler,
    "/-/plugins": PluginsHandler,
    "/-/openapi.json": OpenApiHandler,
    "/-/events": EventsHandler,
    "/-/events/{id}": EventHandler,
    "/-/events/{id}/replay": ReplayHandler,
    NOTHING.path: NotFoundHandler,
    ROUTES.path: RouteHandler,
}


@dataclass(frozen=True, kw_only=True)
class Services:
    """Services used by the request handlers."""

    uploads: UploadService
    routing: Routing
    live: Live
    operations: Operations
    outgoings: EventAdmin
    #: Runs a coroutine in the background, detached from the request.
    background: Callable[[Coroutine[Any, Any, None]], None]


class Apigw(Application):
    """Tornado application; upload paths are matched before the route table."""

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """Select the handler of a request; called when its head was received."""
        heads: IdleTimeout = self.settings["heads"]
        heads.came(request.server_connection)  # type: ignore[arg-type]
        # A proxy may send the absolute form of the target.
        request.uri = framing.origin_form(request.uri or "", request.host)
        request.path = request.uri.partition("?")[0]
        uploads: UploadService = self.settings["uploads"]
        values = match_upload_path(request.path, uploads)
        if values is not None:
            given = {"endpoint": UPLOAD, "uploads": uploads, "values": values}
            return self.get_handler_delegate(request, HANDLERS[UPLOAD.path], given)
        return super().find_handler(request, **kwargs)


def _dispatch(services: Services) -> list[Any]:
    """Tornado's route table: the rows of the table of endpoints, with their services."""
    rows = [*((row.regex, row) for row in ADMIN), (ADMIN_PATH.pattern, NOTHING), (r".*", ROUTES)]
    return [
        (regex, HANDLERS[row.path], {"endpoint": row, **_services_of(row, services)})
        for regex, row in rows
    ]


def _services_of(endpoint: Endpoint, services: Services) -> dict[str, object]:
    handler = HANDLERS[endpoint.path]
    if issubclass(handler, EventAdminHandler):
        return {"admin": services.outgoings}
    if issubclass(handler, AdminHandler):
        return {"operations": services.operations}
    return {"routing": services.routing, "live": services.live}


def make_app(stories: Services, limits: Limits) -> Application:
    """The Tornado application of APIGW."""
    application = Apigw(
        _dispatch(stories),
        log_function=log_request,
        uploads=stories.uploads,
        #: Idle timeout of connections; the server starts it per request.
        heads=IdleTimeout(IDLE_SECONDS),
        background=stories.background,
        # Active requests; shutdown waits for them.
        active=set(),
        draining=False,
        #: Active uploads, a subset of `active`.
        uploading=set(),
        limits=limits,
        #: Bodies buffered in memory.
        bodies=Bodies(),
    )
    #: Fast path for buffered uploads, without this application.
    application.settings["whole"] = BufferedUploads(application.settings)
    return application
