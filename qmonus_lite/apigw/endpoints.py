"""The table of endpoints: dispatch, `Allow`, OpenAPI and the HTTP reference are made from it.

An endpoint needs a row here, and a handler in `app.HANDLERS`. Paths are matched in this order.
"""

from collections.abc import Mapping

from qmonus_lite.apigw.admin.uploads import MAX_LISTED
from qmonus_lite.apigw.endpoint import Access, Answer, Endpoint, Operation, Parameter
from qmonus_lite.apigw.resources import (
    EventChange,
    EventDetail,
    EventListing,
    Liveness,
    Logon,
    Readiness,
)
from qmonus_lite.apigw.upload_rules import UPLOAD_PROBLEMS
from qmonus_lite.catalog.live import PluginSet
from qmonus_lite.errors import (
    Conflict,
    CredentialInQuery,
    InvalidQuery,
    LengthRequired,
    NotFound,
    NotReady,
    RecordsUnavailable,
)
from qmonus_lite.events.log import STATES
from qmonus_lite.http.body_memory import MAX_BODY
from qmonus_lite.metrics.exposition import MEDIA_TYPES
from qmonus_lite.records.record import STATES as STATES_OF_RECORDS
from qmonus_lite.records.record import RecordDetail, RecordPage
from qmonus_lite.uploads.receipt import Receipt

_EVENT_ID = Parameter(
    name="id",
    description="id of the event",
    schema={"type": "string", "pattern": "^[0-9a-f-]{36}$"},
    pattern="[0-9a-f-]{36}",
)


def _filter(name: str, description: str, schema: Mapping[str, object] | None = None) -> Parameter:
    """An argument of the query of a listing."""
    return Parameter(
        name=name,
        location="query",
        description=description,
        schema={"type": "string", **(schema or {})},
    )


#: `PUT` on the path of `--file_upload_api_path`.
UPLOAD = Endpoint(
    path="/upload/{filepath}",
    access=Access.UPLOAD,
    max_body_bytes=None,
    operations=(
        Operation(
            method="PUT",
            summary="store the body as a file, whole or not at all",
            # Else a request without length would replace the file by an empty file.
            body_required=True,
            answers=(
                Answer(
                    status=201,
                    description="stored",
                    body=Receipt,
                    headers={"Location": "the stored path", "Repr-Digest": "if wanted"},
                ),
                Answer(
                    status=200,
                    description="stored in the place of another file",
                    body=Receipt,
                    headers={"Location": "the stored path", "Repr-Digest": "if wanted"},
                ),
            ),
            problems=(LengthRequired, *UPLOAD_PROBLEMS),
        ),
    ),
)

