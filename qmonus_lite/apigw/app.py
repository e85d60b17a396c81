"""The endpoints of APIGW, in one table, and the pipeline around them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from qmonus_lite.apigw.admin import roles
from qmonus_lite.apigw.admin.events import Events
from qmonus_lite.apigw.admin.health import Health
from qmonus_lite.apigw.admin.logon import Logon
from qmonus_lite.apigw.admin.plugins import PluginSet
from qmonus_lite.apigw.dispatch import Endpoint, EndpointHandler, Endpoints
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


@dataclass(frozen=True, kw_only=True)
class Services:
    """Services behind the endpoints."""

    uploads: UploadService
    #: Maximum uploads at once.
    max_uploads: int
    routing: Routing
    live: Live
    gatekeeper: Gatekeeper
    health: Health
    logon: Logon
    plugins: PluginSet
    events: Events
    observers: Observers


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One path under `/-/`, as documented and as served."""

    #: Template of the path; `{id}` is the id of an event.
    path: str
    #: By method; GET serves HEAD as well.
    handlers: Mapping[str, Callable[[Services], EndpointHandler]]
    summary: str
    #: Whether the caller needs a role that allows it.
    by_role: bool = True
    #: Query, for the documentation.
    query: str = ""


ADMIN: tuple[Resource, ...] = (
    Resource(
        path="/-/live",
        handlers={"GET": lambda services: services.health.live},
        summary="the process serves requests",
        by_role=False,
    ),
    Resource(
        path="/-/ready",
        handlers={"GET": lambda services: services.health.ready},
        summary="plugins are loaded and a worker answers",
        by_role=False,
    ),
    Resource(
        path="/-/logon",
        handlers={"POST": lambda services: services.logon.post},
        summary="a token for the owner of an API key",
        by_role=False,
    ),
    Resource(
        path="/-/plugins",
        handlers={"GET": lambda services: services.plugins.get},
        summary="the plugin set in force, and what is wrong with the folders now",
    ),
    Resource(
        path="/-/openapi.json",
        handlers={"GET": lambda services: services.plugins.openapi},
        summary="all routes and the upload API, as OpenAPI 3.1",
    ),
    Resource(
        path="/-/events",
        handlers={"GET": lambda services: services.events.list},
        summary="events in the outbox, oldest first",
        query="?state=",
    ),
    Resource(
        path="/-/events/{id}",
        handlers={"GET": lambda services: services.events.show},
        summary="one event, credentials masked",
    ),
    Resource(
        path="/-/events/{id}/replay",
        handlers={"POST": lambda services: services.events.replay},
        summary="deliver a dead letter after all",
    ),
)


def make_pipeline(services: Services, state: ServerState) -> Pipeline:
    """The pipeline of APIGW."""
    put = Put(services.uploads, max_uploads=services.max_uploads)
    routes = Routes(routing=services.routing, live=services.live, memory=BodyMemory())
    endpoints = Endpoints(
        upload=Endpoint(
            match=services.uploads.template.match, handlers={"PUT": put.handle}, reads_body=True
        ),
        admin=tuple(_bound(resource, services) for resource in ADMIN),
        routes=routes.handle,
    )
    return Pipeline(endpoints.handle, state, services.observers)


def _bound(resource: Resource, services: Services) -> Endpoint:
    pattern = re.compile(re.escape(resource.path).replace(r"\{id\}", r"(?P<id>[0-9a-f-]{36})"))

    def match(path: str) -> Mapping[str, str] | None:
        found = pattern.fullmatch(path)
        return None if found is None else found.groupdict()

    def by_role(request: Request) -> None:
        roles.authorize(services.gatekeeper, request)

    return Endpoint(
        match=match,
        handlers={method: handler(services) for method, handler in resource.handlers.items()},
        authorize=by_role if resource.by_role else None,
    )
