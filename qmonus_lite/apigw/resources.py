"""The JSON values of the endpoints under `/-/`; the OpenAPI document has their schemas."""

from collections.abc import Mapping
from typing import Annotated, Literal

from qmonus_lite.events.stored_event import EventEntry
from qmonus_lite.values import Value


class Liveness(Value, frozen=True, kw_only=True):
    """The process serves requests."""

    live: Literal[True] = True


class Readiness(Value, frozen=True, kw_only=True):
    """Uploads can be taken."""

    ready: Literal[True] = True
    #: Problems for the operator that do not affect readiness.
    warnings: tuple[str, ...] | None = None


class Logon(Value, frozen=True, kw_only=True):
    """A token for the owner of an API key."""

    #: For `X-Auth-Token` or `Authorization: Bearer`.
    token: str
    expires_at: Annotated[str, ("format", "date-time")]
    username: str


class EventListing(Value, frozen=True, kw_only=True):
    """Events of the outbox, and how many there are of each state."""

    events: tuple[EventEntry, ...]
    #: Number of all events by state.
    counts: Mapping[str, int]


class EventDetail(EventEntry, frozen=True, kw_only=True):
    """One event of the outbox, with its data."""

    #: What its handlers get, with the values of headers masked.
    event: Mapping[str, object]


class EventChange(Value, frozen=True, kw_only=True):
    """An event that an operator changed, and its state now."""

    #: That of the copy, if a delivered event is delivered again.
    id: str
    state: Literal["ready", "dropped"]
