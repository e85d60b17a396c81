"""The JSON values of the endpoints under `/-/`; the OpenAPI document has their schemas."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from qmonus_lite.events.stored_event import EventEntry


@dataclass(frozen=True, kw_only=True)
class Liveness:
    """The process serves requests."""

    live: Literal[True] = True


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """Uploads can be taken."""

    ready: Literal[True] = True
    #: Problems for the operator that do not affect readiness.
    warnings: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Logon:
    """A token for the owner of an API key."""

    #: For `X-Auth-Token` or `Authorization: Bearer`.
    token: str
    expires_at: Annotated[str, ("format", "date-time")]
    username: str


@dataclass(frozen=True, kw_only=True)
class EventListing:
    """Events of the outbox, and how many there are of each state."""

    events: tuple[EventEntry, ...]
    #: Number of all events by state.
    counts: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class EventDetail(EventEntry):
    """One event of the outbox, with its data."""

    #: What its handlers get, with the values of headers masked.
    event: Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class EventChange:
    """An event that an operator changed, and its state now."""

    #: That of the copy, if a delivered event is delivered again.
    id: str
    state: Literal["ready", "dropped"]
