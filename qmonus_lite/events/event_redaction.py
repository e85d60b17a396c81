"""Redaction of events for display: masks values of headers that may contain credentials."""

from collections.abc import Mapping
from typing import Any

from qmonus_lite.headers import Headers

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
