"""Tornado application and route table of APIGW."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.web import Application

from qmonus_lite.apigw import framing
from qmonus_lite.apigw.access import log_request
from qmonus_lite.apigw.body_memory import Bodies
from qmonus_lite.apigw.buffered import BufferedUploads
from qmonus_lite.apigw.events import EventAdmin, EventHandler, EventsHandler, ReplayHandler
from qmonus_lite.apigw.idle_timeout import IDLE_SECONDS, IdleTimeout
from qmonus_lite.apigw.limits import Limits
from qmonus_lite.apigw.operators import (
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
            given = {"uploads": uploads, "values": values}
            return self.get_handler_delegate(request, UploadHandler, given)
        return super().find_handler(request, **kwargs)


def make_app(stories: Services, limits: Limits) -> Application:
    """The Tornado application of APIGW."""
    ours = {"operations": stories.operations}
    event_log = {"admin": stories.outgoings}
    routed = {"routing": stories.routing, "live": stories.live}
    table: list[Any] = [
        (r"/-/live", LiveHandler, ours),
        (r"/-/ready", ReadyHandler, ours),
        (r"/-/logon", LogonHandler, ours),
        (r"/-/plugins", PluginsHandler, ours),
        (r"/-/openapi\.json", OpenApiHandler, ours),
        (r"/-/events", EventsHandler, event_log),
        (r"/-/events/([0-9a-f-]{36})", EventHandler, event_log),
        (r"/-/events/([0-9a-f-]{36})/replay", ReplayHandler, event_log),
        (ADMIN_PATH.pattern, NotFoundHandler, ours),
        (r".*", RouteHandler, routed),
    ]
    application = Apigw(
        table,
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
