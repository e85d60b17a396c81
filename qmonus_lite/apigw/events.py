"""Operator endpoints of the outbox: list events, show an event, replay a dead letter."""

from dataclasses import asdict, dataclass

from qmonus_lite.apigw.authority import authorize
from qmonus_lite.apigw.handler import BaseHandler
from qmonus_lite.auth.gatekeeper import Gatekeeper
from qmonus_lite.errors import (
    Conflict,
    InvalidQuery,
    NotFound,
)
from qmonus_lite.events.outbox import detail, entry
from qmonus_lite.writer.service import CommitService

#: States that can be queried; a delivered event is no longer in the outbox.
STATES = ("prepared", "ready", "dead")
#: Maximum events per listing.
MAX_LISTED = 1000


@dataclass(frozen=True, kw_only=True)
class EventAdmin:
    """Services shared by the outbox handlers."""

    commits: CommitService
    gatekeeper: Gatekeeper


class _EventHandler(BaseHandler):
    def initialize(self, outgoings: EventAdmin) -> None:
        """Set the shared services of the outbox handlers."""
        self.outgoings = outgoings

    async def check(self) -> None:
        """Authorize by role; raises Problem."""
        authorize(self.outgoings.gatekeeper, self)


class EventsHandler(_EventHandler):
    """`GET /-/events?state=`: events in the outbox, oldest first."""

    async def get(self) -> None:
        """List the events, and the count of all events by state."""
        state = self.get_query_argument("state", "")
        if state and state not in STATES:
            self.answer(InvalidQuery(f"state has to be one of {', '.join(STATES)}"))
            return
        rows = await self.outgoings.commits.listing(state, MAX_LISTED)
        counts: dict[str, int] = dict(await self.outgoings.commits.counts())
        self.send_json({"events": [asdict(entry(row)) for row in rows], "counts": counts})


class EventHandler(_EventHandler):
    """`GET /-/events/{id}`: one event, credentials masked."""

    async def get(self, event_id: str) -> None:
        """Return the event; 404 if it is not in the outbox."""
        rows = await self.outgoings.commits.one(event_id)
        if not rows:
            self.answer(NotFound("no event of this id is in the outbox; it may be delivered"))
            return
        self.send_json(detail(rows[0]))


class ReplayHandler(_EventHandler):
    """`POST /-/events/{id}/replay`: deliver a dead letter after all."""

    allowed_methods = ("POST",)

    async def post(self, event_id: str) -> None:
        """Reset the event to `ready`; 409 if no dead letter has this id."""
        if not await self.outgoings.commits.replay(event_id):
            self.answer(Conflict("no dead letter has this id"))
            return
        self.send_json({"id": event_id, "state": "ready"}, 202)
