"""The handlers of the endpoints of APIGW, and the pipeline around them."""

from collections.abc import Callable, Mapping

from qmonus_lite.apigw.admin import roles
from qmonus_lite.apigw.admin.events import EventsResource
from qmonus_lite.apigw.admin.health import HealthResource
from qmonus_lite.apigw.admin.logon import LogonResource
from qmonus_lite.apigw.admin.metrics import MetricsResource
from qmonus_lite.apigw.admin.plugins import PluginsResource
from qmonus_lite.apigw.admin.uploads import UploadsResource
from qmonus_lite.apigw.dispatch import BoundEndpoint, Dispatch, EndpointHandler, matching
from qmonus_lite.apigw.endpoint import Access, Endpoint
from qmonus_lite.apigw.endpoints import ADMIN, NOTHING, UPLOAD
from qmonus_lite.apigw.protocols.put import Put
from qmonus_lite.apigw.routes import Routes
from qmonus_lite.auth.gatekeeper import Gatekeeper
from qmonus_lite.catalog.live import Live
from qmonus_lite.http.body_memory import BodyMemory
from qmonus_lite.http.pipeline import Pipeline
from qmonus_lite.http.request import Request
from qmonus_lite.http.state import ServerState
from qmonus_lite.observations import Observers
from qmonus_lite.routing.pipeline import Routing
from qmonus_lite.uploads.service import UploadService
from qmonus_lite.values import Value


class Services(Value, frozen=True, kw_only=True):
    """Services behind the endpoints."""

    uploads: UploadService
    #: Maximum uploads at once.
    max_uploads: int
    routing: Routing
    live: Live
    gatekeeper: Gatekeeper
    health: HealthResource
    logon: LogonResource
    plugins: PluginsResource
    events: EventsResource
    records: UploadsResource
    metrics: MetricsResource
    observers: Observers


Selector = Callable[[Services], EndpointHandler]

#: The handlers of each row of the table of endpoints under `/-/`, by path and method.
HANDLERS: Mapping[str, Mapping[str, Selector]] = {
    "/-/live": {"GET": lambda services: services.health.live},
    "/-/ready": {"GET": lambda services: services.health.ready},
    "/-/logon": {"POST": lambda services: services.logon.post},
    "/-/plugins": {"GET": lambda services: services.plugins.get},
    "/-/metrics": {"GET": lambda services: services.metrics.get},
    "/-/openapi.json": {"GET": lambda services: services.plugins.openapi},
    "/-/events": {"GET": lambda services: services.events.list},
    "/-/events/{id}": {
        "GET": lambda services: services.events.show,
        "DELETE": lambda services: services.events.drop,
    },
    "/-/events/{id}/retry": {"POST": lambda services: services.events.retry},
    "/-/events/{id}/replay": {"POST": lambda services: services.events.replay},
    "/-/uploads": {"GET": lambda services: services.records.list},
    "/-/uploads/{id}": {"GET": lambda services: services.records.show},
}


def make_pipeline(services: Services, state: ServerState) -> Pipeline:
    """The pipeline of APIGW."""
    put = Put(services.uploads, max_uploads=services.max_uploads)
    routes = Routes(
        routing=services.routing,
        live=services.live,
        memory=BodyMemory(),
        upload=services.uploads.template,
    )
    dispatch = Dispatch(
        upload=BoundEndpoint(
            UPLOAD, {"PUT": put.handle}, services.uploads.template.match, reads_body=True
        ),
        admin=tuple(_bound(row, services) for row in ADMIN),
        nothing=NOTHING,
        routes=routes.handle,
    )
    return Pipeline(dispatch.handle, state, services.observers)


def _bound(row: Endpoint, services: Services) -> BoundEndpoint:
    def by_role(request: Request) -> None:
        roles.authorize(services.gatekeeper, request)

    def by_account(request: Request) -> None:
        roles.identify(services.gatekeeper, request)

    by_access = {Access.ROLE: by_role, Access.OWN: by_account}

    return BoundEndpoint(
        row,
        {method: select(services) for method, select in HANDLERS[row.path].items()},
        matching(row),
        authorize=by_access.get(row.access),
    )
