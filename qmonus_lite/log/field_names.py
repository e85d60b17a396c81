"""Names of log fields in JSON, by their names in the code; printed in docs/reference/logs.md.

Those of OpenTelemetry (log data model, semantic conventions) where it has a name, all others of
ours under `qmonus_lite.`. A record is flat: each attribute is a key of the one object.
"""

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

#: Prefix of our own attributes, and of the names of our own loggers.
OWN = "qmonus_lite."
#: Prefix of an attribute of a script or library that has the name of one of ours.
FOREIGN = "plugin."


class LogField(NamedTuple):
    """One field: its name in JSON, its name in the code and on the console, and what it is."""

    output: str
    name: str
    meaning: str


#: Made for every record; they have no name in the code.
RECORD_FIELDS = (
    LogField("timestamp", "", "ISO 8601 with milliseconds and the offset of `--timezone`"),
    LogField("severity_text", "", "`DEBUG`, `INFO`, `WARN`, `ERROR` or `FATAL`"),
    LogField("severity_number", "", "5, 9, 13, 17 or 21"),
    LogField("body", "", "what happened, for people; its words may change"),
    LogField("otel.scope.name", "", "the logger: a module of ours, or `plugin` for scripts"),
    LogField("service.name", "", "`qmonus-lite`"),
    LogField("qmonus_lite.process", "", "`up`, `apigw`, `apigw-0`, `lambda-9100`, `writer`"),
    LogField("process.pid", "", "process id"),
)
#: Fields of records of ours.
FIELDS = (
    LogField("event_name", "action", "what happened, for machines; does not change"),
    LogField("trace_id", "trace_id", "W3C Trace Context, if the request has one"),
    LogField("span_id", "span_id", "span of the request, question or delivery in its process"),
    LogField("trace_flags", "trace_flags", "`01` if the trace is sampled"),
    LogField("qmonus_lite.request_id", "request_id", "`X-Request-Id` of the request"),
    LogField("qmonus_lite.upload_id", "upload_id", "id of the upload"),
    LogField("qmonus_lite.event_id", "event_id", "id of the event, or of the question"),
    LogField("qmonus_lite.event_type", "event_name", "`APIGW.OnFileUploaded`, for example"),
    LogField("qmonus_lite.account", "account", "account of the credential"),
    LogField("qmonus_lite.plugin", "plugin", "plugin whose script ran"),
    LogField("code.file.path", "file", "plugin file"),
    LogField("code.line.number", "line", "line in it"),
    LogField("http.request.method", "method", "method of a request"),
    LogField("url.path", "url_path", "path of a request, undecoded, without its query"),
    LogField("http.response.status_code", "status", "status of the answer"),
    LogField("http.request.body.size", "bytes", "bytes of the body that were received"),
    LogField("client.address", "peer", "address of the client"),
    LogField("qmonus_lite.duration_ms", "ms", "duration in milliseconds"),
    LogField("qmonus_lite.path", "path", "path of a file or event"),
    LogField("qmonus_lite.stored_path", "stored_path", "path of the file, if it is another one"),
    LogField("qmonus_lite.rule", "rule", "code of the problem or rule by which it was refused"),
    LogField("qmonus_lite.reason", "reason", "why it was refused, or is tried again"),
    LogField("qmonus_lite.attempt", "attempt", "number of the delivery, from 1"),
    LogField("exception.type", "exception_type", "class of an exception"),
    LogField("exception.message", "exception_message", "its text"),
    LogField("exception.stacktrace", "exception", "its traceback; of a script, from its own lines"),
)

_OUTPUT = {field.name: field.output for field in FIELDS}
_RESERVED = frozenset(field.output for field in (*RECORD_FIELDS, *FIELDS))


@cache
def own_name(name: str) -> str:
    """The name in JSON of a field of ours."""
    return _OUTPUT.get(name) or f"{OWN}{name}"


def foreign_name(name: str) -> str:
    """The name in JSON of a field that a script or a library gave: its own, if it is not ours."""
    is_ours = name in _RESERVED or name.startswith(OWN)
    return f"{FOREIGN}{name}" if is_ours else name


#: Text and number of a severity by the level of Python's `logging`.
SEVERITIES: Mapping[int, tuple[str, int]] = {
    10: ("DEBUG", 5),
    20: ("INFO", 9),
    30: ("WARN", 13),
    40: ("ERROR", 17),
    50: ("FATAL", 21),
}


def severity(level: int) -> tuple[str, int]:
    """Text and number of a level; one between two levels counts as the lower one."""
    return SEVERITIES.get(level) or SEVERITIES[min(50, max(10, level // 10 * 10))]
