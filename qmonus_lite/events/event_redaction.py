"""Redaction of events for display: masks values of headers that may contain credentials."""

from collections.abc import Mapping
from typing import Any

from qmonus_lite import strictjson
from qmonus_lite.events.gateway import Gateway
from qmonus_lite.events.stored_event import ShownEvent
from qmonus_lite.headers import Headers
from qmonus_lite.values import as_dict

#: Headers whose values contain no secrets.
HARMLESS = frozenset(
    {"Accept", "Content-Length", "Content-Type", "Expect", "Host", "User-Agent", "X-Request-Id"}
)
MASK = "********"


def redact_event(data: Mapping[str, Any]) -> dict[str, Any]:
    """The event with all header values masked except those in HARMLESS."""
    headers = Headers(data.get("headers") or {})
    masked = {name: value if name in HARMLESS else MASK for name, value in headers.items()}
    return {**data, "headers": masked}


def redacted_detail(detail: ShownEvent, gateway: Gateway) -> dict[str, Any]:
    """An event of the log as JSON values, its data as a handler would get it now, redacted."""
    data = strictjson.read(gateway.complete(detail).encode())
    return {**as_dict(detail.entry), "event": redact_event(data)}
