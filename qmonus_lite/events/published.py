"""Events that scripts publish durably: their checks, and their form in the event log.

A script gets the id at once. The event is stored with the end of what published it: a route's is
stored before `publish` returns, those of a delivery together with its end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from qmonus_lite import strictjson
from qmonus_lite.events.stored_event import PendingEvent
from qmonus_lite.ids import new_id
from qmonus_lite.redaction import MASK
from qmonus_lite.values import Value

#: Maximum bytes of one published event as JSON, of a name, and maximum events and bytes of one run.
MAX_EVENT_BYTES, MAX_NAME_BYTES = 256 << 10, 200
MAX_EVENTS, MAX_TOTAL_BYTES = 100, 1 << 20
#: Prefix of the events of the gateway, which scripts cannot publish.
RESERVED_PREFIX = "APIGW."
#: Headers whose values are masked at rest, in lower case.
MASKED = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key", "x-auth-token"})


class BadPublication(ValueError):
    """An event that cannot be published; the message has the reason."""


class PublishedEvent(Value, frozen=True, kw_only=True):
    """An event that a script published, and that is not stored yet."""

    id: str
    type: str
    #: Events of one path are delivered in order; empty if it has none.
    path: str
    #: JSON of the event, credentials masked.
    data: str

    @classmethod
    def of(
        cls, name: object, event: object, kept_headers: frozenset[str] = frozenset()
    ) -> "PublishedEvent":
        """Check what a script gave; raises BadPublication. `kept_headers` are not masked."""
        if not isinstance(name, str) or not 0 < len(name.encode()) <= MAX_NAME_BYTES:
            raise BadPublication(f"a name is a text of 1 to {MAX_NAME_BYTES} bytes")
        if name.startswith(RESERVED_PREFIX):
            raise BadPublication(f"names that begin with {RESERVED_PREFIX} are the gateway's")
        if not isinstance(event, dict):
            raise BadPublication("the event is no dict")
        path = event.get("path", "")
        if not isinstance(path, str):
            raise BadPublication("the path of the event is no text")
        try:
            data = strictjson.write(_masked(event, kept_headers))
            size = len(data.encode())
        except (TypeError, ValueError, RecursionError) as error:
            raise BadPublication(f"the event is not JSON: {error}") from None
        if size > MAX_EVENT_BYTES:
            raise BadPublication(f"the event has {size} bytes; at most {MAX_EVENT_BYTES}")
        return cls(id=new_id(), type=name, path=path, data=data)

    @classmethod
    def from_json(cls, given: Any) -> "PublishedEvent":
        """Read the form of `to_json`; raises ValueError."""
        names = ("id", "type", "path", "data")
        if not isinstance(given, dict) or not all(isinstance(given.get(n), str) for n in names):
            raise ValueError("a published event has other keys or types")
        if not given["id"] or not given["type"] or given["type"].startswith(RESERVED_PREFIX):
            raise ValueError("a published event has no id or a reserved name")
        if not isinstance(strictjson.read(given["data"].encode()), dict):
            raise ValueError("the data of a published event is no object")
        return cls(**{name: given[name] for name in names})

    def to_json(self) -> dict[str, str]:
        """The form in which workers send it."""
        return {"id": self.id, "type": self.type, "path": self.path, "data": self.data}

    def pending(self, *, time: datetime, gateway: str, source: "Source") -> PendingEvent:
        """The event for the log. One without a path has its id there, so that it waits for none."""
        return PendingEvent(
            id=self.id,
            type=self.type,
            path=self.path or self.id,
            time=time,
            data=self.data,
            store="",
            store_path="",
            gateway=gateway,
            token="",
            request_id=source.request_id,
            upload_id=source.upload_id,
            account=source.account,
            traceparent=source.traceparent,
        )


class Source(Value, frozen=True, kw_only=True):
    """What a published event comes from, as in PendingEvent; empty where it is unknown."""

    request_id: str = ""
    upload_id: str = ""
    account: str = ""
    traceparent: str = ""


@dataclass
class Publications:
    """The events that the scripts of one run have published; used by several threads."""

    events: list[PublishedEvent] = field(default_factory=list)

    def add(self, event: PublishedEvent) -> None:
        """Add an event; raises BadPublication above the bounds of a run."""
        if len(self.events) >= MAX_EVENTS:
            raise BadPublication(f"one run publishes at most {MAX_EVENTS} events")
        total = sum(len(each.data.encode()) for each in self.events) + len(event.data.encode())
        if total > MAX_TOTAL_BYTES:
            raise BadPublication(f"one run publishes at most {MAX_TOTAL_BYTES} bytes")
        self.events.append(event)


def published_of(given: Any) -> tuple[PublishedEvent, ...]:
    """Read the list of a worker's answer, absent if there is none; raises ValueError."""
    if given is None:
        return ()
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) > MAX_EVENTS:
        raise ValueError("published is no list of events, or too long")
    return tuple(map(PublishedEvent.from_json, given))


def _masked(event: Mapping[str, Any], kept: frozenset[str]) -> dict[str, Any]:
    """The event with the values of credential headers masked."""
    headers = event.get("headers")
    if not isinstance(headers, Mapping):
        return dict(event)
    hidden = MASKED - kept
    masked = {n: MASK if str(n).lower() in hidden else value for n, value in headers.items()}
    return {**event, "headers": masked}
