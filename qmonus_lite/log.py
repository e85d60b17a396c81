"""Log records: standard logging, each of ours with a stable `action`, shown for people or as JSON.

Our modules call `logging.getLogger(...)` and pass `extra={"action": ..., ...}`; context that was
bound with `bound(request_id=...)` joins every record made inside it. structlog only renders. What
`hushed` knows as secret is masked, and no text of a record can pass for another record.
"""

import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from qmonus_lite.clock import Clock
from qmonus_lite.hushed import hushed

#: Characters that move the cursor, or the text around them.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
#: Before each further line of a text: no line that a stranger wrote begins like a record.
_FURTHER = "\n    "


@contextmanager
def bound(**context: str) -> Iterator[None]:
    """Add these names to every record made inside the block, also by scripts that it starts."""
    with structlog.contextvars.bound_contextvars(**context):
        yield


def configure(*, style: str, level: str, clock: Clock) -> None:
    """Send the records of this process to standard error; `style` is console or json."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        _moment(clock),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            *_ending(style),
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # One line a request is ours (`action=request`); Tornado's own would show query strings.
    logging.getLogger("tornado.access").disabled = True
    logging.getLogger("watchfiles").setLevel("WARNING")
    logging.getLogger("botocore").setLevel("WARNING")
    logging.getLogger("asyncio").setLevel("WARNING")


def _moment(clock: Clock) -> Processor:
    def add(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        event["timestamp"] = clock.moment().isoformat(timespec="milliseconds")
        return event

    return add


def _ending(style: str) -> list[Processor]:
    if style == "json":
        return [_each(hushed), structlog.processors.JSONRenderer(ensure_ascii=False), _as_json]
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(),
        exception_formatter=structlog.dev.plain_traceback,
        pad_event_to=0,
    )
    return [_each(lambda text: _in_lines(hushed(text))), console]


def _each(change: Any) -> Processor:
    """Change every text of a record, however deep it lies."""

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return change(value)
        if isinstance(value, Mapping):
            return {walk(key): walk(part) for key, part in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [walk(part) for part in value]
        return value if isinstance(value, (int, float, type(None))) else change(repr(value))

    def changed(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        return {str(name): walk(value) for name, value in event.items()}

    return changed


def _in_lines(text: str) -> str:
    return _CONTROL.sub(_escape, text).replace("\n", _FURTHER)


def _as_json(_logger: WrappedLogger, _name: str, rendered: Any) -> str:
    # JSON leaves those above ASCII as they are.
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", str(rendered))


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
