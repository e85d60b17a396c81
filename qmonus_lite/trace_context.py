"""W3C Trace Context: reading `traceparent`, and new spans of a trace (https://www.w3.org/TR/trace-context/).

No trace is begun here: what belongs to none has an empty text in place of a `traceparent`.
`tracestate` is not passed on.
"""

import re
import secrets
from collections.abc import Mapping

HEADER = "Traceparent"

#: Section 3.2.2: version, trace id, parent id, flags; later versions add fields.
_TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
#: Flags that are known, and passed on: sampled, random trace id.
_KNOWN_FLAGS = 0x03


def child_of(traceparent: str) -> str:
    """The `traceparent` of a new span below this one; empty for one that is not valid."""
    found = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if found is None or (found["version"] == "00" and found["more"]):
        return ""
    flags = int(found["flags"], 16) & _KNOWN_FLAGS
    return f"00-{found['trace']}-{secrets.token_hex(8)}-{flags:02x}"


def trace_id_of(traceparent: str) -> str:
    """The trace id of a `traceparent` that `child_of` made; empty for an empty one."""
    return traceparent[3:35]


def log_fields(traceparent: str) -> dict[str, str]:
    """The fields of log records of a span that `child_of` made; none for an empty one."""
    if not traceparent:
        return {}
    _, trace, span, flags = traceparent.split("-")
    return {"trace_id": trace, "span_id": span, "trace_flags": flags}


def of_log_fields(fields: Mapping[str, str]) -> str:
    """The `traceparent` whose `log_fields` these are, or empty."""
    names = ("trace_id", "span_id", "trace_flags")
    parts = [fields[name] for name in names if name in fields]
    return "-".join(["00", *parts]) if len(parts) == len(names) else ""