#: Endpoints under `/-/`.
ADMIN = (
    Endpoint(
        path="/-/live",
        access=Access.OPEN,
        operations=(
            Operation(
                method="GET",
                summary="the process serves requests",
                answers=(Answer(description="it does", body=Liveness),),
            ),
        ),
    ),
    Endpoint(
        path="/-/ready",
        access=Access.OPEN,
        operations=(
            Operation(
                method="GET",
                summary="plugins are loaded and a worker answers",
                answers=(Answer(description="ready", body=Readiness),),
                problems=(NotReady,),
            ),
        ),
    ),
    Endpoint(
        path="/-/logon",
        access=Access.API_KEY,
        operations=(
            Operation(
                method="POST",
                summary="a token for the owner of an API key",
                answers=(
                    Answer(
                        description="a token, for `X-Auth-Token` or `Authorization: Bearer`",
                        body=Logon,
                        headers={"Cache-Control": "no-store"},
                    ),
                ),
                problems=(CredentialInQuery,),
            ),
        ),
    ),
    Endpoint(
        path="/-/plugins",
        access=Access.ROLE,
        operations=(
            Operation(
                method="GET",
                summary="the plugin set in force, and what is wrong with the folders now",
                answers=(Answer(description="the plugin set", body=PluginSet),),
            ),
        ),
    ),
    Endpoint(
        path="/-/metrics",
        access=Access.ROLE,
        operations=(
            Operation(
                method="GET",
                summary="metrics of all processes of the data directory, for Prometheus",
                answers=(
                    Answer(
                        description="the metrics, as text or OpenMetrics by `Accept`",
                        body=str,
                        media_types=MEDIA_TYPES,
                        headers={"Cache-Control": "no-store"},
                    ),
                ),
                problems=(NotFound,),
            ),
        ),
    ),
    Endpoint(
        path="/-/openapi.json",
        access=Access.ROLE,
        operations=(
            Operation(
                method="GET",
                summary="this gateway, as OpenAPI 3.1",
                answers=(Answer(description="the document", body=Mapping[str, object]),),
            ),
        ),
    ),
    Endpoint(
        path="/-/events",
        access=Access.ROLE,
        parameters=(
            Parameter(
                name="state",
                location="query",
                description="only events in this state; without it, all but delivered ones",
                schema={"type": "string", "enum": ["", *STATES]},
            ),
        ),
        operations=(
            Operation(
                method="GET",
                summary="events in the outbox, oldest first, and how many of each state",
                answers=(Answer(description="the events", body=EventListing),),
                problems=(InvalidQuery,),
            ),
        ),
    ),
    Endpoint(
        path="/-/events/{id}",
        access=Access.ROLE,
        parameters=(_EVENT_ID,),
        operations=(
            Operation(
                method="GET",
                summary="one event, credentials masked",
                answers=(Answer(description="the event", body=EventDetail),),
                problems=(NotFound,),
            ),
            Operation(
                method="DELETE",
                summary="drop a dead letter",
                answers=(Answer(description="it is gone", body=EventChange),),
                problems=(Conflict,),
            ),
        ),
    ),
    Endpoint(
        path="/-/events/{id}/retry",
        access=Access.ROLE,
        parameters=(_EVENT_ID,),
        operations=(
            Operation(
                method="POST",
                summary="try a waiting event now",
                answers=(Answer(status=202, description="is due", body=EventChange),),
                problems=(Conflict,),
            ),
        ),
    ),
    Endpoint(
        path="/-/events/{id}/replay",
        access=Access.ROLE,
        parameters=(_EVENT_ID,),
        operations=(
            Operation(
                method="POST",
                summary="deliver a dead letter after all, or a copy of a delivered event",
                answers=(Answer(status=202, description="waits for delivery", body=EventChange),),
                problems=(Conflict,),
            ),
        ),
    ),
    Endpoint(
        path="/-/uploads",
        access=Access.OWN,
        parameters=(
            _filter("account", "only those of this account"),
            _filter("path", "only those whose path begins so"),
            _filter("state", "only those in this state", {"enum": ["", *STATES_OF_RECORDS]}),
            _filter("code", "only those refused with this code"),
            _filter("since", "only those since this time, with its offset"),
            _filter("cursor", "`next` of the page before", {"pattern": "^[0-9]{0,19}$"}),
            Parameter(
                name="limit",
                location="query",
                description=f"records of a page, at most {MAX_LISTED}",
                schema={"type": "integer", "minimum": 1, "maximum": MAX_LISTED},
            ),
        ),
        operations=(
            Operation(
                method="GET",
                summary="records of uploads and refused requests, newest first",
                answers=(Answer(description="a page of them", body=RecordPage),),
                problems=(InvalidQuery, RecordsUnavailable),
            ),
        ),
    ),
    Endpoint(
        path="/-/uploads/{id}",
        access=Access.OWN,
        parameters=(
            Parameter(
                name="id",
                description="id of the request, upload or event",
                schema={"type": "string", "pattern": "^[A-Za-z0-9._~:/+=@-]{1,128}$"},
                pattern="[A-Za-z0-9._~:/+=@%-]{1,384}",
            ),
        ),
        operations=(
            Operation(
                method="GET",
                summary="one record, with the attempts to deliver its events",
                answers=(Answer(description="the record", body=RecordDetail),),
                problems=(NotFound, RecordsUnavailable),
            ),
        ),
    ),
)

#: Every other path under `/-/`.
NOTHING = Endpoint(path="/-/*", access=Access.OPEN, operations=())

#: Every other path: the routes of plugins, which may refuse further methods.
ROUTES = Endpoint(
    path="*",
    access=Access.ROUTE,
    max_body_bytes=MAX_BODY,
    operations=tuple(
        Operation(method=method, summary="a route of a plugin", answers=())
        for method in ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS")
    ),
)
