"""The operators' doors to the outbox: what waits, what is dead, and one more try."""

from dataclasses import asdict, dataclass

from qmonus_lite.apigw.authority import authorize
from qmonus_lite.apigw.door import Door
from qmonus_lite.auth.gatekeeper import Gatekeeper
from qmonus_lite.errors import BadRequest, Conflict, NotFound
from qmonus_lite.events.outbox import detail, entry
from qmonus_lite.keeper.keeping import Keeping

#: States that can be asked for; a delivered event is no longer in the outbox.
STATES = ("prepared", "ready", "dead")
#: Events in one listing.
MOST_LISTED = 1000


@dataclass(frozen=True, kw_only=True)
class Outgoings:
    """What the doors to the outbox share."""

    keeping: Keeping
    gatekeeper: Gatekeeper


class _Door(Door):
    def initialize(self, outgoings: Outgoings) -> None:
        """Take what the doors to the outbox share."""
        self.outgoings = outgoings

    async def judge(self) -> None:
        """For those whom a role allows."""
        authorize(self.outgoings.gatekeeper, self)


class EventsDoor(_Door):
    """`GET /-/events?state=`: events in the outbox, oldest first."""

    async def get(self) -> None:
        """List them, with the number of all by state."""
        state = self.get_query_argument("state", "")
        if state and state not in STATES:
            self.answer(BadRequest(f"state has to be one of {', '.join(STATES)}"))
            return
        rows = await self.outgoings.keeping.listing(state, MOST_LISTED)
        counts: dict[str, int] = dict(await self.outgoings.keeping.counts())
        self.send_json({"events": [asdict(entry(row)) for row in rows], "counts": counts})


class EventDoor(_Door):
    """`GET /-/events/{id}`: one event, credentials masked."""

    async def get(self, event_id: str) -> None:
        """Show it."""
        rows = await self.outgoings.keeping.one(event_id)
        if not rows:
            self.answer(NotFound("no event of this id is in the outbox; it may be delivered"))
            return
        self.send_json(detail(rows[0]))


class ReplayDoor(_Door):
    """`POST /-/events/{id}/replay`: deliver a dead letter after all."""

    offered = ("POST",)

    async def post(self, event_id: str) -> None:
        """Put it back in line."""
        if not await self.outgoings.keeping.replay(event_id):
            self.answer(Conflict("no dead letter has this id"))
            return
        self.send_json({"id": event_id, "state": "ready"}, 202)
