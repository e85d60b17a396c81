"""Events as people may see them: without the values of headers that could be credentials."""

from collections.abc import Mapping
from typing import Any

from qmonus_lite.headers import Headers

#: Headers whose values say nothing secret.
HARMLESS = frozenset(
    {"Accept", "Content-Length", "Content-Type", "Expect", "Host", "User-Agent", "X-Request-Id"}
)
MASK = "********"


def redact_event(data: Mapping[str, Any]) -> dict[str, Any]:
    """The event with all headers masked but the harmless ones."""
    headers = Headers(data.get("headers") or {})
    masked = {name: value if name in HARMLESS else MASK for name, value in headers.items()}
    return {**data, "headers": masked}
