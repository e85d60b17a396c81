"""`/-/events`: list the events of the outbox, show, retry, replay and drop one."""

from collections.abc import Mapping

from qmonus_lite.apigw.json_values import json_value
from qmonus_lite.apigw.query import read_query
from qmonus_lite.apigw.resources import EventChange, EventDetail, EventListing
from qmonus_lite.errors import Conflict, InvalidQuery, NotFound
from qmonus_lite.events.event_redaction import redacted_detail
from qmonus_lite.events.gateway import Gateway
from qmonus_lite.events.log import STATES
from qmonus_lite.http.body import Body
from qmonus_lite.http.request import Request
from qmonus_lite.http.response import Response, json_response
from qmonus_lite.values import Value
from qmonus_lite.writer.service import CommitService

#: Maximum events per listing.
MAX_LISTED = 1000


class EventsResource(Value, frozen=True, kw_only=True):
    """The events of the outbox, for operators."""

    commits: CommitService
    gateway: Gateway

    async def list(self, request: Request, _body: Body, _values: Mapping[str, str]) -> Response:
        """List the events, oldest first, and the count of all events by state."""
        state = read_query(request.query).get("state", [""])[-1].strip()
        if state and state not in STATES:
            raise InvalidQuery(f"state has to be one of {', '.join(STATES)}")
        events = tuple(await self.commits.list_events(state, MAX_LISTED))
        counts = await self.commits.counts()
        return json_response(json_value(EventListing(events=events, counts=counts)))

    async def show(self, _request: Request, _body: Body, values: Mapping[str, str]) -> Response:
        """Return the event, credentials masked; raises NotFound if it is not in the outbox."""
        event = await self.commits.show(values["id"])
        if event is None:
            raise NotFound(
                "no event of this id is in the outbox; it may be delivered and forgotten"
            )
        return json_response(json_value(EventDetail(**redacted_detail(event, self.gateway))))

    async def replay(self, _request: Request, _body: Body, values: Mapping[str, str]) -> Response:
        """Deliver a dead letter or a delivered event again; raises Conflict if there is none."""
        event_id = await self.commits.replay(values["id"])
        if not event_id:
            raise Conflict("no dead letter and no delivered event has this id")
        return json_response(json_value(EventChange(id=event_id, state="ready")), 202)

    async def retry(self, _request: Request, _body: Body, values: Mapping[str, str]) -> Response:
        """Make a waiting event due now; raises Conflict if none with this id waits."""
        event_id = values["id"]
        if not await self.commits.retry_now(event_id):
            raise Conflict("no event of this id waits; it may be on its way, dead or delivered")
        return json_response(json_value(EventChange(id=event_id, state="ready")), 202)

    async def drop(self, _request: Request, _body: Body, values: Mapping[str, str]) -> Response:
        """Delete a dead letter; raises Conflict if no dead letter has this id."""
        event_id = values["id"]
        if not await self.commits.drop(event_id):
            raise Conflict("no dead letter has this id")
        return json_response(json_value(EventChange(id=event_id, state="dropped")))
