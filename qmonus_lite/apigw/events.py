"""Operator endpoints of the event log: list events, show an event, replay a dead letter."""

from dataclasses import dataclass

from qmonus_lite.apigw.authority import authorize
from qmonus_lite.apigw.endpoint import Endpoint
from qmonus_lite.apigw.handler import BaseHandler
from qmonus_lite.apigw.resources import EventDetail, EventListing, Replay
from qmonus_lite.auth.gatekeeper import Gatekeeper
from qmonus_lite.errors import (
    Conflict,
    InvalidQuery,
    NotFound,
)
from qmonus_lite.events.event_redaction import redacted_detail
from qmonus_lite.events.gateway import Gateway
from qmonus_lite.events.log import STATES
from qmonus_lite.writer.service import CommitService

#: Maximum events per listing.
MAX_LISTED = 1000


@dataclass(frozen=True, kw_only=True)
class EventAdmin:
    """Services shared by the handlers of the event log."""

    commits: CommitService
    gatekeeper: Gatekeeper
    gateway: Gateway


class EventAdminHandler(BaseHandler):
    """Base of the handlers of the event log."""

    def initialize(self, endpoint: Endpoint, admin: EventAdmin) -> None:
        """Set the shared services."""
        self.endpoint = endpoint
        self.admin = admin

    async def check(self) -> None:
        """Authorize as the table of endpoints says; raises Problem."""
        authorize(self.admin.gatekeeper, self)


class EventsHandler(EventAdminHandler):
    """Events in the outbox, oldest first."""

    async def get(self) -> None:
        """List the events, and the count of all events by state."""
        state = self.get_query_argument("state", "")
        if state and state not in STATES:
            self.answer(InvalidQuery(f"state has to be one of {', '.join(STATES)}"))
            return
        entries = await self.admin.commits.list_events(state, MAX_LISTED)
        counts = await self.admin.commits.counts()
        self.send_value(EventListing(events=tuple(entries), counts=counts))


class EventHandler(EventAdminHandler):
    """One event, credentials masked."""

    async def get(self, event_id: str) -> None:
        """Return the event; 404 if it is not in the log."""
        detail = await self.admin.commits.show(event_id)
        if detail is None:
            self.answer(NotFound("no event of this id is in the outbox; it may be delivered"))
            return
        self.send_value(EventDetail(**redacted_detail(detail, self.admin.gateway)))


class ReplayHandler(EventAdminHandler):
    """Delivers a dead letter after all."""

    async def post(self, event_id: str) -> None:
        """Reset the event to `ready`; 409 if no dead letter has this id."""
        if not await self.admin.commits.replay(event_id):
            self.answer(Conflict("no dead letter has this id"))
            return
        self.send_value(Replay(id=event_id, state="ready"), 202)
