"""The route table of APIGW, in one place."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.web import Application

from qmonus_lite.apigw import framing
from qmonus_lite.apigw.access import log_request
from qmonus_lite.apigw.bodies import Bodies
from qmonus_lite.apigw.events import EventDoor, EventsDoor, Outgoings, ReplayDoor
from qmonus_lite.apigw.heads import IDLE, HeadWatch
from qmonus_lite.apigw.limits import Limits
from qmonus_lite.apigw.operators import (
    LiveDoor,
    LogonDoor,
    NothingDoor,
    OpenApiDoor,
    Operations,
    PluginsDoor,
    ReadyDoor,
)
from qmonus_lite.apigw.routed import RoutedDoor
from qmonus_lite.apigw.upload import OWN, UploadDoor, values_in
from qmonus_lite.apigw.whole import WholeUploads
from qmonus_lite.catalog.live import Live
from qmonus_lite.routing.story import Routing
from qmonus_lite.upload.session import Uploads


@dataclass(frozen=True, kw_only=True)
class Stories:
    """What the doors open to."""

    uploads: Uploads
    routing: Routing
    live: Live
    operations: Operations
    outgoings: Outgoings
    #: Runs a coroutine that no request waits for.
    background: Callable[[Coroutine[Any, Any, None]], None]


class Apigw(Application):
    """Tornado's application; uploads go past its table of routes."""

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """The door of a request whose head came."""
        heads: HeadWatch = self.settings["heads"]
        heads.came(request.server_connection)  # type: ignore[arg-type]
        # A proxy may name the host with the path.
        request.uri = framing.origin_form(request.uri or "", request.host)
        request.path = request.uri.partition("?")[0]
        uploads: Uploads = self.settings["uploads"]
        values = values_in(request.path, uploads)
        if values is not None:
            given = {"uploads": uploads, "values": values}
            return self.get_handler_delegate(request, UploadDoor, given)
        return super().find_handler(request, **kwargs)


def make_app(stories: Stories, limits: Limits) -> Application:
    """The Tornado application of APIGW."""
    ours = {"operations": stories.operations}
    outbox = {"outgoings": stories.outgoings}
    routed = {"routing": stories.routing, "live": stories.live}
    table: list[Any] = [
        (r"/-/live", LiveDoor, ours),
        (r"/-/ready", ReadyDoor, ours),
        (r"/-/logon", LogonDoor, ours),
        (r"/-/plugins", PluginsDoor, ours),
        (r"/-/openapi\.json", OpenApiDoor, ours),
        (r"/-/events", EventsDoor, outbox),
        (r"/-/events/([0-9a-f-]{36})", EventDoor, outbox),
        (r"/-/events/([0-9a-f-]{36})/replay", ReplayDoor, outbox),
        (OWN.pattern, NothingDoor, ours),
        (r".*", RoutedDoor, routed),
    ]
    application = Apigw(
        table,
        log_function=log_request,
        uploads=stories.uploads,
        #: Closes connections on which no head comes; the server knows when it waits for one.
        heads=HeadWatch(IDLE),
        background=stories.background,
        # Requests under way, for the stop to wait for.
        active=set(),
        draining=False,
        #: Uploads among them.
        uploading=set(),
        limits=limits,
        #: Those that are kept in memory.
        bodies=Bodies(),
    )
    #: Takes whole uploads past all this.
    application.settings["whole"] = WholeUploads(application.settings)
    return application
