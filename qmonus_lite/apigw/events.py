"""Operator endpoints of the event log: list events, show an event, replay a dead letter."""

from dataclasses import asdict, dataclass

from qmonus_lite.apigw.authority import authorize
from qmonus_lite.apigw.handler import BaseHandler
from qmonus_lite.auth.gatekeeper import Gatekeeper
from qmonus_lite.errors import BadRequest, Conflict, NotFound
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


class _EventHandler(BaseHandler):
    def initialize(self, admin: EventAdmin) -> None:
        """Set the shared services."""
        self.admin = admin

    async def check(self) -> None:
        """Authorize by role; raises Problem."""
        authorize(self.admin.gatekeeper, self)


class EventsHandler(_EventHandler):
    """`GET /-/events?state=`: events in the outbox, oldest first."""

    async def get(self) -> None:
        """List the events, and the count of all events by state."""
        state = self.get_query_argument("state", "")
        if state and state not in STATES:
            self.answer(BadRequest(f"state has to be one of {', '.join(STATES)}"))
            return
        entries = await self.admin.commits.list_events(state, MAX_LISTED)
        counts = await self.admin.commits.counts()
        self.send_json({"events": list(map(asdict, entries)), "counts": counts})


class EventHandler(_EventHandler):
    """`GET /-/events/{id}`: one event, credentials masked."""

    async def get(self, event_id: str) -> None:
        """Return the event; 404 if it is not in the log."""
        detail = await self.admin.commits.show(event_id)
        if detail is None:
            self.answer(NotFound("no event of this id is in the outbox; it may be delivered"))
            return
        self.send_json(redacted_detail(detail, self.admin.gateway))


class ReplayHandler(_EventHandler):
    """`POST /-/events/{id}/replay`: deliver a dead letter after all."""

    allowed_methods = ("POST",)

    async def post(self, event_id: str) -> None:
        """Reset the event to `ready`; 409 if no dead letter has this id."""
        if not await self.admin.commits.replay(event_id):
            self.answer(Conflict("no dead letter has this id"))
            return
        self.send_json({"id": event_id, "state": "ready"}, 202)
