"""Configuration of Python's `logging` for one process: handler, format, levels, warnings."""

import logging
import reprlib
import sys

from qmonus_lite.clock import Clock
from qmonus_lite.log import python_warnings
from qmonus_lite.log.console_format import ConsoleFormatter
from qmonus_lite.log.field_names import OWN
from qmonus_lite.log.json_format import JsonFormatter
from qmonus_lite.nonblocking_output import NonBlockingOutput

#: Text of a record that cannot be formatted, and of its arguments.
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 500


def configure(
    *,
    style: str,
    level: str,
    clock: Clock,
    output: NonBlockingOutput | None = None,
    process: str = "",
) -> None:
    """Log to `output`, without it to `sys.stderr`; `style` is console or json.

    Records have the name of this process if one is given.
    """
    handler = _OutputHandler(output) if output else logging.StreamHandler(sys.stderr)
    formatter = JsonFormatter if style == "json" else ConsoleFormatter
    handler.setFormatter(formatter(clock, process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    python_warnings.install()
    _skip_unused_lookups()
    # APIGW logs each request itself (`action=request`); Tornado would log query strings.
    logging.getLogger("tornado.access").disabled = True
    logging.getLogger("watchfiles").setLevel("WARNING")
    logging.getLogger("botocore").setLevel("WARNING")
    logging.getLogger("asyncio").setLevel("WARNING")


def _skip_unused_lookups() -> None:
    """Do not search the stack for the caller of our own records: neither formatter prints it.

    Only for our own loggers: scripts and their libraries log in this process too, with formatters
    of their own, so the switches of the module `logging` stay as they are.
    """
    for name, logger in logging.root.manager.loggerDict.items():
        if name.startswith(OWN) and isinstance(logger, logging.Logger):
            setattr(logger, "findCaller", _no_caller)  # noqa: B010 - a method of this one logger


def _no_caller(*_given: object, **_options: object) -> tuple[str, int, str, None]:
    return "(unknown file)", 0, "(unknown function)", None


class _OutputHandler(logging.Handler):
    """Writes records to an output that never blocks, and there the number of lost ones."""

    def __init__(self, output: NonBlockingOutput) -> None:
        super().__init__()
        self._output = output
        output.report = self._report

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or one of the same format that says why it cannot be written."""
        try:
            line = self.format(record)
        except Exception as error:
            line = self.format(_malformed(record, error))
        self._output.write(f"{line}\n".encode(errors="backslashreplace"))

    def _report(self, lost: int) -> bytes:
        logger = logging.getLogger(__name__)
        text = "%d records were lost: the reader of this log did not read"
        extra = {"action": "log_lost", "lost": lost}
        record = logger.makeRecord(
            logger.name, logging.ERROR, "", 0, text, (lost,), None, extra=extra
        )
        # The formatter has a cache; the lock is that of `handle`.
        self.acquire()
        try:
            return f"{self.format(record)}\n".encode(errors="backslashreplace")
        finally:
            self.release()


def _malformed(record: logging.LogRecord, error: Exception) -> logging.LogRecord:
    """A record about one that cannot be formatted, with its place, text and arguments."""
    # reprlib bears values whose `__repr__` raises, and is short.
    text = "a log record cannot be written: %s with %s"
    shown = (_REPR.repr(record.msg), _REPR.repr(record.args))
    return logging.getLogger(__name__).makeRecord(
        __name__,
        max(record.levelno, logging.WARNING),
        record.pathname,
        record.lineno,
        text,
        shown,
        (type(error), error, error.__traceback__),
        extra={"action": "log_malformed"},
    )
