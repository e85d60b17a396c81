"""Log records: standard logging, each of ours with a stable `action`, shown for people or as JSON.

Our modules call `logging.getLogger(...)` and pass `extra={"action": ..., ...}`; context that was
bound with `bound(request_id=...)` joins every record made inside it. structlog only renders.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from qmonus_lite.clock import Clock


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
        return [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            exception_formatter=structlog.dev.plain_traceback,
            pad_event_to=0,
        )
    ]
